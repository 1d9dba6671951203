"""``restore.evaluate``: what ``imrestore evaluate`` measures, in Python."""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import asdict, fields
from inspect import signature
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restore.api.evaluation import Evaluation, Row
from restore.batch.inputs import pictures_in
from restore.checks import LARGEST_SEED, checked_number, checked_whole
from restore.engine.placement import Placement
from restore.errors import UsageError
from restore.image.metrics import Failure

if TYPE_CHECKING:
    from torch import nn

    from restore.noise.measured_camera import MeasuredCamera
    from restore.weights.store import Weights

__all__ = ["evaluate"]

PathArg = str | PathLike[str]

_RATIOS = (1, 10, 100, 250, 300)


def evaluate(
    task: str,
    pictures: PathArg,
    *,
    model: "str | PathLike[str] | Weights | nn.Module | Sequence[Any]" = "auto",
    device: str = "auto",
    precision: str = "auto",
    recursive: bool = False,
    **conditions: Any,
) -> Evaluation:
    """Measure networks as ``imrestore evaluate`` does.

    Args:
        task: denoise, denoise-raw (``imrestore evaluate denoise --raw``), dark-enhance, anomaly or
            hdr.
        pictures: folder of clean pictures; for anomaly a test set in MVTec's layout, for hdr of
            HDR pictures.
        model: weights as the class of the task takes them (``Denoiser``, ``MosaicDenoiser``,
            ``DarkEnhancer``, ``Detector``, ``HdrReconstructor``), or, for denoise, anomaly and hdr,
            a list of several, compared on the same inputs.
        device: as for ``Denoiser``.
        precision: as for ``Denoiser``.
        recursive: take the pictures in subfolders too.
        conditions: what the task's command has as options. For denoise ``sigma`` (levels in
            0..255), ``jpeg`` (qualities) or ``noisy`` (a folder), ``gray``, ``estimate_sigma``,
            ``seed``; for denoise-raw ``iso``, ``xtrans``, ``camera``, ``estimate_sigma``, ``seed``;
            for dark-enhance ``ratio``, ``iso``, ``camera``, ``seed``; for anomaly ``fpr``; for hdr
            the fields of ``restore.hdr.evaluate.Conditions``. Of all but anomaly and hdr, ``limit``
            is a number of pictures to end after.

    Raises:
        UsageError: an unknown task or condition, or a folder without pictures.
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
    if task not in list(_EVALUATIONS):
        raise UsageError(f"task {task!r:.40}: use {', '.join(_EVALUATIONS)}")
    measure = _EVALUATIONS[task]
    if measure is not _hdr:
        own = signature(measure).parameters.keys() - {"folder", "models", "place", "recursive"}
        _check_known(task, conditions, own)
    models = list(model) if isinstance(model, list | tuple) else [model]
    if not models or (len(models) > 1 and task in _OF_ONE):
        raise UsageError(f"{len(models)} models: give one for {task}")
    if not isinstance(pictures, str | PathLike):
        raise UsageError(f"pictures {pictures!r:.80}: give the path of a folder")
    place = Placement(device=device, precision=precision)
    return measure(Path(pictures), models, place, recursive=recursive, **conditions)


def _denoise(
    folder: Path,
    models: list[Any],
    place: Placement,
    *,
    recursive: bool,
    sigma: float | Sequence[float] | None = None,
    jpeg: int | Sequence[int] | None = None,
    noisy: PathArg | None = None,
    gray: bool = False,
    estimate_sigma: bool = False,
    seed: int = 0,
    limit: int | None = None,
) -> Evaluation:
    from restore.denoise.evaluate import evaluate_denoiser
    from restore.denoise.runner import Denoiser
    from restore.denoise.trials import Trials

    given = {"sigma": sigma, "jpeg": jpeg, "noisy": noisy}
    if len(several := [name for name, value in given.items() if value is not None]) > 1:
        raise UsageError(f"{' and '.join(several)} contradict each other")
    if noisy is not None:
        trials = Trials.captured(folder, Path(noisy), recursive=recursive, gray=gray)
    elif jpeg is not None:
        qualities = _numbers("jpeg", jpeg, 1, 100, "whole numbers")
        trials = Trials.compressed([int(each) for each in qualities])
    else:
        levels = _numbers("sigma", (15, 25, 50) if sigma is None else sigma, 0, 255)
        trials = Trials.gaussian(levels, seed=_seed(seed), known=not estimate_sigma)
    paths = _paths(folder, limit, recursive=recursive)
    denoisers = [
        Denoiser(model, device=place.device, precision=place.precision, sigma=trials.told)
        for model in models
    ]
    return _gathered(
        evaluate_denoiser(
            dict(zip(_names(models), denoisers, strict=True)), paths, trials.trials, gray=gray
        ),
        {"gray": gray, **trials.conditions},
    )


def _denoise_raw(
    folder: Path,
    models: list[Any],
    place: Placement,
    *,
    recursive: bool,
    iso: float | Sequence[float] = (100, 800, 6400, 25600),
    xtrans: bool = False,
    camera: PathArg | None = None,
    estimate_sigma: bool = False,
    seed: int = 0,
    limit: int | None = None,
) -> Evaluation:
    from restore.denoise.runner import Denoiser
    from restore.image.picture import Picture
    from restore.mosaic.evaluate import PROTOCOL, evaluate_mosaic_denoiser
    from restore.mosaic.runner import MosaicDenoiser

    finished = Denoiser(device=place.device)
    results = evaluate_mosaic_denoiser(
        MosaicDenoiser(models[0], device=place.device, precision=place.precision),
        lambda pixels: finished(Picture(pixels=pixels)).picture.pixels,
        _paths(folder, limit, recursive=recursive),
        _numbers("iso", iso, 100, 102_400),
        seed=_seed(seed),
        side=6 if xtrans else 2,
        known=not estimate_sigma,
        camera=_camera(camera),
    )
    return _gathered(results, {"seed": seed, "protocol": PROTOCOL})


def _dark_enhance(
    folder: Path,
    models: list[Any],
    place: Placement,
    *,
    recursive: bool,
    ratio: float | Sequence[float] | None = None,
    iso: float | Sequence[float] | None = None,
    camera: PathArg | None = None,
    seed: int = 0,
    limit: int | None = None,
) -> Evaluation:
    from restore.dark.evaluate import PROTOCOL, Exposure, evaluate_dark_enhancer
    from restore.dark.runner import DarkEnhancer

    enhancer = DarkEnhancer(models[0], device=place.device, precision=place.precision)
    speeds = [] if iso is None else _numbers("iso", iso, 100, 25_600)
    if ratio is None and speeds:
        ratios = []
    else:
        ratios = _numbers("ratio", _RATIOS if ratio is None else ratio, 1, 10_000)
    exposures = [
        *(Exposure(side=side, ratio=each) for side in enhancer.periods for each in ratios),
        *(Exposure(side=side, iso=each) for side in enhancer.periods for each in speeds),
    ]
    paths = _paths(folder, limit, recursive=recursive)
    results = evaluate_dark_enhancer(
        enhancer, paths, exposures, seed=_seed(seed), camera=_camera(camera)
    )
    return _gathered(results, {"seed": seed, "protocol": PROTOCOL})


def _anomaly(
    folder: Path,
    models: list[Any],
    place: Placement,
    *,
    recursive: bool,
    fpr: float | None = None,
) -> Evaluation:
    from restore.anomaly.evaluate import ANOMALY_PROTOCOL, evaluate_detector
    from restore.anomaly.runner import Detector
    from restore.anomaly.testset import find_test_set

    if recursive:
        raise UsageError("recursive is not for anomaly, whose test sets are trees")
    tests = find_test_set(folder)
    scores: list[Row] = []
    failures: dict[str, None] = {}
    for name, model in zip(_names(models), models, strict=True):
        detector = Detector(model, fpr=fpr, device=place.device, precision=place.precision)
        figures = evaluate_detector(detector, tests.parts)
        of_all = {"model": name, "threshold": figures.threshold, "good": figures.good}
        of_all["false_alarms"] = figures.false_alarms
        scores += [of_all | asdict(kind) for kind in figures.kinds]
        failures |= dict.fromkeys(figures.failures)
    conditions = {"protocol": ANOMALY_PROTOCOL, "remarks": list(tests.remarks)}
    return Evaluation(scores=scores, failures=list(failures), conditions=conditions)


def _hdr(
    folder: Path, models: list[Any], place: Placement, *, recursive: bool, **given: Any
) -> Evaluation:
    from restore.hdr.evaluate import Conditions, Contender, HdrFailure, evaluate_hdr, protocol
    from restore.hdr.task import TASK

    _check_known("hdr", given, {field.name for field in fields(Conditions)})
    conditions = Conditions(**given)
    for model in models:
        if not isinstance(model, str | PathLike):
            raise UsageError(f"{_name(model)}: for hdr give the name or the file of weights")
    names = [TASK.default_weights["optics"] if str(each) == "auto" else each for each in models]
    contenders = [
        Contender(str(name), device=place.device, precision=place.precision, tile=place.tile)
        for name in names
    ]
    scores: list[Row] = []
    failures = []
    for result in evaluate_hdr(contenders, pictures_in(folder, recursive=recursive), conditions):
        if isinstance(result, HdrFailure):
            failures.append(result.reason)
        else:
            scores.append(_flat(asdict(result)))
    stated = {**asdict(conditions), "protocol": protocol(conditions)}
    return Evaluation(scores=scores, failures=failures, conditions=stated)


_EVALUATIONS: Mapping[str, Callable[..., Evaluation]] = {
    "denoise": _denoise,
    "denoise-raw": _denoise_raw,
    "dark-enhance": _dark_enhance,
    "anomaly": _anomaly,
    "hdr": _hdr,
}
_OF_ONE = ("denoise-raw", "dark-enhance")


def _check_known(task: str, given: Row, known: Set[str]) -> None:
    for name in sorted(given.keys() - known):
        raise UsageError(f"{name} is not for {task}; it has {', '.join(sorted(known))}")


def _gathered(results: Iterable[Any], conditions: Row) -> Evaluation:
    scores: list[Row] = []
    failures = []
    for result in results:
        if isinstance(result, Failure):
            failures.append(result.reason)
        else:
            scores.append({"path": result.path, **result.figures})
    return Evaluation(scores=scores, failures=failures, conditions=conditions)


def _paths(folder: Path, limit: int | None, *, recursive: bool) -> list[Path]:
    most = None if limit is None else checked_whole("limit", limit, 1, 10**9)
    return pictures_in(folder, recursive=recursive)[:most]


def _names(models: Sequence[Any]) -> list[str]:
    """Return what models are called, numbered where several are called the same."""
    names = [_name(model) for model in models]
    alike = {name for name in names if names.count(name) > 1}
    return [f"{name} {index}" if name in alike else name for index, name in enumerate(names, 1)]


def _name(model: Any) -> str:
    if isinstance(model, str | PathLike):
        path = Path(model)
        return path.stem if path.suffix else str(model)
    return str(getattr(model, "name", type(model).__name__))


def _numbers(
    name: str, value: Any, least: float, most: float, kind: str = "numbers"
) -> list[float]:
    values = value if isinstance(value, Iterable) and not isinstance(value, str) else [value]
    advice = f"{kind} from {least:g} to {most:g}"
    numbers = [checked_number(name, each, least, most, advice) for each in values]
    if not numbers or (kind != "numbers" and not all(map(float.is_integer, numbers))):
        raise UsageError(f"{name} {value!r:.80}: give {advice}")
    return numbers


def _seed(value: Any) -> int:
    return checked_whole("seed", value, 0, LARGEST_SEED)


def _camera(path: PathArg | None) -> "MeasuredCamera | None":
    from restore.noise.measured_camera import read_camera

    return None if path is None else read_camera(path)


def _flat(values: Row, before: str = "") -> dict[str, Any]:
    """Return nested values under names such as ``saturated_mu``."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{before}{key}"
        flat |= _flat(value, f"{name}_") if isinstance(value, Mapping) else {name: value}
    return flat
