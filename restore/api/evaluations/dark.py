"""Learned image signal processors, on pictures made dark and on pairs as they were captured."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from restore.api.evaluations.measurement import (
    Measurement,
    PathArg,
    Source,
    camera_of,
    checked_seed,
    names_of,
    numbers,
    path_of,
    refuse_beside,
    the_only,
)
from restore.arguments import argument
from restore.engine.placement import Placement
from restore.errors import UsageError

if TYPE_CHECKING:
    from restore.dark.evaluate import Exposure
    from restore.dark.runner import DarkEnhancer

__all__ = ["dark_enhance"]

_RATIOS = (1.0, 10.0, 100.0, 250.0, 300.0)
_PERIODS = {"bayer": 2, "x-trans": 6}


def dark_enhance(
    source: Source,
    models: Sequence[Any],
    place: Placement,
    *,
    pairs: PathArg | None = None,
    ratio: float | Sequence[float] | None = None,
    iso: float | Sequence[float] | None = None,
    sensor: str | None = None,
    camera: PathArg | None = None,
    seed: int | None = None,
) -> Measurement:
    """Return the evaluation of an enhancer; see ``restore.evaluate`` for the arguments.

    Raises:
        UsageError: several models, clean pictures and pairs, or conditions that cannot be.
    """
    from restore.dark.evaluate import PAIRS_PROTOCOL, evaluate_pairs
    from restore.dark.runner import DarkEnhancer

    if (source.folder is None) == (pairs is None):
        raise UsageError(
            f"give a folder of clean pictures, or {argument('pairs')} with a list, not both"
        )
    model = the_only(models, "dark-enhance")
    if pairs is not None:
        given = {"ratio": ratio, "iso": iso, "sensor": sensor, "seed": seed, "camera": camera}
        refuse_beside("pairs", given, "which are measured as they were captured")
        from restore.dark.data import read_pairs

        captured = read_pairs(path_of("pairs", pairs))[: source.most]
    enhancer = DarkEnhancer(model, device=place.device, precision=place.precision, tile=place.tile)
    if pairs is not None:
        return Measurement(
            results=evaluate_pairs(enhancer, captured),
            pictures=[pair.short for pair in captured],
            models=names_of(models),
            headings=["network"],
            conditions={"protocol": PAIRS_PROTOCOL},
        )
    exposures = _exposures(enhancer, sensor, ratio, iso)
    return _on_clean(source, models, enhancer, exposures, camera, 0 if seed is None else seed)


def _on_clean(
    source: Source,
    models: Sequence[Any],
    enhancer: "DarkEnhancer",
    exposures: "Sequence[Exposure]",
    camera: PathArg | None,
    seed: int,
) -> Measurement:
    from restore.dark.evaluate import NON_LOCAL_MEANS, PROTOCOL, evaluate_dark_enhancer, methods

    taken_by, paths = camera_of(camera), source.paths()
    has_all = NON_LOCAL_MEANS in methods()
    return Measurement(
        results=evaluate_dark_enhancer(
            enhancer, paths, exposures, seed=checked_seed(seed), camera=taken_by
        ),
        pictures=paths,
        models=names_of(models),
        headings=methods(),
        rows=[exposure.name for exposure in exposures],
        conditions={
            "seed": seed,
            **({"camera": taken_by.name} if taken_by else {}),
            "protocol": PROTOCOL,
        },
        remark="" if has_all else "no non-local means to compare with: OpenCV is not installed",
    )


def _exposures(
    enhancer: "DarkEnhancer",
    sensor: str | None,
    ratio: float | Sequence[float] | None,
    iso: float | Sequence[float] | None,
) -> "list[Exposure]":
    from restore.dark.evaluate import Exposure

    if sensor is not None and sensor not in _PERIODS:
        raise UsageError(f"{argument('sensor')} {sensor}: use {' or '.join(_PERIODS)}")
    periods = enhancer.periods if sensor is None else (_PERIODS[sensor],)
    speeds = [] if iso is None else numbers("iso", iso, 100, 25_600)
    if ratio is None and speeds:
        ratios = []
    else:
        ratios = numbers("ratio", _RATIOS if ratio is None else ratio, 1, 10_000)
    return [
        *(Exposure(side=side, ratio=each) for side in periods for each in ratios),
        *(Exposure(side=side, iso=each) for side in periods for each in speeds),
    ]
