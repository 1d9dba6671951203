"""Denoisers of mosaics: what `imrestore evaluate denoise --raw` measures."""

from collections.abc import Mapping
from pathlib import Path

from imrestore.evaluate.contenders import ContenderOptions
from imrestore.evaluate.scores import ScoreOptions, Scores, number_list, scored_pictures

__all__ = ["SPEEDS", "of_mosaics", "refuse_beside_raw", "speeds"]

SPEEDS = "100,800,6400,25600"
"""ISO speeds that are measured by default."""


def of_mosaics(
    folder: Path,
    network: ContenderOptions,
    iso: list[float],
    seed: int,
    options: ScoreOptions,
    *,
    side: int,
    known: bool,
    camera: Path | None,
) -> Scores:
    """Return the scores of a denoiser of mosaics, and of what it is compared with."""
    from restore.denoise.runner import Denoiser
    from restore.errors import UsageError
    from restore.image.picture import Picture
    from restore.mosaic.evaluate import METHODS, PROTOCOL, evaluate_mosaic_denoiser
    from restore.mosaic.runner import MosaicDenoiser
    from restore.noise.measured_camera import read_camera

    if len(network.each) > 1:
        raise UsageError("--raw compares a network with others' ways: give --model once")
    (only,) = network.each
    taken_by = None if camera is None else read_camera(camera)
    paths = options.pictures_in(folder)
    denoiser = MosaicDenoiser(only.model, **only.placement)
    finished = Denoiser(device=network.device, tile=network.tile)
    results = evaluate_mosaic_denoiser(
        denoiser,
        lambda pixels: finished(Picture(pixels=pixels)).picture.pixels,
        paths,
        iso,
        seed=seed,
        side=side,
        known=known,
        camera=taken_by,
    )
    return Scores(
        scored=scored_pictures(results),
        pictures=paths,
        headings=METHODS,
        rows=[f"ISO {speed:g}" for speed in iso],
        conditions={
            "seed": seed,
            "sensor": "X-Trans" if side == 6 else "Bayer",
            "profile_known": known,
            **({"camera": taken_by.name} if taken_by else {}),
            "protocol": PROTOCOL,
        },
    )


def speeds(text: str | None) -> list[float]:
    """Return the ISO speeds of an option.

    Raises:
        UsageError: the text is no list of them.
    """
    text = text or SPEEDS
    advice = f"--iso {text}: give ISO speeds from 100 to 102400, as in {SPEEDS}"
    return number_list(text, low=100, high=102_400, advice=advice)


def refuse_beside_raw(given: Mapping[str, object]) -> None:
    """Refuse options that --raw does not take.

    Raises:
        UsageError: one of them is given.
    """
    from restore.errors import UsageError

    for option in (option for option, value in given.items() if value is not None):
        raise UsageError(f"{option} is not for --raw, whose files have the noise of a sensor")
