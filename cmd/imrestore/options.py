"""The options that tasks share, each defined once."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypedDict

import typer

from imrestore.checks import depth_in, one_of
from restore.image.codec import Codec
from restore.image.codecs import CODECS, WRITTEN, ImageFormat

__all__ = [
    "OUTPUT_HELP",
    "FileOptions",
    "JpegQuality",
    "NetworkOptions",
    "PlacementArguments",
    "RunOptions",
    "complete",
    "depths_of",
]

OUTPUT_HELP = (
    "Where results go. A folder if there are several inputs, if one is a folder, if OUT ends with "
    "/ or exists as a folder; else a file. - is standard output, for one picture and with --format."
)


def complete(*choices: str) -> Callable[[str], list[str]]:
    """Return what a shell completes the beginning of a word to."""
    return lambda incomplete: [choice for choice in choices if choice.startswith(incomplete)]


def depths_of(formats: Iterable[ImageFormat]) -> list[int]:
    """Return the bits per sample that at least one of ``formats`` is written with."""
    return sorted({depth for each in formats for depth in CODECS[each].bit_depths})


_FORMATS, _DEPTHS = sorted(WRITTEN), depths_of(CODECS)
_WRITTEN_CODECS = [CODECS[each] for each in WRITTEN]


def _named(codecs: Iterable[Codec]) -> str:
    *most, last = (codec.name for codec in codecs)
    return f"{', '.join(most)} and {last}"


JpegQuality = Annotated[
    int | None,
    typer.Option(
        metavar="1..100", min=1, max=100, help="Quality of JPEG results.", show_default="95"
    ),
]
"""The option `--quality` of tasks that write no other format with one."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How folders are read, what may be replaced, and what is printed."""

    recursive: Annotated[
        bool,
        typer.Option("-r", "--recursive", help="Take subfolders too; the tree is mirrored in OUT."),
    ] = False
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results that exist. Never inputs.")
    ] = False
    skip_existing: Annotated[
        bool,
        typer.Option("--skip-existing", help="Keep results that exist: resumes a stopped run."),
    ] = False
    jobs: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=256,
            help="Threads that read, and as many that write; with GPUs also how many pictures are "
            "worked on at once. Above 4 they take more memory.",
            show_default="number of processors, at most 4",
        ),
    ] = None
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N|env",
            help="Do only part I of N of the work, for N machines; I from 1 to N. env takes the "
            "part from the variables of a Slurm job array, a Kubernetes Indexed Job or AWS Batch.",
            show_default="everything",
        ),
    ] = None
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be written, and write nothing.")
    ] = False
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON record per picture to standard output.")
    ] = False
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print errors only.")] = False
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Print a line about every picture.")
    ] = False


@dataclass(frozen=True, kw_only=True)
class FileOptions(RunOptions):
    """Which pictures are read, and what is written for each."""

    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="Pictures and folders of pictures; - is standard input.",
            show_default=False,
        ),
    ]
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            metavar="OUT",
            help=OUTPUT_HELP,
            show_default=False,
        ),
    ]
    format: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(_FORMATS),
            help="Container of the results.",
            show_default="that of the input; PNG for BMP",
            callback=one_of(_FORMATS),
            autocompletion=complete(*_FORMATS),
        ),
    ] = None
    bit_depth: Annotated[
        int | None,
        typer.Option(
            metavar="|".join(map(str, _DEPTHS)),
            help="Bits per sample of the results; 32 is floating point, and 10 and 12 are for "
            f"{_named(codec for codec in _WRITTEN_CODECS if 10 in codec.bit_depths)}.",
            show_default="that of the input; 16 for RAW files, 32 for HDR",
            callback=depth_in(_DEPTHS),
            autocompletion=complete(*map(str, _DEPTHS)),
        ),
    ] = None
    quality: Annotated[
        int | None,
        typer.Option(
            metavar="1..100",
            min=1,
            max=100,
            help=f"Quality of {_named(codec for codec in _WRITTEN_CODECS if codec.is_lossy)} "
            "results; 100 is lossless in WebP and JPEG XL.",
            show_default="JPEG as the input from 90 on, else 95; AVIF and HEIC 90; WebP and "
            "JPEG XL 95, or lossless if the input is",
        ),
    ] = None
    strip_metadata: Annotated[
        bool,
        typer.Option(
            "--strip-metadata",
            help="Leave EXIF, XMP, IPTC and texts out. The ICC profile stays; pixels are turned "
            "upright.",
        ),
    ] = False
    compare: Annotated[
        bool,
        typer.Option(
            "--compare",
            help="Also write NAME_compare.png beside every result: before and after side by side, "
            "or the left and the right half where the picture is wider than 1280 pixels.",
        ),
    ] = False
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="auto|HOST:PORT",
            help="Have the workers of a Ray cluster do the work: one for each of its GPUs, or for "
            "each --jobs of its cores. This command runs on one of its machines; files are on a "
            "drive that all of them mount, or in a bucket.",
            show_default="this machine alone",
        ),
    ] = None
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html",
            help="Also write one page that shows all pictures before and after, what was removed, "
            "and how; it needs no other file, and takes at most 200 kB a picture.",
            show_default=False,
        ),
    ] = None
    manifest: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.jsonl|.parquet",
            help="Keep a row about each input in this file, and do only what it does not know as "
            "done, or what has changed since; see `imrestore manifest`.",
            show_default=False,
        ),
    ] = None
    retry_failed: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=1000,
            help="With --manifest, try again what failed before, until it was tried N times.",
            show_default="what failed is not tried again",
        ),
    ] = None


class PlacementArguments(TypedDict):
    """Where and how a network runs; see ``restore.engine.placement.Placement``."""

    device: str
    precision: str
    tile: str


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """Which network runs, and how."""

    model: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE",
            help="Weights: a name from `imrestore weights list`, a .safetensors file, or auto.",
        ),
    ] = "auto"
    device: Annotated[
        str,
        typer.Option(
            metavar="auto|cpu|cuda[:N|:all]|mps",
            help="Where the network runs; auto takes a GPU if there is one, cuda:all all of them.",
            autocompletion=complete("auto", "cpu", "cuda", "cuda:all", "mps"),
        ),
    ] = "auto"
    precision: Annotated[
        str,
        typer.Option(
            metavar="auto|fp32|fp16|bf16",
            help="Number format of the network; auto is the fastest that costs at most 0.02 dB. "
            "fp32 gives the same bits in every run.",
            autocompletion=complete("auto", "fp32", "fp16", "bf16"),
        ),
    ] = "auto"
    tile: Annotated[
        str,
        typer.Option(
            metavar="auto|N",
            help="Side of the tiles that pictures are cut into, in pixels; smaller takes less "
            "memory, the result is the same.",
        ),
    ] = "auto"

    @property
    def placement(self) -> PlacementArguments:
        """Where and how it runs, as arguments of ``Denoiser`` and the other tasks' classes."""
        return {"device": self.device, "precision": self.precision, "tile": self.tile}
