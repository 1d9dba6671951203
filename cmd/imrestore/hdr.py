"""`imrestore hdr`: one exposure, a coded exposure or a bracket in, scene-linear HDR out."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imrestore import batch
from imrestore.checks import number
from imrestore.expansion import with_decoding_options, with_options
from imrestore.hdr_options import (
    MERGE,
    MODES,
    OPTICS,
    SIMULATE,
    SINGLE,
    LightFileOptions,
    MergeOptions,
    Option,
    check_together,
    given_of,
)
from imrestore.options import NetworkOptions

if TYPE_CHECKING:
    from torch import Tensor

    from restore.batch.kinds import FileKind
    from restore.batch.page import PageText
    from restore.batch.plan import BatchPlan
    from restore.hdr.radiance import Radiance
    from restore.image.picture import Picture
    from restore.image.raw_picture import RawPicture

__all__ = ["hdr"]

_BITS = 8


def _mode(value: str) -> str:
    if value not in MODES:
        raise typer.BadParameter(f"{value}: use {', '.join(MODES)}")
    return value


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
            callback=number(
                lambda stops: abs(stops) <= 30, "give stops from -30 to 30, or auto", "auto"
            ),
        ),
    ] = None,
    merging: MergeOptions,
    saturation: Annotated[
        float | None,
        typer.Option(
            metavar="V",
            help="Sample value, where 1 is white (of RAW files the white level that they state), "
            "from which on a channel is saturated.",
            show_default="estimated for each picture; 1 with --mode optics",
            callback=number(lambda sample: 0.5 <= sample <= 1, "give a sample value from 0.5 to 1"),
        ),
    ] = None,
    max_stops: Annotated[
        float | None,
        typer.Option(
            metavar="STOPS",
            min=0,
            max=30,
            help="Most stops above saturation that a guess may have (single, optics).",
            show_default="6, as trained",
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
            "were left out because something moved, or colours of a RAW file were saturated, 128 "
            "where the element's traces were decoded, 0 where it was guessed.",
        ),
    ] = False,
) -> None:
    """Recover the highlights that saturation clipped.

    Results are scene-linear, with 1 at the sensor's white and up to six stops above it. In mode
    single, pixels that are not saturated keep their values, linearised; of RAW files, what the
    sensor measured above the white of a developed picture is used before anything is guessed.

    \b
    Examples:
      imrestore hdr photo.jpg -o photo.exr --preview --write-mask
      imrestore hdr photo.nef -o photo.exr --max-stops 2
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
    options = [
        Option("--psf", psf is not None, (OPTICS, SIMULATE)),
        Option("--saturation", saturation is not None, (SINGLE, OPTICS, MERGE)),
        Option("--max-stops", max_stops is not None, (SINGLE, OPTICS)),
        Option("--model", network.model != "auto", (SINGLE, OPTICS, SIMULATE)),
        Option("--bits", bits != _BITS, (SIMULATE,)),
        Option("--exposure auto", exposure == "auto", (SIMULATE,)),
        *given_of(merging),
    ]
    check_together(mode, is_simulated=simulate, options=options)
    stops = None if exposure in (None, "auto") else float(str(exposure))
    if mode == "merge":
        from imrestore.hdr_merge import merge

        merge(
            files,
            merging,
            beside=beside,
            describe=_describe,
            page=_page,
            saturation=saturation,
            is_linear=linear,
            exposure_stops=stops or 0.0,
        )

    def prepare(_plan: "BatchPlan | None") -> batch.Work:
        return (
            _simulator(network.model, psf, bits, stops, is_linear=linear)
            if simulate
            else _reconstructor(
                mode,
                network,
                psf,
                saturation=saturation,
                is_linear=True if linear else None,
                exposure_stops=stops or 0.0,
                max_stops=max_stops,
            )
        )

    takes_raw = mode == "single" and not simulate
    kind = _light_and_raw_files if takes_raw else _light_files
    batch.run(
        files,
        prepare,
        describe=_describe,
        page=_page,
        kind=kind,
        beside=beside,
        # Both would be written to one name, and the RAW file holds more light.
        twins="raw" if takes_raw else "both",
    )


def _reconstructor(
    mode: str,
    network: NetworkOptions,
    psf: Path | None,
    *,
    saturation: float | None,
    is_linear: bool | None,
    exposure_stops: float,
    max_stops: float | None,
) -> batch.Work:
    from restore.hdr.runner import HdrReconstructor

    reconstructor = HdrReconstructor(
        "optics" if mode == "optics" else "single",
        network.model,
        psf=_psf(psf),
        **network.placement,
    )

    def reconstruct(source: "Picture | RawPicture") -> "Radiance":
        return reconstructor(
            source,
            saturation=saturation,
            is_linear=is_linear,
            exposure_stops=exposure_stops,
            max_stops=max_stops,
        )

    return batch.Work(reconstruct, reconstructor.lanes)


def _simulator(
    model: str, psf: Path | None, bits: int, exposure_stops: float | None, *, is_linear: bool
) -> batch.Work:
    from restore.hdr.simulate import CaptureSimulator

    simulator = CaptureSimulator(model, psf=_psf(psf), bits=bits)

    def simulate(picture: "Picture") -> "Radiance":
        return simulator(
            picture, exposure_stops=exposure_stops, is_linear=True if is_linear else None
        )

    return batch.Work(simulate)


def _psf(path: Path | None) -> "Tensor | None":
    from restore.hdr.optics.psf import load_psf

    return None if path is None else load_psf(path)


def _light_files() -> "FileKind[Picture, Radiance]":
    from restore.batch.kinds import PICTURES_TO_LIGHT

    return PICTURES_TO_LIGHT


def _light_and_raw_files() -> "FileKind[Picture | RawPicture, Radiance]":
    from restore.batch.kinds import PICTURES_AND_RAW_TO_LIGHT

    return PICTURES_AND_RAW_TO_LIGHT


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
