"""What makes a trained network a detector: adjusted scores, calibration, a look at good parts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from restore.anomaly.calibration import Calibration, NotableParts, least_rate, least_sample
from restore.anomaly.data import Parts
from restore.anomaly.edges import EdgeProfile
from restore.anomaly.familiarity import UNFAMILIAR_FPR, Familiarity
from restore.anomaly.folds import Stage
from restore.anomaly.looks import looks_of
from restore.anomaly.made_defects import try_made_defects
from restore.anomaly.network import InspectionNetwork
from restore.anomaly.part import read_part
from restore.anomaly.texture import TextureMemory
from restore.arguments import argument
from restore.engine.placement import Placement
from restore.errors import TrainingError
from restore.training.picture_store import Samples
from restore.training.schedule import raise_if_stopped
from restore.weights.store import Weights

__all__ = ["Finish"]

_MAPS = 100


@dataclass(frozen=True, kw_only=True)
class Finish:
    """What is done to the weights when a training of a detector ends.

    Attributes:
        parts: the good parts.
        pictures: those that texture is learned from.
        stage: the training.
        device: where networks run.
        may_use_folds: whether folds would be of use to reach the false-alarm rate.
        warn: called with a line about everything that a user should know.
        calibrated: called with the parts of the calibration that a person should look at.
        should_stop: called for every picture.
    """

    parts: Parts
    pictures: Sequence[Samples]
    stage: Stage
    device: torch.device
    may_use_folds: bool
    warn: Callable[[str], None]
    calibrated: Callable[[NotableParts], None]
    should_stop: Callable[[], bool]

    def __call__(self, weights: Weights) -> Weights:
        """Return ``weights`` in half precision with the scores of good parts not trained on.

        Raises:
            TrainingError: the scores are not finite.
            TrainingStopped: ``should_stop`` returned True.
        """
        rounded = {key: tensor.half().float() for key, tensor in weights.tensors.items()}
        if all(torch.isfinite(tensor).all() for tensor in rounded.values()):
            weights = replace(weights, tensors=rounded, stored_dtype=torch.float16)
        maps = self._training_maps(weights)
        edges = EdgeProfile.of(maps)
        for each in maps:
            edges.relieve(each)
        texture = TextureMemory.of(
            self.pictures,
            [float(each.max()) for each in maps],
            box=self._box_at_scale(),
            seed=self.stage.recipe.seed,
            should_stop=self.should_stop,
        )
        calibration = self._calibration(
            InspectionNetwork(
                weights,
                self._placement,
                scale=self.stage.recipe.scale,
                edges=edges,
                texture=texture,
                view=self.parts.view,
            )
        )
        provenance = weights.provenance | {
            "inspection": weights.provenance["inspection"]
            | {"edge_factors": list(edges.factors)}
            | ({"texture": texture.as_mapping()} if texture else {}),
            "calibration": calibration.as_mapping(),
        }
        if self.stage.is_last:
            network = InspectionNetwork(weights, self._placement, edges=edges, texture=texture)
            provenance |= self._tried(weights, network, calibration.threshold())
        return replace(weights, provenance=provenance)

    @property
    def _placement(self) -> Placement:
        return Placement(device=str(self.device), precision="fp32")

    def _training_maps(self, weights: Weights) -> list[NDArray[np.float32]]:
        """Return score maps of training parts, by which scores are adjusted.

        Parts that were not trained on stay unseen: they calibrate the adjusted scores.
        """
        network = InspectionNetwork(weights, self._placement)
        maps = []
        for index, part in enumerate(self.parts.training[:_MAPS]):
            raise_if_stopped(self.should_stop)
            scores = network.raw(part[:].numpy()).scores
            if self.parts.training_inside:
                scores = scores * self.parts.training_inside[index][:].numpy()
            maps.append(scores)
        return maps

    def _box_at_scale(self) -> tuple[int, int, int, int] | None:
        """Return the box around the region of interest, in pixels of the scaled pictures."""
        roi = self.parts.view.roi
        if roi is None:
            return None
        left, top, width, height = (side // self.stage.recipe.scale for side in roi.box)
        return left, top, max(1, width), max(1, height)

    def _calibration(self, network: InspectionNetwork) -> Calibration:
        """Return the calibration on good parts that no training has seen."""
        if self.parts.calibrating:
            self.warn(f"calibrating on {len(self.parts.calibrating)} parts")
        scores: dict[Path, float] = {}
        for path in self.parts.calibrating:
            raise_if_stopped(self.should_stop)
            scores[path] = network(read_part(path).pixels).score
        try:
            calibration = Calibration(
                scores=(*self.stage.scores, *scores.values()),
                target_fpr=self.stage.recipe.target_fpr,
            )
        except ValueError as error:
            raise TrainingError(f"the trained network cannot be calibrated: {error}") from error
        if self.stage.is_last and (shortfall := calibration.shortfall()):
            self.warn(f"{shortfall}; {self._advice()}" if self.may_use_folds else shortfall)
        if above := calibration.told_outliers(scores):
            self.warn(above)
        self.calibrated(NotableParts.of(calibration, scores))
        return calibration

    def _advice(self) -> str:
        """Return what false-alarm rate could be guaranteed if all parts calibrated."""
        usable = self.parts.usable
        promised = (
            "which is enough"
            if usable >= least_sample(self.stage.recipe.target_fpr)
            else f"which would guarantee {least_rate(usable):.2g}"
        )
        return f"with {argument('folds')} all {usable} parts count, {promised}"

    def _tried(
        self, weights: Weights, network: InspectionNetwork, threshold: float
    ) -> dict[str, Any]:
        """Return how good parts look, and which made defects are found."""
        recipe = self.stage.recipe
        looks = looks_of(weights, recipe.scale, self.parts.paths, self.should_stop)
        familiarity = Familiarity.of(looks)
        if shortfall := familiarity.shortfall(UNFAMILIAR_FPR):
            self.warn(shortfall)
        trial = try_made_defects(
            network,
            self.parts.judging,
            self.parts.judging_inside,
            threshold,
            patch=recipe.patch,
            seed=recipe.seed,
            should_stop=self.should_stop,
        )
        self.warn(trial.sentence())
        steps, parts = int(weights.provenance["steps"]), len(self.parts.training)
        continued = "continued" in weights.provenance
        if advice := trial.warning(recipe, steps=steps, parts=parts, continued=continued):
            self.warn(advice)
        return {
            "familiarity": familiarity.as_mapping(),
            "made_defects": trial.as_mapping(),
        }
