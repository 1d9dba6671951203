"""``restore.train``: what ``imrestore train`` does, in Python."""

from collections.abc import Callable, Sequence
from os import PathLike, fspath
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, cast

from restore.checks import checked_number, seconds_in
from restore.errors import UsageError
from restore.tasks import TASKS
from restore.weights.file import read_weight_file
from restore.weights.task import Course

if TYPE_CHECKING:
    from torch import nn

    from restore.training.recipe import Recipe
    from restore.training.schedule import Progress
    from restore.weights.store import Weights

__all__ = ["train"]

PathArg = str | PathLike[str]


_TASKS = {task.name: task for task in TASKS}
_OF_HELD = ("validation", "split")


def train(
    task: str,
    pictures: PathArg | Sequence[PathArg] = (),
    *,
    output: PathArg,
    time: str | float | None = None,
    noisy: PathArg | Sequence[PathArg] = (),
    pairs: PathArg | tuple[PathArg, PathArg] | None = None,
    pair_names: tuple[str, str] | None = None,
    validation: PathArg | None = None,
    split: str = "picture",
    start_from: PathArg | None = None,
    teacher: PathArg | None = None,
    network: "nn.Module | None" = None,
    camera: PathArg | None = None,
    psf: PathArg | None = None,
    roi: PathArg | None = None,
    device: str = "auto",
    precision: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    cache: PathArg | None = None,
    report: "Callable[[Progress], None]" = lambda _: None,
    warn: Callable[[str], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    **settings: Any,
) -> "Weights":
    """Train a network as ``imrestore train`` does, write its weight file, and return the weights.

    Beside the output lie ``NAME.history.csv`` and ``.png``; a checkpoint is there until the end.

    Args:
        task: denoise, denoise-raw (``imrestore train denoise --raw``), denoise-error (the same with
            ``--error-of``), dark-enhance, anomaly or hdr.
        pictures: folders (trees) of clean pictures; of good parts for anomaly, of HDR pictures for
            hdr.
        output: weight file to write.
        time: training time, as in "20m" or in seconds; in its place, ``steps`` can be given.
        noisy: for denoise, folders of noisy pictures to learn from without clean ones.
        pairs: for denoise, folders of noisy and of clean pictures; for dark-enhance, a list of
            short and long exposures.
        pair_names: for denoise, how the names of pairs differ, as in ("{}_NOISY", "{}_GT").
        validation: for denoise, folder of pictures to validate on.
        split: for denoise, what is held out for validation: picture, or folder for whole folders.
        start_from: name or file of weights to start from.
        teacher: for denoise, name or file of weights whose results are learned.
        network: for denoise, a network of your own, see ``restore.weights.own.checked_network``;
            a copy of it is trained.
        camera: for denoise-raw and dark-enhance, file of ``imrestore noise-profile``.
        psf: for hdr with ``optics="fixed"``, file of a point spread function.
        roi: for anomaly, a box as in "40,20,200,160", or a picture that is white where defects
            count.
        device: auto, cpu, cuda, cuda:N or mps.
        precision: auto, fp32 or bf16.
        resume: continue from the checkpoint of a stopped run.
        overwrite: replace the output, and the checkpoint of a stopped run.
        cache: folder of decoded pictures, of any number; without it memory holds 4 GiB of them.
        report: called before the first step and after every step.
        warn: called with one line about everything that is left out or guessed.
        should_stop: called after every step; True stops the training with its checkpoint written.
        settings: fields of the task's recipe: ``restore.denoise.recipe.DenoiseRecipe`` (for
            ``noisy``, ``restore.denoise.noisy_recipe.NoisyRecipe``),
            ``restore.mosaic.recipe.MosaicRecipe``, ``restore.denoise.error_recipe.ErrorRecipe``,
            ``restore.dark.recipe.DarkRecipe``,
            ``restore.anomaly.recipe.AnomalyRecipe``, ``restore.hdr.recipe.HdrRecipe``. What is not
            given is as in the command.

    Raises:
        UsageError: an unknown task or setting, or settings that do not fit each other.
        TrainingError: no usable pictures, a loss that is not finite, a checkpoint of another run.
        TrainingStopped: ``should_stop`` returned True.
        OutputExists: the output or a checkpoint is there and may not be replaced.
        WeightsError: weights to start from that cannot be used.
        DeviceError: the device is not on this machine.

    One training at a time in a process: PyTorch's seed and some of its settings are process-wide.
    For several GPUs start the program with `torchrun`, each process calling it alike.

    >>> import tempfile
    >>> import restore
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     weights = restore.train(
    ...         "denoise", "samples", output=f"{folder}/mine.safetensors", steps=2,
    ...         model="dncnn", depth=3, widths=8, batch=2, device="cpu",
    ...     )
    >>> weights.architecture, weights.provenance["steps"]
    ('DnCNN', 2)
    """
    given = {
        "pairs": pairs,
        "pair_names": pair_names,
        "validation": validation,
        "split": None if split == "picture" else split,
        "start_from": start_from,
        "teacher": teacher,
        "network": network,
        "camera": camera,
        "psf": psf,
        "roi": roi,
    }
    course = _course(task, pictures, noisy, {k for k, v in given.items() if v is not None})
    folders = _folders("pictures", pictures or noisy)
    if time is not None:
        settings["seconds"] = _seconds(time)
    arguments: dict[str, Any] = {}
    for name, value in given.items():
        if value is not None and name not in _OF_HELD:
            arguments |= _argument(task, name, value, settings)
    if any(given[name] is not None for name in _OF_HELD):
        from restore.training.holding_out import Held

        folder = None if validation is None else _path("validation", validation)
        arguments["held"] = Held.of(folder, split)
    start = None if start_from is None else read_weight_file(_path("start_from", start_from))
    recipe = cast("type[Recipe]", resolve_name(course.recipe)).filled(settings, start)

    from restore.training.session import Settings

    trained: Weights = resolve_name(course.function)(
        recipe,
        _path("output", output),
        **{course.pictures: _one(folders) if course.is_of_one_folder else folders},
        **arguments,
        settings=Settings(
            device=device,
            precision=precision,
            resume=resume,
            overwrite=overwrite,
            cache=None if cache is None else _path("cache", cache),
        ),
        report=report,
        warn=warn,
        should_stop=should_stop,
    )
    return trained


def _course(task: str, pictures: object, noisy: object, given: set[str]) -> Course:
    """Return how to train.

    Raises:
        UsageError: an unknown task, or something that it does not take.
    """
    if task not in list(_TASKS):
        raise UsageError(f"task {task!r:.40}: use {', '.join(_TASKS)}")
    course = _TASKS[task].on_noisy if noisy else _TASKS[task].course
    if course is None or (noisy and pictures):
        raise UsageError("noisy pictures are for denoise, without clean ones: give one of the two")
    for name in sorted(given - set(course.takes)):
        raise UsageError(f"{name} is not for {task}{' on noisy pictures' if noisy else ''}")
    return course


def _argument(task: str, name: str, value: Any, settings: dict[str, Any]) -> dict[str, Any]:
    """Return what a task's training takes for an argument, and add settings that follow from it."""
    if name == "pairs" and task == "denoise":
        return {name: tuple(_folders(name, _both(name, value, "noisy and clean pictures")))}
    if name == "pair_names":
        from restore.denoise.pairs import PairNames

        return {name: PairNames(*_both(name, value, "templates with {} in them"))}
    if name == "camera":
        from restore.noise.measured_camera import read_camera

        return {name: read_camera(_path(name, value))}
    if name == "roi":
        from restore.anomaly.roi import RegionOfInterest

        text = str(_path(name, value))
        is_box = text.replace(",", "").isdecimal()
        region = RegionOfInterest.parse(text) if is_box else RegionOfInterest.read(Path(text))
        settings["roi"] = region.name
        return {name: region}
    if name == "network":
        from restore.weights.own import checked_network

        settings.setdefault("channels", cast(Any, checked_network(value)).config.channels)
        return {name: value}
    return {name: _path(name, value)}


def _both(name: str, value: Any, what: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise UsageError(f"{name} {value!r:.80}: give two, {what}")
    return value


def _folders(name: str, value: PathArg | Sequence[PathArg]) -> list[Path]:
    if isinstance(value, list | tuple):
        return [_path(name, each) for each in value]
    return [_path(name, value)]


def _path(name: str, value: object) -> Path:
    if not isinstance(value, str | PathLike):
        raise UsageError(f"{name} {value!r:.80}: give a path")
    return Path(fspath(value))


def _one(folders: list[Path]) -> Path:
    if len(folders) != 1:
        raise UsageError(f"{len(folders)} folders of good parts: give one")
    return folders[0]


def _seconds(time: str | float) -> float:
    if isinstance(time, str):
        return seconds_in("time", time)
    return checked_number("time", time, 0, float("inf"), "seconds, or a time as in 90s or 2h")
