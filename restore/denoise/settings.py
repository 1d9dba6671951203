"""The settings of a denoiser: which level it is told, and how much of its result is taken."""

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from restore.checks import checked_number
from restore.image.picture import Picture

__all__ = ["Shares", "Sigma", "checked_settings"]

Sigma: TypeAlias = float | Literal["auto"]
"""Noise level in 0..255, or auto to estimate it."""


@dataclass(frozen=True)
class Shares:
    """How much of the network's result is taken; see ``finish``."""

    strength: float
    chroma: float
    detail: float

    @property
    def changes(self) -> bool:
        """Whether anything of it is taken."""
        return max(self.strength, self.chroma) > 0

    @property
    def alters(self) -> bool:
        """Whether the network's result is not taken as it is."""
        return min(self.strength, self.chroma) < 1 or self.detail > 0

    def of(self, picture: Picture) -> "Shares":
        """Return the shares for a picture; a gray one has no colour noise."""
        return replace(self, chroma=self.strength) if picture.channels == 1 else self


def checked_settings(
    sigma: Sigma, strength: float, chroma: float | None, detail: float
) -> tuple[Sigma, Shares]:
    """Return settings as a caller gave them.

    Raises:
        UsageError: one is of the wrong type or out of range.
    """
    if not (isinstance(sigma, str) and sigma == "auto"):
        sigma = checked_number("sigma", sigma, 0, 255, "a noise level from 0 to 255, or auto")
    strength, chroma, detail = (
        checked_number(name, value, 0, 1, "a number from 0 to 1")
        for name, value in (
            ("strength", strength),
            ("chroma", strength if chroma is None else chroma),
            ("detail", detail),
        )
    )
    return sigma, Shares(strength, chroma, detail)
