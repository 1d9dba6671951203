"""The training recipe of a network that estimates the errors of denoisers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from restore.denoise.degradations import Degradation, parse_degradation
from restore.models.error_net import ErrorNet, ErrorNetConfig
from restore.training.recipe import Recipe
from restore.weights.file import WeightFile

__all__ = ["NOT_CALIBRATED", "ErrorRecipe"]

NOT_CALIBRATED = ("drawn", "stripes")
"""Kinds of noise that say nothing of photographs: drawings are none, and stripes are taken away
before a network sees them."""


@dataclass(frozen=True, kw_only=True)
class ErrorRecipe(Recipe):
    """All settings that determine a network for error maps.

    Attributes:
        denoisers: names of the denoisers whose errors are learned, each as often as it is named.
        noise: kinds of noise, mixed in equal parts, as for ``DenoiseRecipe``.
        sigma: range of the level of awgn, 0..255.
        width: feature channels.
        gray_share: share of batches that become gray.
    """

    least_steps: ClassVar[int] = 0  # weights as they are can be calibrated anew

    patch: int = 128
    denoisers: tuple[str, ...] = ("photo",)
    noise: tuple[str, ...] = ("camera", "grain", "awgn")
    sigma: tuple[float, float] = (0.0, 55.0)
    width: int = ErrorNetConfig.width
    gray_share: float = 0.2

    @classmethod
    def filled(cls, given: Mapping[str, Any], start: WeightFile | None = None) -> Self:
        """Return the recipe of some settings; the width is that of ``start`` unless given.

        Raises:
            UsageError: a setting that this recipe does not have, or an invalid value.
        """
        like = {"width": start.settings["width"]} if start and "width" in start.settings else {}
        return super().filled({**like, **given}, start)

    def __post_init__(self) -> None:
        """Refuse an invalid recipe."""
        super().__post_init__()
        low, high = self.sigma
        self.check_widths((self.width,), "width")
        self.check(
            {
                "denoisers": (len(self.denoisers) > 0, "give at least one"),
                "noise": (
                    any(kind not in NOT_CALIBRATED for kind in self.noise),
                    f"give at least one kind besides {' and '.join(NOT_CALIBRATED)}",
                ),
                "sigma": (0 <= low <= high <= 255, "must rise within 0 to 255"),
                "gray_share": (0 <= self.gray_share <= 1, "give a number from 0 to 1"),
            }
        )
        self.degradations()

    def degradations(self) -> list[Degradation]:
        """Return the kinds of noise, ready to be drawn.

        Raises:
            UsageError: one is not known.
        """
        return [parse_degradation(kind, self.sigma) for kind in self.noise]

    def network(self) -> ErrorNet:
        """Return the untrained network."""
        return ErrorNet(ErrorNetConfig(width=self.width))
