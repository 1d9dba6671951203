"""`imrestore train hdr`: a network for high dynamic range, and the optics in front of it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from imrestore.checks import without_effect
from imrestore.expansion import with_decoding_options, with_options
from imrestore.train.options import TrainingOptions, layer_widths
from imrestore.train.supervision import train_supervised

__all__ = ["hdr"]


@with_decoding_options
@with_options
def hdr(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR",
            help="Folders (trees) of HDR pictures, panoramas and photographs.",
            show_default=False,
        ),
    ],
    *,
    training: TrainingOptions,
    optics: Annotated[
        str,
        typer.Option(
            metavar="learn|fixed|none",
            help="Optimise an optical element together with the network; train for the element "
            "that --psf describes; or train for ordinary pictures.",
        ),
    ],
    psf: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Point spread function for --optics fixed: .npz, .npy, EXR or float TIFF.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            metavar="resunet|unet",
            help="Network: a residual U-Net in mu-law values, or that of Metzler et al.",
        ),
    ] = "resunet",
    width: Annotated[
        str | None,
        typer.Option(
            metavar="N[,N...]",
            help="Feature channels: one per level for a resunet (16,48,96,128,128), one number "
            "for a unet (64).",
            show_default=False,
        ),
    ] = None,
    blocks: Annotated[
        int | None,
        typer.Option(metavar="N", help="Residual blocks per level of a resunet.", show_default="1"),
    ] = None,
    element: Annotated[
        str | None,
        typer.Option(
            metavar="grating|free|rank1|zernike",
            help="Parametrisation of a learned element's heights.",
            show_default="grating",
        ),
    ] = None,
    cells: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="A learned element has N x N heights over the 5 mm aperture; more of them spread "
            "light further.",
            show_default="256",
        ),
    ] = None,
    psf_size: Annotated[
        int | None,
        typer.Option(
            metavar="PX", help="Side of a learned element's PSF, odd.", show_default="129"
        ),
    ] = None,
    patch: Annotated[
        int, typer.Option(metavar="PX", help="Side of the crops; 320 in the paper.")
    ] = 192,
    saturated: Annotated[
        str,
        typer.Option(metavar="LOW:HIGH", help="Percent of each crop's pixels above white."),
    ] = "1:2",
    loss: Annotated[
        str,
        typer.Option(
            metavar="mu|pu21|psnr|gamma",
            help="What is minimised: differences of mu-law or PU21 values, minus the PSNR of PU21 "
            "values, or the paper's root mean square of square roots.",
        ),
    ] = "mu",
    bits: Annotated[int, typer.Option(metavar="8|10|12", help="Bit depth of the sensor.")] = 8,
    read_noise: Annotated[
        float,
        typer.Option(
            metavar="S", help="Largest standard deviation of read noise, where white is 1."
        ),
    ] = 0.005,
    full_well: Annotated[
        float,
        typer.Option(
            metavar="N", help="Full-well capacity in electrons, for shot noise; 0 for none."
        ),
    ] = 0.0,
    capture_errors: Annotated[
        bool,
        typer.Option(
            "--capture-errors",
            help="Train for what real lenses and cameras do besides: the PSF scaled, turned and "
            "blurred differently in every crop, light scattered beyond it, a black level that is "
            "off, a soft knee below white, demosaicking.",
        ),
    ] = False,
    surfaces: Annotated[
        float,
        typer.Option(
            metavar="PERCENT",
            min=0,
            max=100,
            help="Share of the crops that are overexposed surfaces in photographs instead of "
            "lights: what is white need not be a lamp.",
        ),
    ] = 10.0,
    start_from: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="NAME|FILE",
            help="Start from the network of these weights.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Train a network that recovers the radiance of saturated pixels, with or without optics.

    Panoramas (twice as wide as high) are cut into views of random direction; photographs are made
    HDR by an inverse tone curve and added lights. Each crop is exposed so that a share of it
    saturates, and clipped six stops above white.

    With --optics learn the heights of an element in the aperture are optimised together with the
    network. NAME.height-map.tif (micrometres) and NAME.height-map.png (16 bits), NAME.psf.exr and
    the picture NAME.element.png are written beside the weights. See `imrestore train denoise
    --help` for the files that every training writes and how to resume one.

    \b
    Examples:
      imrestore train hdr panoramas/ --optics learn -o lens.safetensors --time 2h
      imrestore train hdr panoramas/ --optics fixed --psf measured.npz -o mine.safetensors --time 2h
      imrestore train hdr panoramas/ photos/ --optics none -o plain.safetensors --steps 20000
    """  # noqa: D301 (the escape is Typer's mark for lines to be kept)
    from restore.hdr.optics.capture_errors import CaptureErrors
    from restore.hdr.recipe import HdrRecipe
    from restore.hdr.train import train_hdr

    own = {"blocks": blocks, "element": element, "cells": cells, "psf_size": psf_size}
    given: dict[str, Any] = {name: value for name, value in own.items() if value is not None}
    if not training.resume:  # the checkpoint has options that passed this check
        why = {"blocks": model == "unet" and "a unet has no residual blocks"}
        of_element = optics != "learn" and "it describes the element that --optics learn optimises"
        without_effect(**{name: why.get(name, of_element) for name in given})
    recipe = HdrRecipe(
        optics=optics,
        model=model,
        widths=layer_widths(width, "16,48,96,128,128"),
        patch=patch,
        saturated=_shares(saturated),
        loss=loss,
        bits=bits,
        read_noise=read_noise,
        full_well=full_well,
        errors=CaptureErrors() if capture_errors else None,
        surfaces=surfaces / 100,
        **given,
        **training.schedule_values(),
    )
    train_supervised(
        training,
        recipe,
        lambda **supervision: train_hdr(
            recipe,
            training.output,
            folders=folders,
            psf=psf,
            start_from=start_from,
            **supervision,
        ),
    )


def _shares(text: str) -> tuple[float, float]:
    from restore.errors import UsageError

    low, _, high = text.partition(":")
    try:
        return float(low) / 100, float(high or low) / 100
    except ValueError:
        raise UsageError(f"--saturated {text}: give LOW:HIGH in percent, as in 1:2") from None
