"""The options of `imrestore hdr`: what its results are, and which options go together."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Annotated

import typer

from imrestore.checks import depth_in, number, one_of
from imrestore.options import FileOptions, JpegQuality, complete
from restore.image.codecs import WRITTEN_OF_LIGHT

__all__ = [
    "MERGE",
    "MODES",
    "OPTICS",
    "SIMULATE",
    "SINGLE",
    "LightFileOptions",
    "MergeOptions",
    "Option",
    "check_together",
    "given_of",
]

MODES = ("single", "optics", "merge")
SINGLE, OPTICS, MERGE = (f"--mode {mode}" for mode in MODES)
SIMULATE = "--simulate"
_FORMATS = sorted(WRITTEN_OF_LIGHT)
_DEPTHS = [8, 16, 32]


@dataclass(frozen=True, kw_only=True)
class LightFileOptions(FileOptions):
    """The options of files whose results are scene-linear."""

    format: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(_FORMATS),
            help="Container of the results: EXR, JXL and TIFF hold float32, DNG 16-bit floats for "
            "RAW converters, HDR is Radiance's, JPEG holds a gain map (Ultra HDR).",
            show_default="exr",
            callback=one_of(_FORMATS, "is not written of light"),
            autocompletion=complete(*_FORMATS),
        ),
    ] = None
    bit_depth: Annotated[
        int | None,
        typer.Option(
            metavar="|".join(map(str, _DEPTHS)),
            help="Bits per sample of the results: 16 or 32 of EXR; the other formats have one "
            "depth each.",
            show_default="32; DNG 16, JPEG 8",
            callback=depth_in(_DEPTHS),
            autocompletion=complete(*map(str, _DEPTHS)),
        ),
    ] = None
    quality: JpegQuality = None


@dataclass(frozen=True, kw_only=True)
class MergeOptions:
    """How brackets are told apart and merged."""

    exposures: Annotated[
        str | None,
        typer.Option(
            metavar="S,S,...",
            help="Exposure times in seconds, one for each input of a single bracket in the order "
            "given (merge), as in 1/60,1/15,1/4.",
            show_default="from EXIF",
        ),
    ] = None
    gap: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            min=0,
            help="A pause of more than S seconds begins a new bracket (merge).",
            show_default="30",
        ),
    ] = None
    group: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=2,
            help="Every N consecutive frames of a folder are one bracket (merge).",
            show_default="told by pauses and exposures",
        ),
    ] = None
    by_folder: Annotated[
        bool,
        typer.Option("--by-folder", help="All frames of a folder are one bracket (merge)."),
    ] = False
    align: Annotated[
        bool,
        typer.Option("--align/--no-align", help="Register the exposures of a bracket (merge)."),
    ] = True
    deghost: Annotated[
        str,
        typer.Option(
            metavar="auto|off|N",
            help="Leave a frame out where it differs from the middle exposure by more than N "
            "standard deviations of the noise, because something moved (merge); auto is 4.",
            callback=number(
                lambda deviations: 0 < deviations <= 1000,
                "give standard deviations up to 1000, auto or off",
                "auto",
                "off",
            ),
        ),
    ] = "auto"


@dataclass(frozen=True)
class Option:
    """An option of this command, and the options with which it has an effect."""

    name: str
    is_given: bool
    goes_with: tuple[str, ...]


def given_of(group: MergeOptions) -> list[Option]:
    """Return the options of merging, which go with it only."""
    options = []
    for field in fields(group):
        value = getattr(group, field.name)
        flag = "no-align" if field.name == "align" else field.name.replace("_", "-")
        options.append(Option(f"--{flag}", value != field.default, (MERGE,)))
    return options


def check_together(mode: str, *, is_simulated: bool, options: Sequence[Option]) -> None:
    """Refuse options that would have no effect on the results.

    Raises:
        UsageError: an option is given that goes with others.
    """
    from restore.errors import UsageError

    if is_simulated and mode == "merge":
        raise UsageError("--simulate takes single pictures; leave out --mode merge")
    does = SIMULATE if is_simulated else f"--mode {mode}"
    for option in options:
        if option.is_given and does not in option.goes_with:
            raise UsageError(f"{option.name} goes with {' or '.join(option.goes_with)}")
