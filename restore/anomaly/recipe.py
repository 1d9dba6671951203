"""The training recipe of an anomaly detector."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from restore.anomaly.alignment import ALIGNMENTS
from restore.anomaly.data import LEAST_PARTS
from restore.anomaly.view import check_area
from restore.models.autoencoder import Autoencoder, AutoencoderConfig
from restore.models.draem import Draem, DraemConfig
from restore.training.recipe import Recipe
from restore.weights.file import WeightFile

__all__ = ["ANOMALY_MODELS", "TARGET_FPRS", "AnomalyRecipe", "scale_for"]

ANOMALY_MODELS = ("draem", "ssim-ae", "vae")
TARGET_FPRS = (1e-4, 0.5)
"""The lowest and the highest false-alarm rate that a threshold is set for."""

_OF_DRAEM = {"patch": 192, "learning_rate": 2e-3}
_OF_AUTOENCODERS = {"patch": 128, "learning_rate": 1e-3}

_DEFECT_PX = 8
"""A defect covers at least this many pixels across, where the network sees it."""
_LARGEST_SCALE = 1000
_LONGEST_LATENT = 10_000


@dataclass(frozen=True, kw_only=True)
class AnomalyRecipe(Recipe):
    """All settings that determine a trained detector.

    Attributes:
        model: Network: draem, ssim-ae or vae.
        scale: Integer factor by which pictures are scaled down.
        latent: Size of the latent code of an autoencoder.
        loss: Loss of ssim-ae: l2 or ssim.
        beta: Weight of the KL divergence of a vae.
        target_fpr: False-alarm rate that the threshold is set for.
        folds: Number of folds of the good parts, each left out of one more training, so that all
            parts calibrate; 0 to hold parts out of a single training. ``seconds`` is for all.
        roi: Name of the region of interest in which defects count; "" for everywhere.
        align: How parts are registered to the mean good part: off, translation or rotation.
        min_area: Area in pixels below which places do not make a part defective; 0 for any.
    """

    batch: int = 8
    model: str = "draem"
    scale: int = 1
    latent: int = 100
    loss: str = "ssim"
    beta: float = 1.0
    target_fpr: float = 0.01
    folds: int = 0
    roi: str = ""
    align: str = "off"
    min_area: int = 0

    @classmethod
    def filled(cls, given: Mapping[str, Any], start: WeightFile | None = None) -> Self:
        """Return the recipe of some settings, see ``Recipe``."""
        is_draem = given.get("model", cls.model) == "draem"
        return super().filled({**(_OF_DRAEM if is_draem else _OF_AUTOENCODERS), **given}, start)

    def __post_init__(self) -> None:
        """Refuse an invalid recipe."""
        super().__post_init__()
        check_area(self.min_area)
        lowest, highest = TARGET_FPRS
        self.check(
            {
                "model": (self.model in ANOMALY_MODELS, f"use {', '.join(ANOMALY_MODELS)}"),
                "patch": (
                    self.patch % 16 == 0 and self.patch >= 64,
                    "give a multiple of 16, at least 64",
                ),
                "scale": (1 <= self.scale <= _LARGEST_SCALE, f"give 1 to {_LARGEST_SCALE}"),
                "latent": (
                    1 <= self.latent <= _LONGEST_LATENT,
                    f"give a number from 1 to {_LONGEST_LATENT}",
                ),
                "loss": (self.loss in ("l2", "ssim"), "use l2 or ssim"),
                "beta": (0 <= self.beta < float("inf"), "give a number that is not negative"),
                "target_fpr": (
                    lowest <= self.target_fpr <= highest,
                    f"give a number from {lowest:g} to {highest:g}",
                ),
                "align": (self.align in ALIGNMENTS, f"use {', '.join(ALIGNMENTS)}"),
                "folds": (
                    self.folds == 0 or 2 <= self.folds <= LEAST_PARTS,
                    f"give 0, or a number from 2 to {LEAST_PARTS}",
                ),
            }
        )

    def network(self, channels: int) -> Draem | Autoencoder:
        """Return the untrained network for pictures with ``channels`` channels."""
        if self.model == "draem":
            return Draem(DraemConfig(channels=channels))
        is_variational = self.model == "vae"
        return Autoencoder(
            AutoencoderConfig(
                channels=channels,
                window=self.patch,
                latent=self.latent,
                loss="l2" if is_variational else self.loss,
                variational=is_variational,
                beta=float(self.beta),
            )
        )


def scale_for(defect_size: int | None) -> int:
    """Return the integer factor by which pictures are scaled down.

    Args:
        defect_size: the smallest defect that matters, in pixels across; None for full resolution.
    """
    return max(1, (defect_size or 1) // _DEFECT_PX)
