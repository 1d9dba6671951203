"""`imrestore dark-enhance`: dark RAW files in, photographs out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from imrestore import batch
from imrestore.checks import depth_in, number, one_of
from imrestore.expansion import with_decoding_options, with_options
from imrestore.options import FileOptions, JpegQuality, NetworkOptions, complete, depths_of
from imrestore.report import filled_in_words
from imrestore.watching import WatchOptions
from restore.image.codecs import WRITTEN_OF_RAW

if TYPE_CHECKING:
    from restore.batch.kinds import FileKind
    from restore.batch.page import PageText
    from restore.batch.plan import BatchPlan
    from restore.dark.enhanced import Enhanced, OutputColor
    from restore.dark.runner import DarkEnhancer, WhiteBalance
    from restore.image.dark_frame import DarkFrame
    from restore.image.raw_picture import RawPicture

__all__ = ["dark_enhance", "enhancing", "linear_files", "raw_files"]


_FORMATS, _DEPTHS = sorted(WRITTEN_OF_RAW), depths_of(WRITTEN_OF_RAW)


@dataclass(frozen=True, kw_only=True)
class RawFileOptions(FileOptions):
    """The options of files, for camera RAW files; a folder may be watched in place of inputs."""

    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="Camera RAW files and folders of them; - is standard input.",
            show_default=False,
        ),
    ] = field(default_factory=list)
    raw_only: Annotated[
        bool, typer.Option("--raw-only", help="Leave named files that are no RAW files out.")
    ] = False
    format: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(_FORMATS),
            help="Container of the results: PNG and TIFF have 16 bits, EXR holds linear light, DNG "
            "linear camera colours for a RAW converter.",
            show_default="png",
            callback=one_of(_FORMATS),
            autocompletion=complete(*_FORMATS),
        ),
    ] = None
    bit_depth: Annotated[
        int | None,
        typer.Option(
            metavar="|".join(map(str, _DEPTHS)),
            help="Bits per sample of the results: 8 or 16 of PNG, 8, 16 or 32 of TIFF, 16 or 32 of "
            "EXR; 32, and all of EXR, is floating point.",
            show_default="16; JPEG 8, EXR and linear light 32",
            callback=depth_in(_DEPTHS),
            autocompletion=complete(*map(str, _DEPTHS)),
        ),
    ] = None
    quality: JpegQuality = None


def _white_balance(value: str) -> str:
    if value not in ("camera", "auto") and _factors(value) is None:
        raise typer.BadParameter(f"{value}: give camera, auto, or three factors as in 2.1,1,1.6")
    return value


def _output_color(value: str) -> str:
    if value not in ("srgb", "linear"):
        raise typer.BadParameter(f"{value}: give srgb or linear")
    return value


@with_decoding_options
@with_options
def dark_enhance(
    files: RawFileOptions,
    network: NetworkOptions,
    *,
    ratio: Annotated[
        str,
        typer.Option(
            metavar="auto|N",
            help="Amplification of the brightness. auto brings the mean to middle gray without "
            "clipping more than 0.5 % of the picture, stays between 1 and 300, and is printed.",
            callback=number(
                lambda ratio: 0 < ratio <= 10_000,
                "give a number above 0, up to 10000, or auto",
                "auto",
            ),
        ),
    ] = "auto",
    ev: Annotated[
        float,
        typer.Option(
            metavar="X",
            help="Stops to add to the ratio; -1 halves it.",
            callback=number(lambda stops: abs(stops) <= 10, "give stops from -10 to 10"),
        ),
    ] = 0.0,
    wb: Annotated[
        str,
        typer.Option(
            metavar="camera|auto|R,G,B",
            help="White balance: as the camera recorded it, gray world (the picture's mean is "
            "gray), or factors for red, green and blue.",
            callback=_white_balance,
        ),
    ] = "camera",
    output_color: Annotated[
        str,
        typer.Option(
            metavar="srgb|linear",
            help="sRGB, or linear light with sRGB primaries in floating point, as EXR or TIFF.",
            callback=_output_color,
        ),
    ] = "srgb",
    strength: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            metavar="X",
            help="How much noise to remove: 1 is the full result, 0 leaves all of it in, between "
            "is a blend.",
        ),
    ] = 1.0,
    dark_frame: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="A RAW file taken with the cap on, or a folder of them to be averaged, whose "
            "glow and hot pixels are taken from every picture. May be given several times.",
            exists=True,
        ),
    ] = None,
    keep_hot_pixels: Annotated[
        bool,
        typer.Option(
            "--keep-hot-pixels",
            help="Do not fill hot and dead photosites from their neighbours, not even those that "
            "are certain.",
        ),
    ] = False,
    fill_hot_pixels: Annotated[
        bool,
        typer.Option(
            "--fill-hot-pixels",
            help="Fill also what may be light: one or two photosites, or several in a picture that "
            "is sharp to the pixel, with as many specks that are nearly as small.",
        ),
    ] = False,
    watching: WatchOptions,
) -> None:
    """Develop dark camera RAW files into photographs.

    A network denoises and demosaics the sensor's data; colours come from the file's own white
    balance and colour matrix. All cameras that LibRaw supports work: Bayer sensors of any phase,
    and X-Trans with weights for it.

    \b
    Examples:
      imrestore dark-enhance night.nef -o night.png
      imrestore dark-enhance nights/ -r -o out/ --format tiff --ev -0.5
      imrestore dark-enhance night.arw -o night.jpg --ratio 100 --wb auto --compare
      imrestore dark-enhance stars.nef -o stars.png --dark-frame darks/ --strength 0.7
      imrestore dark-enhance nights/ -o out/ --format dng       (for a RAW converter)
      imrestore dark-enhance --watch camera/ -o out/ --format jpg   (files as they come)
      imrestore dark-enhance night.cr3 -o night.exr             (linear light)
    """  # noqa: D301 (the escape is Typer's mark for lines to be kept)

    def prepare(_plan: "BatchPlan | None") -> batch.Work:
        from restore.dark.runner import DarkEnhancer
        from restore.image.dark_frame import read_dark_frame

        dark = read_dark_frame(dark_frame) if dark_frame else None
        enhancer = DarkEnhancer(network.model, **network.placement)
        enhance = enhancing(
            enhancer,
            ratio=ratio,
            ev=ev,
            wb=wb,
            output_color=output_color,
            strength=strength,
            keep_hot_pixels=keep_hot_pixels,
            fill_hot_pixels=fill_hot_pixels,
            dark_frame=dark,
        )
        return batch.Work(enhance, enhancer.lanes)

    _check_hot_pixels(keep=keep_hot_pixels, fill=fill_hot_pixels)
    if ratio == "auto" and not files.quiet:
        files = replace(files, verbose=True)  # so that the ratio is printed
    kind = linear_files if output_color == "linear" else raw_files
    twins = "raw-only" if files.raw_only else "raw"
    batch.run(
        files,
        prepare,
        watching=watching,
        describe=_describe,
        page=_page,
        kind=kind,
        twins=twins,
    )


def enhancing(
    enhancer: "DarkEnhancer",
    *,
    ratio: str,
    ev: float,
    wb: str,
    output_color: str,
    strength: float,
    keep_hot_pixels: bool,
    fill_hot_pixels: bool,
    dark_frame: "DarkFrame | None" = None,
) -> "Callable[[RawPicture], Enhanced]":
    """Return what is done to RAW files by the options of those names, which were checked.

    Raises:
        UsageError: hot pixels are to be kept and to be filled.
    """
    _check_hot_pixels(keep=keep_hot_pixels, fill=fill_hot_pixels)
    amplification: float | Literal["auto"] = "auto" if ratio == "auto" else float(ratio)
    color: OutputColor = "linear" if output_color == "linear" else "srgb"
    balance: WhiteBalance = _factors(wb) or ("auto" if wb == "auto" else "camera")

    def enhance(raw: "RawPicture") -> "Enhanced":
        return enhancer(
            raw,
            ratio=amplification,
            ev=ev,
            white_balance=balance,
            output_color=color,
            strength=strength,
            repair=not keep_hot_pixels,
            in_doubt=fill_hot_pixels,
            dark_frame=dark_frame,
        )

    return enhance


def _check_hot_pixels(*, keep: bool, fill: bool) -> None:
    if keep and fill:
        from restore.errors import UsageError

        raise UsageError("--keep-hot-pixels and --fill-hot-pixels contradict each other")


def raw_files() -> "FileKind[RawPicture, Enhanced]":
    """Return the kind of RAW files that become photographs."""
    from restore.batch.kinds import RAW_FILES

    return RAW_FILES


def linear_files() -> "FileKind[RawPicture, Enhanced]":
    """Return the kind of RAW files that become linear light."""
    from restore.batch.kinds import RAW_FILES_TO_LINEAR

    return RAW_FILES_TO_LINEAR


def _factors(text: str) -> tuple[float, float, float] | None:
    """Return three positive factors, or None where the text is anything else."""
    try:
        red, green, blue = (float(part) for part in text.split(","))
    except ValueError:
        return None
    return (red, green, blue) if min(red, green, blue) > 0 else None


def _page() -> "PageText":
    from restore.batch.page import PageText

    return PageText(
        title="imrestore dark-enhance",
        explanation="Before is the RAW file, amplified and developed in the same way without the "
        "network; after is the result.",
        difference="Difference \u00d78",
    )


def _describe(record: Mapping[str, Any]) -> str:
    balance = ",".join(f"{factor:g}" for factor in record["white_balance"])
    return (
        "{model} on {device}, {precision}, tile {tile}, ratio {ratio}, white balance "
        "{balance}, {sensor}, "
    ).format_map({**record, "balance": balance}) + filled_in_words(record)
