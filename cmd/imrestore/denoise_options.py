"""The options of `imrestore denoise`: which files, how they are denoised, what that stands for."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from imrestore.checks import number, one_of
from imrestore.options import OUTPUT_HELP, FileOptions, complete
from restore.image.codecs import WRITTEN_OF_MOSAICS

if TYPE_CHECKING:
    from imrestore.denoisers import Settings
    from restore.noise.measured_camera import MeasuredCamera
    from restore.noise.poisson_gaussian import NoiseProfile

__all__ = ["DenoisingFileOptions", "DenoisingOptions", "settings_of"]

_FORMATS = sorted(WRITTEN_OF_MOSAICS)
_SHARE = number(lambda share: 0 <= share <= 1, "give a number from 0 to 1")


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


def _profile(value: str | None) -> str | None:
    if value is not None and not value.endswith(".json") and _pairs(value) is None:
        raise typer.BadParameter(
            f"{value}: give a,b of Var(x) = a x + b, each from 0 to 1, or three such pairs for "
            "red, green and blue, as in 1.2e-4,3e-7; or a file of `imrestore noise-profile`, .json"
        )
    return value


@dataclass(frozen=True, kw_only=True)
class DenoisingOptions:
    """How pictures and RAW files are denoised, and what is written about it."""

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
    ] = "auto"
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
    ] = 1.0
    chroma: Annotated[
        float | None,
        typer.Option(
            metavar="0..1",
            help="The same for colour noise alone: --strength 0.6 --chroma 1 keeps grain and "
            "removes its colour.",
            show_default="as --strength",
            callback=_SHARE,
        ),
    ] = None
    detail: Annotated[
        float,
        typer.Option(
            metavar="0..1",
            help="How much of the finest luminance texture to put back: grain without colour and "
            "without blotches.",
            callback=_SHARE,
        ),
    ] = 0.0
    keep_stripes: Annotated[
        bool,
        typer.Option(
            "--keep-stripes",
            help="Leave offsets of whole rows and columns in the picture, which are taken away "
            "where most lines have them.",
        ),
    ] = False
    noise_profile: Annotated[
        str | None,
        typer.Option(
            metavar="A,B|FILE.json",
            help="Noise of RAW files: Var(x) = A x + B where black is 0 and white 1, one pair or "
            "one each for red, green and blue; or what `imrestore noise-profile` measured.",
            show_default="as the file states it, or measured in it",
            callback=_profile,
        ),
    ] = None
    fill_hot_pixels: Annotated[
        bool,
        typer.Option(
            "--fill-hot-pixels",
            help="Fill hot and dead photosites of RAW files from their neighbours first. Specks of "
            "pictures that are sharp to the pixel may be taken for such.",
        ),
    ] = False
    preview: Annotated[
        bool,
        typer.Option(
            "--preview",
            help="Also write NAME_preview.png, a contact sheet to choose from: places of the "
            "picture at 1:1 with --strength 0.4 to 1 and --detail 0 and 0.3. Without -o only that, "
            "of one picture, into the working folder.",
        ),
    ] = False
    error_map: Annotated[
        bool,
        typer.Option(
            "--error-map",
            help="Also write NAME_error.tif, the expected absolute error of every pixel, and "
            "NAME_error-90.tif, what it stays below with a probability of 90 %, both in levels of "
            "255 and floating point; the record has the expected PSNR. Not for RAW files.",
        ),
    ] = False


def settings_of(
    options: DenoisingOptions, *, sheet_only: bool = False, upright: bool = False
) -> "Settings":
    """Return what options stand for, which were checked.

    Args:
        options: The options.
        sheet_only: Whether contact sheets take the place of results.
        upright: Whether error maps are turned upright.
    """
    from imrestore.denoisers import Settings

    of_pictures = {
        "--sigma": options.sigma != "auto",
        "--chroma": options.chroma is not None,
        "--detail": options.detail != 0,
        "--keep-stripes": options.keep_stripes,
    }
    of_mosaics = {
        "--noise-profile": options.noise_profile is not None,
        "--fill-hot-pixels": options.fill_hot_pixels,
    }
    return Settings(
        sigma="auto" if options.sigma == "auto" else float(options.sigma),
        strength=options.strength,
        chroma=options.chroma,
        detail=options.detail,
        keep_stripes=options.keep_stripes,
        profile=_noise_profile(options.noise_profile),
        repair=options.fill_hot_pixels,
        preview=options.preview,
        sheet_only=sheet_only,
        for_pictures=tuple(name for name, is_given in of_pictures.items() if is_given),
        for_mosaics=tuple(name for name, is_given in of_mosaics.items() if is_given),
        error_map=options.error_map,
        upright=upright,
    )


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
