"""`imrestore hdr`: one exposure, a coded exposure or a bracket in, scene-linear HDR out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imrestore import batch
from imrestore.expansion import with_decoding_options, with_options
from imrestore.options import FileOptions, NetworkOptions, complete, one_of
from restore.image.codecs import WRITTEN_OF_LIGHT

if TYPE_CHECKING:
    from torch import Tensor

    from restore.batch.kinds import FileKind
    from restore.batch.page import PageText
    from restore.batch.plan import BatchPlan
    from restore.hdr.radiance import Radiance
    from restore.image.picture import Picture

__all__ = ["hdr"]

_MODES = ("single", "optics", "merge")
_FORMATS = sorted(WRITTEN_OF_LIGHT)
_SINGLE, _OPTICS, _MERGE = (f"--mode {mode}" for mode in _MODES)
_SIMULATE = "--simulate"
_BITS, _GAP_S = 8, 30.0


def _mode(value: str) -> str:
    if value not in _MODES:
        raise typer.BadParameter(f"{value}: use {', '.join(_MODES)}")
    return value


def _stops(value: str | None) -> str | None:
    try:
        valid = value in (None, "auto") or abs(float(str(value))) <= 30
    except ValueError:
        valid = False
    if not valid:
        raise typer.BadParameter(f"{value}: give stops from -30 to 30, or auto")
    return value


def _deviations(value: str) -> str:
    try:
        valid = value in ("auto", "off") or 0 < float(value) <= 1000
    except ValueError:
        valid = False
    if not valid:
        raise typer.BadParameter(f"{value}: give standard deviations up to 1000, auto or off")
    return value


def _sample(value: float | None) -> float | None:
    if value is not None and not 0.5 <= value <= 1:
        raise typer.BadParameter(f"{value}: give a sample value from 0.5 to 1")
    return value


@dataclass(frozen=True)
class _Option:
    """An option of this command, and the options with which it has an effect."""

    name: str
    is_given: bool
    goes_with: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class LightFileOptions(FileOptions):
    """The options of files whose results are scene-linear."""

    format: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(_FORMATS),
            help="Container of the results: EXR and TIFF hold float32, DNG 16-bit floats for RAW "
            "converters, HDR is Radiance's, JPEG holds a gain map (Ultra HDR).",
            show_default="exr",
            callback=one_of(_FORMATS, "cannot hold HDR results"),
            autocompletion=complete(*_FORMATS),
        ),
    ] = None


@with_decoding_options
@with_options
def hdr(
    files: LightFileOptions,
    network: NetworkOptions,
    *,
    mode: Annotated[
        str,
        typer.Option(
            metavar="single|optics|merge",
            help="What the inputs are: ordinary pictures, captures through an encoding optical "
            "element, or brackets of exposures to merge.",
            callback=_mode,
        ),
    ] = "single",
    psf: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Point spread function of the element in front of the sensor (optics): .npz, "
            ".npy, EXR or float TIFF. Refused where the weights were trained for another.",
            show_default="the one in the weights",
        ),
    ] = None,
    simulate: Annotated[
        bool,
        typer.Option(
            "--simulate",
            help="Simulate captures through the element from HDR pictures, without noise, as "
            "inputs to try --mode optics with.",
        ),
    ] = False,
    exposure: Annotated[
        str | None,
        typer.Option(
            metavar="auto|STOPS",
            help="Brighten the results by STOPS; with --simulate, brighten the scene before the "
            "capture: auto lets 1.5 % of the pixels saturate.",
            show_default="0; with --simulate auto",
            callback=_stops,
        ),
    ] = None,
    exposures: Annotated[
        str | None,
        typer.Option(
            metavar="S,S,...",
            help="Exposure times in seconds, one for each input of a single bracket in the order "
            "given (merge), as in 1/60,1/15,1/4.",
            show_default="from EXIF",
        ),
    ] = None,
    gap: Annotated[
        float,
        typer.Option(
            metavar="S", min=0, help="A pause of more than S seconds begins a new bracket (merge)."
        ),
    ] = _GAP_S,
    group: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=2,
            help="Every N consecutive frames of a folder are one bracket (merge).",
            show_default="told by pauses and exposures",
        ),
    ] = None,
    by_folder: Annotated[
        bool,
        typer.Option("--by-folder", help="All frames of a folder are one bracket (merge)."),
    ] = False,
    align: Annotated[
        bool,
        typer.Option("--align/--no-align", help="Register the exposures of a bracket (merge)."),
    ] = True,
    deghost: Annotated[
        str,
        typer.Option(
            metavar="auto|off|N",
            help="Leave a frame out where it differs from the middle exposure by more than N "
            "standard deviations of the noise, because something moved (merge); auto is 4.",
            callback=_deviations,
        ),
    ] = "auto",
    saturation: Annotated[
        float | None,
        typer.Option(
            metavar="V",
            help="Sample value, where 1 is white (of RAW files the white level that they state), "
            "from which on a channel is saturated.",
            show_default="estimated for each picture; 1 with --mode optics",
            callback=_sample,
        ),
    ] = None,
    linear: Annotated[
        bool,
        typer.Option(
            "--linear", help="Integer samples are linear, not sRGB, as in unprocessed sensor data."
        ),
    ] = False,
    bits: Annotated[
        int, typer.Option(metavar="8|10|12", help="Bit depth of the simulated sensor.")
    ] = _BITS,
    preview: Annotated[
        bool,
        typer.Option(
            "--preview",
            help="Also write NAME_preview.jpg, tone-mapped for a screen, at most 2048 pixels wide.",
        ),
    ] = False,
    write_mask: Annotated[
        bool,
        typer.Option(
            "--write-mask",
            help="Also write NAME_mask.png: 255 where a pixel was measured, 192 where frames "
            "were left out because something moved, 128 where it was decoded from the element's "
            "traces, 0 where it was guessed.",
        ),
    ] = False,
) -> None:
    """Recover the highlights that saturation clipped.

    Results are scene-linear, with 1 at the sensor's white and up to six stops above it. In mode
    single, pixels that are not saturated keep their values, linearised.

    \b
    Examples:
      imrestore hdr photo.jpg -o photo.exr --preview --write-mask
      imrestore hdr photos/ -r -o light/ --format jpg            (gain maps)
      imrestore hdr scene.exr -o capture.exr --simulate
      imrestore hdr capture.exr -o scene.exr --mode optics
      imrestore hdr raw.png -o scene.exr --mode optics --linear --model mine.safetensors
      imrestore hdr brackets/ -o merged/ --mode merge --preview
      imrestore hdr dark.tif mid.tif light.tif -o merged.exr --mode merge --exposures 1/60,1/15,1/4
    """  # noqa: D301 (the escape is Typer's mark for lines to be kept)
    from restore.hdr.radiance import BESIDE

    wanted = {"preview": preview, "write-mask": write_mask}
    beside = {kind: ending for kind, ending in BESIDE.items() if wanted[kind]}
    options = (
        _Option("--psf", psf is not None, (_OPTICS, _SIMULATE)),
        _Option("--saturation", saturation is not None, (_SINGLE, _OPTICS, _MERGE)),
        _Option("--model", network.model != "auto", (_SINGLE, _OPTICS, _SIMULATE)),
        _Option("--bits", bits != _BITS, (_SIMULATE,)),
        _Option("--exposure auto", exposure == "auto", (_SIMULATE,)),
        _Option("--exposures", exposures is not None, (_MERGE,)),
        _Option("--gap", gap != _GAP_S, (_MERGE,)),
        _Option("--group", group is not None, (_MERGE,)),
        _Option("--by-folder", by_folder, (_MERGE,)),
        _Option("--no-align", not align, (_MERGE,)),
        _Option("--deghost", deghost != "auto", (_MERGE,)),
    )
    _check(mode, is_simulated=simulate, options=options)
    if mode == "merge":
        from imrestore.hdr_merge import merge
        from restore.errors import UsageError
        from restore.hdr.merge.brackets import Grouping
        from restore.hdr.merge.ghosts import DEVIATIONS

        usual = {"auto": DEVIATIONS}
        if group and by_folder:
            raise UsageError("--group and --by-folder exclude each other")
        merge(
            files,
            beside=beside,
            describe=_describe,
            page=_page,
            exposures=exposures,
            grouping=Grouping(gap_s=gap, size=group, by_folder=by_folder),
            align=align,
            deghost=None if deghost == "off" else float(usual.get(deghost, deghost)),
            saturation=saturation,
            is_linear=linear,
            exposure_stops=0.0 if exposure in (None, "auto") else float(str(exposure)),
        )

    def prepare(_plan: "BatchPlan") -> batch.Work:
        return (
            _simulator(network.model, psf, bits, exposure, is_linear=linear)
            if simulate
            else _reconstructor(mode, network, psf, exposure, saturation, is_linear=linear)
        )

    batch.run(files, prepare, describe=_describe, page=_page, kind=_light_files, beside=beside)


def _reconstructor(
    mode: str,
    network: NetworkOptions,
    psf: Path | None,
    exposure: str | None,
    saturation: float | None,
    *,
    is_linear: bool,
) -> batch.Work:
    from restore.hdr.runner import HdrReconstructor

    reconstructor = HdrReconstructor(
        "optics" if mode == "optics" else "single",
        network.model,
        psf=_psf(psf),
        device=network.device,
        precision=network.precision,
        tile=network.tile,
    )
    stops = 0.0 if exposure in (None, "auto") else float(str(exposure))

    def reconstruct(picture: "Picture") -> "Radiance":
        return reconstructor(
            picture,
            saturation=saturation,
            is_linear=True if is_linear else None,
            exposure_stops=stops,
        )

    return batch.Work(reconstruct, reconstructor.lanes)


def _simulator(
    model: str, psf: Path | None, bits: int, exposure: str | None, *, is_linear: bool
) -> batch.Work:
    from restore.hdr.simulate import CaptureSimulator

    simulator = CaptureSimulator(model, psf=_psf(psf), bits=bits)
    stops = None if exposure in (None, "auto") else float(str(exposure))

    def simulate(picture: "Picture") -> "Radiance":
        return simulator(picture, exposure_stops=stops, is_linear=True if is_linear else None)

    return batch.Work(simulate)


def _psf(path: Path | None) -> "Tensor | None":
    from restore.hdr.optics.psf import load_psf

    return None if path is None else load_psf(path)


def _light_files() -> "FileKind[Picture, Radiance]":
    from restore.batch.kinds import PICTURES_TO_LIGHT

    return PICTURES_TO_LIGHT


def _check(mode: str, *, is_simulated: bool, options: Sequence[_Option]) -> None:
    """Refuse options that would have no effect on the results.

    Raises:
        UsageError: an option is given that goes with others.
    """
    from restore.errors import UsageError

    if is_simulated and mode == "merge":
        raise UsageError("--simulate takes single pictures; leave out --mode merge")
    does = _SIMULATE if is_simulated else f"--mode {mode}"
    for option in options:
        if option.is_given and does not in option.goes_with:
            raise UsageError(f"{option.name} goes with {' or '.join(option.goes_with)}")


def _page() -> "PageText":
    from restore.batch.page import PageText

    return PageText(
        title="imrestore hdr",
        explanation="Before is the picture as it came, of a bracket the exposure that the others "
        "were aligned to; after is the result. Both are darkened by one curve that brings the "
        "light above white onto the screen.",
        difference="Difference \u00d78",
    )


def _describe(record: Mapping[str, Any]) -> str:
    if record["mode"] == "simulate":
        return "exposed by {exposure_stops:+.2f} stops, {saturated:.2%} saturated".format_map(
            record
        )
    if record["mode"] == "merge":
        return (
            "{frames} exposures, {stops:.1f} stops apart, {guessed:.2%} guessed, frames left out "
            "in {left_out:.2%}"
        ).format_map(record)
    return (
        "{model} on {device}, {precision}, tile {tile}, {decoded:.2%} decoded, {guessed:.2%} "
        "guessed, peak {peak:.3g}"
    ).format_map(record)
