"""``restore.evaluate``: what ``imrestore evaluate`` measures, in Python."""

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restore.api.evaluation import Evaluation, Row
from restore.api.evaluations.anomaly import detectors, measured
from restore.api.evaluations.dark import dark_enhance
from restore.api.evaluations.denoise import denoise
from restore.api.evaluations.hdr import hdr
from restore.api.evaluations.measurement import Measurement, PathArg, Source
from restore.api.evaluations.mosaic import denoise_raw
from restore.engine.placement import Placement
from restore.errors import UsageError
from restore.image.metrics import Failure

if TYPE_CHECKING:
    from torch import nn

    from restore.anomaly.roi import RegionOfInterest
    from restore.weights.store import Weights

__all__ = ["evaluate"]

Numbers = float | Sequence[float]


def evaluate(
    task: str,
    pictures: PathArg | None = None,
    *,
    model: "str | PathLike[str] | Weights | nn.Module | Sequence[Any]" = "auto",
    device: str = "auto",
    precision: str = "auto",
    tile: str | int = "auto",
    recursive: bool = False,
    limit: int | None = None,
    seed: int | None = None,
    sigma: Numbers | None = None,
    jpeg: int | Sequence[int] | None = None,
    noisy: PathArg | None = None,
    reference: PathArg | None = None,
    coverage: bool = False,
    metrics: str | Sequence[str] | None = None,
    save: PathArg | None = None,
    gray: bool = False,
    estimate_sigma: bool = False,
    iso: Numbers | None = None,
    xtrans: bool = False,
    camera: PathArg | None = None,
    pairs: PathArg | None = None,
    ratio: Numbers | None = None,
    sensor: str | None = None,
    threshold: float | None = None,
    fpr: Numbers | None = None,
    roi: "RegionOfInterest | str | None" = None,
    align: str | None = None,
    min_area: int | None = None,
    captures: PathArg | None = None,
    **scenes: Any,
) -> Evaluation:
    """Measure networks as ``imrestore evaluate`` does.

    Args:
        task: denoise, denoise-raw (``imrestore evaluate denoise --raw``), dark-enhance, anomaly or
            hdr.
        pictures: folder of clean pictures; for anomaly a test set in MVTec's layout, for hdr of
            HDR pictures; with ``reference``, of finished outputs. None with ``pairs`` and with
            ``captures``.
        model: weights as the class of the task takes them (``Denoiser``, ``MosaicDenoiser``,
            ``DarkEnhancer``, ``Detector``, ``HdrReconstructor``), or, for denoise, anomaly and hdr,
            a list of several, compared on the same inputs.
        device: as for ``Denoiser``.
        precision: as for ``Denoiser``.
        tile: as for ``Denoiser``.
        recursive: take the pictures in subfolders too; not for anomaly, nor with ``captures``.
        limit: number of pictures to end after; not for anomaly, nor with ``captures``.
        seed: seed of the noise of the first picture, 0 by default; where noise is drawn.
        sigma: for denoise, levels of white noise, 0..255; (15, 25, 50) by default.
        jpeg: for denoise, qualities of JPEG in place of noise.
        noisy: for denoise, folder of noisy pictures with the same names, in place of added noise.
        reference: for denoise, folder of clean pictures that the outputs in ``pictures`` are
            compared with; no network runs.
        coverage: for denoise, measure error maps in place of results: which share of the errors
            lies below the bound of 90 %, by texture, with noise of several kinds. The rows of the
            command's table are in ``Evaluation.summary``.
        metrics: for denoise, names of further measures: lpips, dists or niqe.
        save: for denoise, folder for what was restored, as PNG of 16 bits.
        gray: for denoise, turn colour pictures into 8-bit luma first.
        estimate_sigma: for denoise and denoise-raw, give the network the estimated level or profile
            in place of the true one.
        iso: for denoise-raw and dark-enhance, ISO speeds.
        xtrans: for denoise-raw, RAW files of X-Trans sensors.
        camera: for denoise-raw and dark-enhance, file of ``imrestore noise-profile``.
        pairs: for dark-enhance, list of short and long exposures to measure on.
        ratio: for dark-enhance, factors by which the pictures are darkened.
        sensor: for dark-enhance, bayer or x-trans; all that the network is for by default.
        threshold: for anomaly, see ``Detector``.
        fpr: for anomaly, false-alarm rates that set the threshold; the figures are those of the
            first.
        roi: for anomaly, see ``Detector``.
        align: for anomaly, see ``Detector``.
        min_area: for anomaly, see ``Detector``.
        captures: for hdr, folder of real captures, in place of ``pictures``.
        scenes: for hdr, fields of ``restore.hdr.evaluate.Conditions``.

    Raises:
        UsageError: an unknown task, something that it does not take, or a folder without pictures.
        WeightsError: weights that cannot be used.
        DeviceError: the device is not on this machine.

    It may be called from several threads.

    >>> import restore
    >>> measured = restore.evaluate(
    ...     "denoise", "weights/measure", model="dncnn-gray", sigma=25, gray=True, limit=1
    ... )
    >>> (mean,) = measured.means("model", "sigma")
    >>> mean["psnr"] > mean["psnr_noisy"] + 5
    True
    """
    given = {
        "seed": seed,
        "sigma": sigma,
        "jpeg": jpeg,
        "noisy": noisy,
        "reference": reference,
        "coverage": coverage or None,
        "metrics": metrics,
        "save": save,
        "gray": gray or None,
        "estimate_sigma": estimate_sigma or None,
        "iso": iso,
        "xtrans": xtrans or None,
        "camera": camera,
        "pairs": pairs,
        "ratio": ratio,
        "sensor": sensor,
        "threshold": threshold,
        "fpr": fpr,
        "roi": roi,
        "align": align,
        "min_area": min_area,
        "captures": captures,
    }
    arguments = {name: value for name, value in given.items() if value is not None} | scenes
    if task not in list(_EVALUATIONS):
        raise UsageError(f"task {task!r:.40}: use {', '.join(_EVALUATIONS)}")
    measure = _EVALUATIONS[task]
    _check_known(task, measure, arguments)
    models = list(model) if isinstance(model, list | tuple) else [model]
    if not models:
        raise UsageError(f"0 models: give one for {task}")
    if pictures is not None and not isinstance(pictures, str | PathLike):
        raise UsageError(f"pictures {pictures!r:.80}: give the path of a folder")
    source = Source(
        folder=None if pictures is None else Path(pictures), recursive=recursive, limit=limit
    )
    place = Placement(device=device, precision=precision, tile=tile)
    found = measure(source, models, place, **arguments)
    return found if isinstance(found, Evaluation) else _gathered(found)


def _gathered(measurement: Measurement) -> Evaluation:
    """Carry an evaluation out."""
    scores, failures = [], []
    for result in measurement.results:
        if isinstance(result, Failure):
            failures.append(result.reason)
        else:
            scores.append(result)
    model = {"model": measurement.models[0]} if len(measurement.models) == 1 else {}
    return Evaluation(
        scores=[{"path": one.path, **model, **_flat(one.figures)} for one in scores],
        failures=failures,
        conditions=measurement.conditions,
        summary=[_flat(row) for row in measurement.summary(scores)],
    )


def _anomaly(
    source: Source,
    models: list[Any],
    place: Placement,
    *,
    threshold: float | None = None,
    fpr: Numbers | None = None,
    roi: "RegionOfInterest | str | None" = None,
    align: str | None = None,
    min_area: int | None = None,
) -> Evaluation:
    from restore.anomaly.evaluate import ANOMALY_PROTOCOL
    from restore.anomaly.testset import find_test_set

    if source.recursive or source.limit is not None:
        raise UsageError("recursive and limit are not for anomaly, whose test sets are trees")
    tests = find_test_set(source.place)
    opened = detectors(
        models, place, threshold=threshold, fpr=fpr, roi=roi, align=align, min_area=min_area
    )
    found = list(measured(opened, models, tests, fpr=fpr))
    remarks = (each for one in found for each in one.figures.remarks)
    return Evaluation(
        scores=[row for one in found for row in one.rows],
        failures=list(dict.fromkeys(each for one in found for each in one.figures.failures)),
        conditions={"protocol": ANOMALY_PROTOCOL, "remarks": [*tests.remarks, *remarks]},
        summary=[
            {"model": one.name, **_flat(vars(point))}
            for one in found
            for point in one.figures.points
        ],
    )


_EVALUATIONS: Mapping[str, Callable[..., Measurement | Evaluation]] = {
    "denoise": denoise,
    "denoise-raw": denoise_raw,
    "dark-enhance": dark_enhance,
    "anomaly": _anomaly,
    "hdr": hdr,
}
_COMMON = {"source", "models", "place"}


def _check_known(task: str, measure: Callable[..., object], given: Row) -> None:
    """Refuse what a task does not take."""
    parameters = signature(measure).parameters
    if any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
        return  # it looks itself
    known = parameters.keys() - _COMMON
    for name in sorted(given.keys() - known):
        raise UsageError(f"{name} is not for {task}; it has {', '.join(sorted(known))}")


def _flat(values: Row, before: str = "") -> dict[str, Any]:
    """Return nested values under names such as ``saturated_mu``."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{before}{key}"
        flat |= _flat(value, f"{name}_") if isinstance(value, Mapping) else {name: value}
    return flat
