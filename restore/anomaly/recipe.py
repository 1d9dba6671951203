"""What a detector of anomalies is trained as."""

from dataclasses import dataclass

from restore.anomaly.data import LEAST_PARTS
from restore.models.autoencoder import Autoencoder, AutoencoderConfig
from restore.models.draem import Draem, DraemConfig
from restore.training.recipe import Recipe

__all__ = ["ANOMALY_MODELS", "AnomalyRecipe", "scale_for"]

ANOMALY_MODELS = ("draem", "ssim-ae", "vae")

_DEFECT_PX = 8
"""A defect covers at least this many pixels across, where the network sees it."""
_LEAST_TARGET_FPR = 1e-4


@dataclass(frozen=True, kw_only=True)
class AnomalyRecipe(Recipe):
    """All that decides what a detector becomes.

    Attributes:
        model: draem, ssim-ae or vae.
        scale: pictures are made smaller by this whole factor.
        latent: numbers in the middle of an autoencoder.
        loss: l2 or ssim, of ssim-ae.
        beta: weight of the divergence of a vae.
        target_fpr: rate of false alarms that the threshold is made for.
        folds: shares of the good parts that are left out of one more training each, so that all of
            them calibrate; 0 to hold parts out of the one training. ``seconds`` is for all.
    """

    model: str = "draem"
    scale: int = 1
    latent: int = 100
    loss: str = "ssim"
    beta: float = 1.0
    target_fpr: float = 0.01
    folds: int = 0

    def __post_init__(self) -> None:
        """Refuse a recipe that cannot be followed."""
        super().__post_init__()
        self.check(
            {
                f"model {self.model!r}: use {', '.join(ANOMALY_MODELS)}": self.model
                in ANOMALY_MODELS,
                f"size {self.patch}: give a multiple of 16": self.patch % 16 == 0,
                "a detector sees at least 64 pixels": self.patch >= 64,
                "the scale is a whole number": self.scale >= 1,
                "an autoencoder keeps at least one number": self.latent >= 1,
                f"loss {self.loss!r}: use l2 or ssim": self.loss in ("l2", "ssim"),
                f"beta {self.beta:g}: give a number that is not negative": 0
                <= self.beta
                < float("inf"),
                f"target false-alarm rate {self.target_fpr:g}: give a number from "
                f"{_LEAST_TARGET_FPR:g} to 0.5": _LEAST_TARGET_FPR <= self.target_fpr <= 0.5,
                f"{self.folds} folds: give 0, or a number from 2 to {LEAST_PARTS}": self.folds == 0
                or 2 <= self.folds <= LEAST_PARTS,
            }
        )

    def network(self, channels: int) -> Draem | Autoencoder:
        """Return the untrained network for pictures of so many channels."""
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
    """Return by which whole factor pictures are made smaller.

    Args:
        defect_size: the smallest defect that matters, in pixels across; None for full resolution.
    """
    return max(1, (defect_size or 1) // _DEFECT_PX)
