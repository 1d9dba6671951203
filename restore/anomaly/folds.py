"""Calibration on all good parts: one training without each fold, and a last one on all parts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from shutil import rmtree
from typing import Any

from restore.anomaly.calibration import Calibration
from restore.anomaly.data import Fold
from restore.anomaly.recipe import AnomalyRecipe
from restore.anomaly.task import TASK
from restore.errors import UsageError
from restore.files import check_name
from restore.training.session import Settings
from restore.training.state import best_path, checkpoint_path, start_again, stopped_run
from restore.training.team import team_size
from restore.weights.store import Weights, check_new_file

__all__ = ["Stage", "train_in_folds"]


@dataclass(frozen=True)
class Stage:
    """One of the trainings that make a detector.

    Attributes:
        recipe: Recipe of this training.
        output: Weight file of this training.
        fold: Fold that it leaves out; None to hold parts out as the recipe says.
        scores: Scores of the parts that the other trainings left out.
        data: Data of the other trainings, from their provenance; empty before the first.
    """

    recipe: AnomalyRecipe
    output: Path
    fold: Fold | None = None
    scores: tuple[float, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_first(self) -> bool:
        """Whether this is the first training."""
        return self.fold is None or self.fold.index == 0

    @property
    def is_last(self) -> bool:
        """Whether its weights are the detector."""
        return self.fold is None or self.fold.index == self.fold.count

    def check_data(self, data: Mapping[str, Any]) -> None:
        """Refuse parts that differ from those of earlier trainings: their folds would overlap.

        Raises:
            UsageError: the parts differ.
        """
        changes = [
            f"{key}: {value}, now {data.get(key)}"
            for key, value in self.data.items()
            if key != "trained_on" and value != data.get(key)
        ]
        if changes:
            raise UsageError(
                f"{self.output}: the finished folds were trained on other parts "
                f"({'; '.join(changes)}); {start_again()}"
            )


def train_in_folds(
    recipe: AnomalyRecipe,
    output: Path,
    run: Callable[[Stage, Settings], Weights],
    settings: Settings,
    warn: Callable[[str], None],
) -> Weights:
    """Train once without each fold, and finally on all parts.

    Each part is scored by the network that has not seen it. These scores calibrate the last network
    as if they were its own: it is trained in the same way, on slightly more parts
    (Vovk, "Cross-conformal predictors", Annals of Mathematics and Artificial Intelligence 2015).

    Args:
        recipe: recipe of all trainings, which share its ``seconds``.
        output: the weight file; ``NAME.foldN.safetensors`` lie beside it until all is done.
        run: trains one stage.
        settings: where and how to run; a resumed run goes on in the stage where it was stopped.
        warn: called with a line when a training begins.

    Raises:
        UsageError: several processes train together, or files of other folds, or of other parts,
            are in the way.
        TrainingError, TrainingStopped, OutputExists: as ``run`` raises them.
    """
    if team_size() > 1:
        raise UsageError("folds are trained by one process; start it without torchrun")
    check_new_file(output, overwrite=settings.overwrite)
    paths = [
        output.with_name(f"{output.stem}.fold{index + 1}.safetensors")
        for index in range(recipe.folds)
    ]
    for path in paths:
        check_name(best_path(path))
    _treat_stopped([*paths, output], settings)
    seconds = recipe.seconds and recipe.seconds / (recipe.folds + 1)
    recipe = replace(recipe, seconds=seconds)
    scores: list[float] = []
    data: dict[str, Any] = {}
    for index, path in enumerate(paths):
        stage = Stage(recipe, path, Fold(index=index, count=recipe.folds), data=data)
        weights = _finished(stage) if settings.resume and path.exists() else None
        if weights is None:
            warn(f"fold {index + 1} of {recipe.folds}")
            weights = run(stage, _settings(stage, settings))
        scores += Calibration.from_mapping(weights.provenance["calibration"]).scores
        data = weights.provenance["data"]
    last = Stage(recipe, output, Fold(index=recipe.folds, count=recipe.folds), tuple(scores), data)
    warn("all parts")
    weights = run(last, _settings(last, settings))
    for path in paths:
        for suffix in (".safetensors", ".history.csv", ".history.png"):
            path.with_suffix(suffix).unlink(missing_ok=True)
        rmtree(path.with_suffix(".tensorboard"), ignore_errors=True)
    return weights


def _treat_stopped(outputs: Sequence[Path], settings: Settings) -> None:
    """Remove, refuse or keep the files of a stopped run, before anything else happens.

    ``outputs`` are the weight files of its trainings, the detector's last.
    """
    finished = [path for path in outputs[:-1] if path.exists()]
    begun = [path for path in map(checkpoint_path, outputs) if path.exists()]
    if settings.overwrite and not settings.resume:
        for path in [*finished, *begun]:  # or a run resumed later would take them for its own
            path.unlink()
    elif (finished or begun) and not settings.resume:
        raise stopped_run((finished + begun)[0])


def _settings(stage: Stage, settings: Settings) -> Settings:
    """Return settings that resume a stage only if it was begun."""
    begun = stage.is_first or checkpoint_path(stage.output).exists()
    return replace(settings, resume=settings.resume and begun)


def _finished(stage: Stage) -> Weights:
    weights = TASK.load(stage.output)
    if weights.provenance.get("recipe") != asdict(stage.recipe):
        raise UsageError(f"{stage.output}: has another recipe; {start_again()}")
    if not all(isinstance(weights.provenance.get(key), dict) for key in ("calibration", "data")):
        raise UsageError(f"{stage.output}: is no finished fold; {start_again()}")
    return weights
