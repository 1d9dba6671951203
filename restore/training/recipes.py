"""What a network is trained as: the recipe that is stored with its weights."""

import math
from dataclasses import dataclass

from restore.errors import UsageError
from restore.models.dncnn import DnCNN, DnCNNConfig
from restore.models.isp_unet import IspUNet, IspUNetConfig
from restore.models.resunet import ResUNet, ResUNetConfig
from restore.noise.eld import CAMERAS
from restore.training.degradations import Degradation, parse_degradation
from restore.training.losses import LOSSES
from restore.training.optimizers import OPTIMIZERS
from restore.training.schedule import SCHEDULES

__all__ = ["DarkRecipe", "DenoiseRecipe", "Recipe"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What the recipes of all tasks have in common.

    Attributes:
        patch: side of the training crops in pixels.
        batch: crops per step, over all processes and accumulated parts.
        accumulate: parts that a batch is computed in, one after the other, to save memory.
        optimizer: muon or adam.
        learning_rate: peak of the schedule.
        schedule: cosine or step.
        steps: optimiser steps, or None when ``seconds`` decides.
        seconds: training time, or None.
        ema: decay of the averaged weights.
        seed: of everything random.
    """

    patch: int = 64
    batch: int = 16
    accumulate: int = 1
    optimizer: str = "muon"
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    steps: int | None = None
    seconds: float | None = None
    ema: float = 0.999
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a recipe that cannot be followed."""
        self.check(
            {
                "give either --steps, a number of them, or --time, as in 2h": (self.steps is None)
                != (self.seconds is None),
                "steps and time must be positive": (self.steps or self.seconds or 0) > 0,
                f"optimizer {self.optimizer!r}: use {' or '.join(OPTIMIZERS)}": self.optimizer
                in OPTIMIZERS,
                "the learning rate must be positive": self.learning_rate > 0,
                f"schedule {self.schedule!r}: use {' or '.join(SCHEDULES)}": self.schedule
                in SCHEDULES,
                "batch must be at least 1": self.batch >= 1,
                "accumulate must be at least 1": self.accumulate >= 1,
                "patch must be at least 16 pixels": self.patch >= 16,
                "the average's decay must lie in [0, 1)": 0 <= self.ema < 1,
            }
        )

    @staticmethod
    def check(rules: dict[str, bool]) -> None:
        """Raise the first of ``rules`` that is broken as a UsageError."""
        for message, kept in rules.items():
            if not kept:
                raise UsageError(message)


@dataclass(frozen=True, kw_only=True)
class DenoiseRecipe(Recipe):
    """All that decides what a denoiser becomes.

    Attributes:
        model: dncnn or resunet.
        channels: 1 gray, 3 colour.
        depth: layers of a DnCNN.
        widths: feature channels: one number for a DnCNN, one per level for a ResUNet.
        batch_norm: train a DnCNN with batch normalisation, as the paper does.
        blind: a ResUNet is not told the noise level; a DnCNN never is.
        noise: kinds of noise, mixed in equal parts: awgn, camera, jpeg:Q, jpeg:LOW-HIGH.
        sigma: range of the level of awgn, 0..255.
        loss: l1, l2 or psnr; see ``LOSSES``.
    """

    model: str = "resunet"
    channels: int = 3
    depth: int = 20
    widths: tuple[int, ...] = ()
    batch_norm: bool = False
    blind: bool = False
    noise: tuple[str, ...] = ("awgn",)
    sigma: tuple[float, float] = (0.0, 55.0)
    loss: str = "l1"

    def __post_init__(self) -> None:
        """Refuse a recipe that cannot be followed."""
        super().__post_init__()
        low, high = self.sigma
        self.check(
            {
                f"model {self.model!r}: use dncnn or resunet": self.model in ("dncnn", "resunet"),
                f"loss {self.loss!r}: use {', '.join(LOSSES)}": self.loss in LOSSES,
                f"sigma {low:g}:{high:g}: must rise within 0 to 255": 0 <= low <= high <= 255,
                "give at least one kind of noise": len(self.noise) > 0,
                "camera noise is for colour networks": self.channels == 3
                or "camera" not in self.noise,
            }
        )
        self.degradations()

    def degradations(self) -> list[Degradation]:
        """Return the kinds of noise, ready to be drawn.

        Raises:
            UsageError: one is not known.
        """
        return [parse_degradation(kind, self.sigma) for kind in self.noise]

    def network(self) -> DnCNN | ResUNet:
        """Return the untrained network.

        Raises:
            UsageError: widths or patch do not fit the model.
        """
        if self.model == "dncnn":
            if len(self.widths) > 1:
                raise UsageError("a DnCNN has one width for all layers")
            width = self.widths[0] if self.widths else DnCNNConfig.width
            return DnCNN(
                DnCNNConfig(
                    channels=self.channels,
                    depth=self.depth,
                    width=width,
                    batch_norm=self.batch_norm,
                )
            )
        config = ResUNetConfig(
            channels=self.channels,
            widths=self.widths or ResUNetConfig.widths,
            noise_map=not self.blind,
        )
        network = ResUNet(config)
        if self.patch % network.multiple:
            raise UsageError(f"patch must be a multiple of {network.multiple} for this ResUNet")
        return network


@dataclass(frozen=True, kw_only=True)
class DarkRecipe(Recipe):
    """All that decides what a learned image signal processor becomes.

    Attributes:
        xtrans: for X-Trans mosaics instead of Bayer ones.
        width: feature channels of the first level.
        head: camera or srgb, see ``IspUNetConfig``.
        ratio: lowest and highest amplification.
        cameras: whose noise is added, keys of ``restore.noise.eld.CAMERAS``.
        loss: l1, l2 or psnr; see ``LOSSES``.
    """

    patch: int = 192
    xtrans: bool = False
    width: int = IspUNetConfig.width
    head: str = IspUNetConfig.head
    ratio: tuple[float, float] = (50.0, 300.0)
    cameras: tuple[str, ...] = ("Sony A7S2", "Nikon D850", "Canon 70D", "Canon 700D")
    loss: str = "l1"

    def __post_init__(self) -> None:
        """Refuse a recipe that cannot be followed."""
        super().__post_init__()
        low, high = self.ratio
        unknown = sorted(set(self.cameras) - set(CAMERAS))
        self.check(
            {
                f"ratio {low:g}:{high:g}: must rise from at least 1": 1 <= low <= high < math.inf,
                f"loss {self.loss!r}: use {', '.join(LOSSES)}": self.loss in LOSSES,
                f"head {self.head!r}: use camera or srgb": self.head in ("camera", "srgb"),
                "give at least one camera": len(self.cameras) > 0,
                f"camera {unknown}: use {', '.join(CAMERAS)}": not unknown,
                "width must be from 1 to 512": 1 <= self.width <= 512,
            }
        )

    def network(self) -> IspUNet:
        """Return the untrained network.

        Raises:
            UsageError: the patch does not fit.
        """
        planes = 9 if self.xtrans else 4
        if self.patch % self.step:
            raise UsageError(f"patch must be a multiple of {self.step}")
        return IspUNet(IspUNetConfig(planes=planes, width=self.width, head=self.head))

    @property
    def step(self) -> int:
        """Sides of crops are multiples of this, in pixels of the mosaic."""
        return IspUNet.multiple * (3 if self.xtrans else 2)
