"""Denoisers of mosaics, beside development alone and finished pictures denoised."""

from collections.abc import Sequence
from typing import Any

from restore.api.evaluations.measurement import (
    Measurement,
    PathArg,
    Source,
    camera_of,
    checked_seed,
    names_of,
    numbers,
    the_only,
)
from restore.engine.placement import Placement

__all__ = ["denoise_raw"]

_SPEEDS = (100.0, 800.0, 6400.0, 25600.0)


def denoise_raw(
    source: Source,
    models: Sequence[Any],
    place: Placement,
    *,
    iso: float | Sequence[float] | None = None,
    xtrans: bool = False,
    camera: PathArg | None = None,
    estimate_sigma: bool = False,
    seed: int = 0,
) -> Measurement:
    """Return the evaluation of a denoiser of mosaics; see ``restore.evaluate`` for the arguments.

    Raises:
        UsageError: several models, or conditions that cannot be.
    """
    from restore.denoise.runner import Denoiser
    from restore.image.picture import Picture
    from restore.mosaic.evaluate import METHODS, PROTOCOL, evaluate_mosaic_denoiser
    from restore.mosaic.runner import MosaicDenoiser

    model = the_only(models, "denoise-raw")
    speeds = numbers("iso", _SPEEDS if iso is None else iso, 100, 102_400)
    taken_by, paths = camera_of(camera), source.paths()
    denoiser = MosaicDenoiser(
        model, device=place.device, precision=place.precision, tile=place.tile
    )
    finished = Denoiser(device=place.device, tile=place.tile)
    side = 6 if xtrans else 2
    return Measurement(
        results=evaluate_mosaic_denoiser(
            denoiser,
            lambda pixels: finished(Picture(pixels=pixels)).picture.pixels,
            paths,
            speeds,
            seed=checked_seed(seed),
            side=side,
            known=not estimate_sigma,
            camera=taken_by,
        ),
        pictures=paths,
        models=names_of(models),
        headings=METHODS,
        rows=[f"ISO {speed:g}" for speed in speeds],
        conditions={
            "seed": seed,
            "sensor": "X-Trans" if side == 6 else "Bayer",
            "profile_known": not estimate_sigma,
            **({"camera": taken_by.name} if taken_by else {}),
            "protocol": PROTOCOL,
        },
    )
