"""The training recipe of a denoiser."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from restore.arguments import argument
from restore.denoise.degradations import Degradation, parse_degradation
from restore.errors import UsageError
from restore.models.dncnn import DnCNN, DnCNNConfig
from restore.models.drunet import DRUNet, DRUNetConfig
from restore.models.ffdnet import FFDNet, FFDNetConfig
from restore.models.resunet import ResUNet, ResUNetConfig
from restore.training.losses import LOSSES
from restore.training.recipe import Recipe
from restore.weights.file import WeightFile

__all__ = ["MODELS", "OF_NETWORK", "DenoiseRecipe"]

_MOST_LAYERS = 200
_ARCHITECTURES = {"DnCNN": "dncnn", "ResUNet": "resunet", "FFDNet": "ffdnet", "DRUNet": "drunet"}
MODELS = tuple(_ARCHITECTURES.values())
_PATCHES = {"dncnn": 48, "ffdnet": 48}
"""Side of the crops of networks that see little of them."""
OF_NETWORK = ("model", "depth", "widths", "batch_norm", "blind")
"""Settings that describe a network of this library."""


@dataclass(frozen=True, kw_only=True)
class DenoiseRecipe(Recipe):
    """All settings that determine a trained denoiser.

    Attributes:
        model: dncnn or resunet; ffdnet or drunet to train existing weights further.
        channels: 1 gray, 3 colour.
        depth: layers of a DnCNN.
        widths: feature channels: one number for a DnCNN, one per level for a ResUNet.
        batch_norm: train a DnCNN with batch normalisation, as the paper does.
        blind: whether a ResUNet works without the noise level; a new DnCNN always does.
        noise: kinds of noise, mixed in equal parts: awgn, camera, grain, impulse, speckle, stripes,
            drawn, jpeg:Q, jpeg:LOW-HIGH.
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

    @classmethod
    def filled(cls, given: Mapping[str, Any], start: WeightFile | None = None) -> Self:
        """Return the recipe of some settings, see ``Recipe``.

        The network is that of ``start`` unless another is given, with its depth, and, where its
        weights can only be trained further, its channels.
        """
        of_start = _ARCHITECTURES.get(start.architecture) if start else None
        model = given.get("model", of_start or cls.model)
        settings = start.settings if start and of_start == model else {}
        like = {"model": model, "patch": _PATCHES.get(str(model), cls.patch)}
        like |= {"depth": settings["depth"]} if "depth" in settings else {}
        if model in ("ffdnet", "drunet") and "channels" in settings:
            like["channels"] = settings["channels"]
        return super().filled({**like, **given}, start)

    def __post_init__(self) -> None:
        """Refuse an invalid recipe."""
        super().__post_init__()
        low, high = self.sigma
        self.check_widths(self.widths)
        self.check(
            {
                "model": (self.model in MODELS, f"use {', '.join(MODELS)}"),
                "loss": (self.loss in LOSSES, f"use {', '.join(LOSSES)}"),
                "sigma": (0 <= low <= high <= 255, "must rise within 0 to 255"),
                "noise": (len(self.noise) > 0, "give at least one kind"),
                "depth": (
                    2 <= self.depth <= _MOST_LAYERS,
                    f"give a number from 2 to {_MOST_LAYERS}",
                ),
            }
        )
        self.degradations()

    def degradations(self) -> list[Degradation]:
        """Return the kinds of noise, ready to be drawn.

        Raises:
            UsageError: one is not known.
        """
        return [parse_degradation(kind, self.sigma, gray=self.channels == 1) for kind in self.noise]

    def network(self, existing: Any = None) -> DnCNN | ResUNet | FFDNet:
        """Return the untrained network.

        Args:
            existing: config of the weights that the training starts from, if any. What the recipe
                does not decide is as there: whether the network predicts the noise, whether a DnCNN
                takes the noise level and has dilated layers, and all of an FFDNet or a DRUNet.

        Raises:
            UsageError: widths or patch do not fit the model, or it needs existing weights.
        """
        network = self._network(existing)
        self.check_patch(network.multiple, network)
        return network

    def _network(self, existing: Any) -> DnCNN | ResUNet | FFDNet:
        if self.model == "dncnn":
            if len(self.widths) > 1:
                raise UsageError("a DnCNN has one width for all layers")
            like = existing if isinstance(existing, DnCNNConfig) else DnCNNConfig()
            width = self.widths[0] if self.widths else like.width
            return DnCNN(
                replace(
                    like,
                    channels=self.channels,
                    depth=self.depth,
                    width=width,
                    batch_norm=self.batch_norm,
                    dilations=like.dilations if like.depth == self.depth else (),
                )
            )
        if self.model == "resunet":
            return ResUNet(
                ResUNetConfig(
                    channels=self.channels,
                    widths=self.widths or ResUNetConfig.widths,
                    noise_map=not self.blind,
                )
            )
        if not isinstance(existing, FFDNetConfig if self.model == "ffdnet" else DRUNetConfig):
            raise UsageError(
                f"model {self.model}: only existing weights are trained; give "
                f"{argument('start_from')}"
            )
        if self.channels != existing.channels:
            raise UsageError(
                f"these weights are for {'gray' if existing.channels == 1 else 'colour'} pictures: "
                f"train them for those, with {argument('channels', existing.channels)}"
            )
        return FFDNet(existing) if isinstance(existing, FFDNetConfig) else DRUNet(existing)
