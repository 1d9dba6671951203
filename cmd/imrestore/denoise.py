"""`imrestore denoise`: noisy pictures in, clean ones out."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imrestore import batch
from imrestore.checks import exclusive, number, one_of, without_effect
from imrestore.expansion import with_decoding_options, with_options
from imrestore.options import (
    OUTPUT_HELP,
    FileOptions,
    NetworkOptions,
    complete,
)
from imrestore.report import filled_in_words
from imrestore.watching import WatchOptions
from restore.errors import UsageError
from restore.image.codecs import WRITTEN_OF_MOSAICS

if TYPE_CHECKING:
    from imrestore.denoisers import Settings
    from restore.batch.kinds import FileKind
    from restore.batch.page import PageText
    from restore.batch.plan import BatchPlan
    from restore.noise.measured_camera import MeasuredCamera
    from restore.noise.poisson_gaussian import NoiseProfile

__all__ = ["denoise", "settings_of"]


_FORMATS = sorted(WRITTEN_OF_MOSAICS)
_SHARE = number(lambda share: 0 <= share <= 1, "give a number from 0 to 1")
_TONES = {
    "pq": "denoised as PQ",
    "hlg": "denoised as HLG",
    "profile": "denoised as sRGB in place of its profile's curve",
}


def _profile(value: str | None) -> str | None:
    if value is not None and not value.endswith(".json") and _pairs(value) is None:
        raise typer.BadParameter(
            f"{value}: give a,b of Var(x) = a x + b, each from 0 to 1, or three such pairs for "
            "red, green and blue, as in 1.2e-4,3e-7; or a file of `imrestore noise-profile`, .json"
        )
    return value


@dataclass(frozen=True, kw_only=True)
class DenoisingFileOptions(FileOptions):
    """The options of files: a folder may be watched, and a contact sheet needs no output."""

    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="Pictures, camera RAW files and folders of them; - is standard input.",
            show_default=False,
        ),
    ] = field(default_factory=list)
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            metavar="OUT",
            help=f"{OUTPUT_HELP} May be left out with --preview.",
            show_default=False,
        ),
    ] = ""
    format: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(_FORMATS),
            help="Container of the results. RAW files become dng, still a mosaic, dng-linear, "
            "which is demosaicked, or a picture that LibRaw develops.",
            show_default="that of the input; PNG for BMP, dng for RAW files",
            callback=one_of(_FORMATS),
            autocompletion=complete(*_FORMATS),
        ),
    ] = None
    raw_only: Annotated[
        bool, typer.Option("--raw-only", help="Take RAW files only, and leave pictures out.")
    ] = False
    both: Annotated[
        bool,
        typer.Option(
            "--both",
            help="Take a RAW file and the JPEG or HEIC of the same name; else the RAW file alone.",
        ),
    ] = False


@with_decoding_options
@with_options
def denoise(
    files: DenoisingFileOptions,
    network: NetworkOptions,
    *,
    sigma: Annotated[
        str,
        typer.Option(
            metavar="auto|N",
            help="Standard deviation of the noise, 0 to 255 where white is 255; auto estimates "
            "it for each picture. With a number, --model auto takes resunet-color in place of "
            "photo. Blind networks ignore it.",
            callback=number(
                lambda sigma: 0 <= sigma <= 255, "give a noise level from 0 to 255, or auto", "auto"
            ),
        ),
    ] = "auto",
    strength: Annotated[
        float,
        typer.Option(
            metavar="0..1",
            help="Blend of input and result: 0 keeps the input's pixels, 1 the full result. RAW "
            "files take up to 2, which removes more than the noise that was measured.",
            callback=number(
                lambda strength: 0 <= strength <= 2,
                "give a number from 0 to 1, for RAW files up to 2",
            ),
        ),
    ] = 1.0,
    chroma: Annotated[
        float | None,
        typer.Option(
            metavar="0..1",
            help="The same for colour noise alone: --strength 0.6 --chroma 1 keeps grain and "
            "removes its colour.",
            show_default="as --strength",
            callback=_SHARE,
        ),
    ] = None,
    detail: Annotated[
        float,
        typer.Option(
            metavar="0..1",
            help="How much of the finest luminance texture to put back: grain without colour and "
            "without blotches.",
            callback=_SHARE,
        ),
    ] = 0.0,
    noise_profile: Annotated[
        str | None,
        typer.Option(
            metavar="A,B|FILE.json",
            help="Noise of RAW files: Var(x) = A x + B where black is 0 and white 1, one pair or "
            "one each for red, green and blue; or what `imrestore noise-profile` measured.",
            show_default="as the file states it, or measured in it",
            callback=_profile,
        ),
    ] = None,
    fill_hot_pixels: Annotated[
        bool,
        typer.Option(
            "--fill-hot-pixels",
            help="Fill hot and dead photosites of RAW files from their neighbours first. Specks of "
            "pictures that are sharp to the pixel may be taken for such.",
        ),
    ] = False,
    preview: Annotated[
        bool,
        typer.Option(
            "--preview",
            help="Also write NAME_preview.png, a contact sheet to choose from: places of the "
            "picture at 1:1 with --strength 0.4 to 1 and --detail 0 and 0.3. Without -o only that, "
            "of one picture, into the working folder.",
        ),
    ] = False,
    error_map: Annotated[
        bool,
        typer.Option(
            "--error-map",
            help="Also write NAME_error.tif, the expected absolute error of every pixel, and "
            "NAME_error-90.tif, what it stays below with a probability of 90 %, both in levels of "
            "255 and floating point; the record has the expected PSNR. Not for RAW files.",
        ),
    ] = False,
    watching: WatchOptions,
) -> None:
    """Remove noise from photographs and camera RAW files.

    Results keep the container, bit depth, colour profile, metadata and transparency of their
    inputs; RAW files become DNGs, which RAW converters develop. No input is ever overwritten, and
    no result without --overwrite. dncnn and resunet come as a gray and a color network; each
    picture gets the one that fits.

    \b
    Examples:
      imrestore denoise photo.jpg -o clean.jpg
      imrestore denoise photo.jpg --preview                      (settings to choose from)
      imrestore denoise photos/ -r -o clean/ --compare
      imrestore denoise *.tif -o clean/ --sigma 15 --strength 0.8
      imrestore denoise photos/ -o clean/ --strength 0.6 --chroma 1
      imrestore denoise *.NEF *.CR3 *.RAF -o clean/              (DNGs, still to be developed)
      imrestore denoise card/ -r -o clean/ --raw-only --format jpg
      imrestore denoise photos/ -o clean/ --detail 0.3           (keeps a little grain)
      imrestore denoise photos/ -r -o clean/ --skip-existing     (goes on after Ctrl-C)
      imrestore denoise photos/ -o clean/ --error-map --report clean/report.html
      imrestore denoise --watch tethered/ -o clean/              (pictures as they come)
      imrestore denoise photos/ -o clean/ --shard 1/4 --json     (on the first of 4 machines)
      curl -s URL | imrestore denoise - -o - --format png > clean.png
    """  # noqa: D301 (the escape is Typer's mark for lines to be kept)
    is_sheet_only = preview and not files.output and not watching.watch
    if is_sheet_only:
        without_effect(error_map=error_map and "a contact sheet alone is a PNG; give -o OUT")
        files = _with_name_of_sheet(files)
    elif not files.output and not watching.watch:
        raise UsageError("give -o OUT, where the results go; only --preview does without")

    def prepare(plan: "BatchPlan | None") -> batch.Work:
        from imrestore.denoisers import Expected, work_on

        settings = settings_of(
            sigma=sigma,
            strength=strength,
            chroma=chroma,
            detail=detail,
            noise_profile=noise_profile,
            repair=fill_hot_pixels,
            preview=preview,
            sheet_only=is_sheet_only,
            error_map=error_map,
            upright=files.strip_metadata,
        )
        expected = Expected.of(plan) if plan else Expected(raw=True, pictures=not files.raw_only)
        return work_on(expected, network, settings)

    exclusive(files, ("raw_only", "both"))
    beside = {"preview": "preview.png"} if preview and not is_sheet_only else {}
    if error_map:
        beside |= {"error-map": "error.tif", "error-bound": "error-90.tif"}
    batch.run(
        files,
        prepare,
        watching=watching,
        describe=_describe,
        page=_page,
        kind=_files,
        beside=beside,
        twins="both" if files.both else "raw-only" if files.raw_only else "raw",
    )


def settings_of(
    *,
    sigma: str,
    strength: float,
    chroma: float | None,
    detail: float,
    noise_profile: str | None,
    repair: bool = False,
    preview: bool = False,
    sheet_only: bool = False,
    error_map: bool = False,
    upright: bool = False,
) -> "Settings":
    """Return what the options of those names stand for, which were checked."""
    from imrestore.denoisers import Settings

    of_pictures = {
        "--sigma": sigma != "auto", "--chroma": chroma is not None, "--detail": detail != 0,
    }  # fmt: skip
    of_mosaics = {"--noise-profile": noise_profile is not None, "--fill-hot-pixels": repair}
    return Settings(
        sigma="auto" if sigma == "auto" else float(sigma),
        strength=strength,
        chroma=chroma,
        detail=detail,
        profile=_noise_profile(noise_profile),
        repair=repair,
        preview=preview,
        sheet_only=sheet_only,
        for_pictures=tuple(name for name, is_given in of_pictures.items() if is_given),
        for_mosaics=tuple(name for name, is_given in of_mosaics.items() if is_given),
        error_map=error_map,
        upright=upright,
    )


def _files() -> "FileKind[Any, Any]":
    from restore.batch.kinds import PICTURES_AND_RAW

    return PICTURES_AND_RAW


def _noise_profile(text: str | None) -> "NoiseProfile | MeasuredCamera | None":
    from restore.noise.poisson_gaussian import NoiseProfile

    if text is not None and text.endswith(".json"):
        from restore.noise.measured_camera import read_camera

        return read_camera(text)
    pairs = None if text is None else _pairs(text)
    if pairs is None:
        return None
    (red_a, red_b), (green_a, green_b), (blue_a, blue_b) = pairs
    return NoiseProfile(a=(red_a, green_a, blue_a), b=(red_b, green_b, blue_b))


def _pairs(text: str) -> list[tuple[float, float]] | None:
    """Return a and b for red, green and blue, or None where the text is anything else."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        return None
    if len(numbers) not in (2, 6) or not all(0 <= number <= 1 for number in numbers):
        return None
    pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
    return pairs if len(pairs) == 3 else 3 * pairs


def _with_name_of_sheet(files: DenoisingFileOptions) -> DenoisingFileOptions:
    """Return the options for a contact sheet of one picture and nothing else.

    Raises:
        UsageError: there are several inputs, or options for a result.
    """
    reason = "a contact sheet alone is a PNG; give -o OUT to write the result too"
    options = ("recursive", "format", "bit_depth", "quality", "strip_metadata", "compare", "report")
    without_effect(**{name: getattr(files, name) and reason for name in options})
    if len(files.inputs) != 1 or not os.path.isfile(files.inputs[0]):
        raise UsageError("--preview without -o takes one file; give -o OUT for more")
    return replace(files, output=f"{Path(files.inputs[0]).stem}_preview.png")


def _page() -> "PageText":
    from restore.batch.page import PageText

    return PageText(
        title="imrestore denoise",
        explanation="Before is the picture as it came, after is the result.",
        difference="Removed \u00d78",
    )


def _describe(record: Mapping[str, object]) -> str:
    megapixels, seconds = record.get("megapixels"), record.get("seconds")
    speed = ""
    if isinstance(megapixels, float) and isinstance(seconds, float) and seconds > 0:
        speed = f", {megapixels / seconds:.3g} megapixels/s"
    line = "{model} on {device}, {precision}, tile {tile}, ".format_map(record)
    if "sensor" in record:
        a, b = (_of_colours(record[name]) for name in ("noise_a", "noise_b"))
        defects = f", {filled_in_words(record)}" if record.get("defects") else ""
        noise = f"noise {a} x + {b} ({record['noise_source']})"
        return f"{line}{record['sensor']}, {noise}{defects}{speed}"
    line += f"sigma {record['sigma']}"
    kind = f" ({record['noise']} noise)" if "noise" in record else ""
    gray = ", gray stored as RGB" if record.get("gray_stored_as_rgb") else ""
    tone = f", {_TONES[str(record['tone_curve'])]}" if record.get("tone_curve") else ""
    expected = record.get("expected_psnr")
    is_known = isinstance(expected, float) and not math.isnan(expected)
    psnr = f", expected PSNR {expected:.1f} dB" if is_known else ""
    return line + kind + gray + tone + psnr + speed


def _of_colours(values: Any) -> str:
    """Return one number where red, green and blue have the same, else all of them."""
    return "/".join(dict.fromkeys(f"{value:g}" for value in values))
