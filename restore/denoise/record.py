"""The record of how a picture was denoised."""

import time
from dataclasses import asdict, dataclass

from restore.denoise.domain import Domain
from restore.denoise.pixels import Change
from restore.denoise.settings import Shares, Sigma
from restore.denoise.stripes import told_of_stripes
from restore.engine.runner import Runner
from restore.image.picture import Picture
from restore.image.tiff_regions import OutOfCorePicture
from restore.noise.level import NoiseLevel
from restore.noise.line_offsets import LineOffsets

__all__ = ["Noise", "record_of"]

_UNCHANGED = 0.1 / 255
"""Mean absolute change below which a picture counts as unchanged."""
_OF_NOISE = 0.02
"""The same, as a share of the level of its noise."""
_SURE_OF_NOISE = 3.0
"""Level, in 0..255, that is seldom found in clean pictures."""


@dataclass(frozen=True)
class Noise:
    """What is known of the noise.

    Attributes:
        sigma: level that was given or found, in 0..255.
        told: level that the network is told, in [0, 1].
        kind: kind of the noise that was found; empty if none was looked for.
        is_auto: whether the level was to be found.
    """

    sigma: float
    told: float
    kind: str
    is_auto: bool

    @classmethod
    def given(cls, sigma: Sigma) -> "Noise":
        """Return what is known before anything was measured."""
        level = 0.0 if sigma == "auto" else float(sigma)
        return cls(level, level / 255, "", sigma == "auto")

    @classmethod
    def found(cls, noise: NoiseLevel) -> "Noise":
        """Return what was measured."""
        # Light far above white can seem noisier than any picture.
        return cls(min(255 * noise.sigma, 255.0), min(noise.told, 1.0), str(noise.kind), True)

    def leaves(self, change: Change) -> bool:
        """Return whether there is noise, and the network changed hardly anything."""
        least = max(_UNCHANGED, _OF_NOISE * self.sigma / 255)
        return bool(self.kind) and self.sigma >= _SURE_OF_NOISE and change.mean < least


def record_of(
    runner: Runner,
    source: Picture | OutOfCorePicture,
    started: float,
    noise: Noise,
    change: Change,
    domain: Domain,
    shares: Shares,
    stripes: LineOffsets | None,
) -> dict[str, object]:
    """Return plain values, ready for JSON; ``Denoised.record`` describes them.

    Args:
        runner: Runner of the network.
        source: The picture.
        started: Time at which work on it began, by ``time.perf_counter``.
        noise: What is known of its noise.
        change: How much the network changed.
        domain: How the picture was presented to the network.
        shares: How much of the result was taken.
        stripes: What was taken away of them, if there were any.
    """
    told, unchanged = round(255 * noise.told, 3), noise.leaves(change)
    found = {"noise": noise.kind, "sigma_told": told, "unchanged": unchanged}
    of_stripes, remarks_on_stripes = told_of_stripes(stripes)
    remarks = [*domain.remarks, *remarks_on_stripes]
    if unchanged:
        remarks += [
            f"hardly changed, although it seems to have {noise.kind} noise of {noise.sigma:.3g}; "
            f"if you see it, try sigma {told:.0f}"
        ]
    return {
        **runner.record(),
        "sigma": round(noise.sigma, 3),
        "sigma_estimated": noise.is_auto,
        **asdict(shares),
        "megapixels": round(source.width * source.height / 1e6, 6),
        "seconds": round(time.perf_counter() - started, 4),
        **(found if noise.kind else {}),
        **of_stripes,
        **domain.record,
        **({"remarks": remarks} if remarks else {}),
    }
