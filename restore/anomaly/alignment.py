"""Registering parts to the mean good part, so that every place lies where it always does."""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from restore.anomaly.registration import (
    LEAST_LIKENESS,
    Affine,
    Fit,
    Plane,
    fit_of,
    mean_of,
    moved,
    rigid,
)
from restore.anomaly.roi import plane_in
from restore.anomaly.scale import shrunk
from restore.arguments import argument
from restore.errors import TrainingError, WeightsError

__all__ = ["ALIGNMENTS", "Alignment", "Registration"]

ALIGNMENTS = ("off", "translation", "rotation")

_SIDE_PX = 192
"""Longest side of the mean good part; shifts are found to a fraction of its pixels."""
_LARGEST_SHIFT = 0.4
"""Share of a side; beyond it too little of the part is in the picture."""
_LIKENESS_SHARE = 0.6
"""Of the median correlation of good parts, below which a part counts as another one."""
_FIRST_TRIES = 5


@dataclass(frozen=True, kw_only=True)
class Registration:
    """Where a part lies in its picture.

    Attributes:
        found: Whether the part is enough like the mean good part to say so.
        dx, dy: Shift in pixels from the mean good part, to the right and downwards.
        angle: Angle in degrees by which it is turned, clockwise on the screen.
        correlation: Correlation with the mean good part where both are, -1 to 1.
        unseen: Share of the picture that lies outside the mean good part's frame and is not
            inspected.
    """

    found: bool
    dx: float = 0.0
    dy: float = 0.0
    angle: float = 0.0
    correlation: float = 0.0
    unseen: float = 0.0

    @property
    def is_moved(self) -> bool:
        """Whether the part lies elsewhere than the mean good part."""
        return self.found and bool(self.dx or self.dy or self.angle)

    @property
    def reason(self) -> str:
        """Why the part is unfamiliar, in one phrase; "" if it was found."""
        if self.found:
            return ""
        return f"cannot be registered to the mean good part (correlation {self.correlation:.2f})"

    def as_mapping(self) -> dict[str, Any]:
        """Return plain values, for a record."""
        return {
            "registered": self.found,
            "shift_x": round(self.dx, 2),
            "shift_y": round(self.dy, 2),
            "angle": round(self.angle, 3),
            "correlation": round(self.correlation, 4),
            "unseen": round(self.unseen, 4),
        }

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "Registration":
        """Return the registration that ``as_mapping`` described; other keys are left out.

        Raises:
            ValueError: the values are invalid.
        """
        keys = ("shift_x", "shift_y", "angle", "correlation", "unseen")
        numbers = [values.get(key) for key in keys]
        if type(values.get("registered")) is not bool or not all(
            type(number) in (int, float) and math.isfinite(number) for number in numbers if number
        ):
            raise ValueError("registered, shift and angle are not those of a part")
        dx, dy, angle, correlation, unseen = (float(number or 0) for number in numbers)
        return cls(
            found=values["registered"],
            dx=dx,
            dy=dy,
            angle=angle,
            correlation=correlation,
            unseen=unseen,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Alignment:
    """The mean good part, and how others are registered to it.

    Attributes:
        mode: translation, in whole pixels, or rotation as well.
        reference: The mean good part, gray, ``[h, w]`` in [0, 1], at most 192 pixels a side.
        size: ``(H, W)`` of the pictures.
        least_correlation: Correlation below which a part is not registered.
    """

    mode: str
    reference: Plane
    size: tuple[int, int]
    least_correlation: float

    @classmethod
    def of(cls, mode: str, parts: Sequence[Plane]) -> "Alignment":
        """Return the mean of good parts, in the median of their positions.

        Args:
            mode: translation or rotation.
            parts: pictures ``[C, H, W]`` in [0, 1], all of one size.

        Raises:
            TrainingError: the parts differ in size, or too much to be registered to one another.
        """
        sizes = {part.shape[1:] for part in parts}
        if len(sizes) > 1:
            (rows, columns), (others, more) = sorted(sizes)[:2]
            raise TrainingError(
                f"{argument('align')} {mode}: parts are registered in pictures of one size, not of "
                f"{columns}x{rows} and {more}x{others} pixels; use {argument('align', 'off')}"
            )
        (size,) = sizes
        small = [_small(part) for part in parts]
        best: tuple[float, list[Fit]] = (-1.0, [])
        for first in small[:_FIRST_TRIES]:
            fits = [fit_of(first, each, mode) for each in small]
            best = max(best, (float(np.median([fit.correlation for fit in fits])), fits),
                       key=lambda pair: pair[0])  # fmt: skip
            if best[0] >= 2 * LEAST_LIKENESS:
                break
        fits = best[1]
        reference = mean_of(small, fits, mode)
        fits = [fit_of(reference, each, mode) for each in small]
        likeness = float(np.median([fit.correlation for fit in fits]))
        if likeness < LEAST_LIKENESS:
            raise TrainingError(
                f"{argument('align')} {mode}: the parts are too unlike one another to be "
                f"registered (correlation {likeness:.2f} with their mean, {LEAST_LIKENESS:g} is "
                f"the least); use {argument('align', 'off')}"
            )
        return cls(
            mode=mode,
            reference=mean_of(small, fits, mode),
            size=(int(size[0]), int(size[1])),
            least_correlation=round(_LIKENESS_SHARE * likeness, 4),
        )

    def register(self, pixels: Plane) -> Registration:
        """Return where a part lies in its picture ``[C, H, W]``; not found in one of another size.

        Where it is not found, the shift is 0.
        """
        if pixels.shape[1:] != self.size:
            return Registration(found=False)
        fit = fit_of(self.reference, _small(pixels), self.mode)
        factor = _factor(self.size)
        dy, dx = factor * fit.shift[0], factor * fit.shift[1]
        if self.mode == "translation":
            dy, dx = float(round(dy)), float(round(dx))
        is_near = max(abs(dy) / self.size[0], abs(dx) / self.size[1]) <= _LARGEST_SHIFT
        if fit.correlation < self.least_correlation or not is_near:
            return Registration(found=False, correlation=fit.correlation)
        placed = Registration(
            found=True, dx=dx, dy=dy, angle=fit.degrees, correlation=fit.correlation
        )
        seen = self.brought_back(np.ones((1, *self.size), np.float32), placed)
        return replace(placed, unseen=float(1 - seen.mean(dtype=np.float64)))

    def aligned(self, pixels: Plane, placed: Registration) -> Plane:
        """Return a picture ``[C, H, W]`` with the part where the mean good part lies.

        What lies beyond the picture is mirrored; see ``covered``. Whole pixels are moved unchanged,
        turned parts are interpolated by cubic splines.
        """
        order = 3 if placed.angle else 0
        result = moved(pixels, self._affine(placed), order=order, mode="mirror")
        return np.clip(result, 0, 1) if order else result

    def covered(self, placed: Registration) -> NDArray[np.bool_]:
        """Return what of the mean good part's frame ``[H, W]`` a picture shows."""
        whole = np.ones((1, *self.size), np.float32)
        covered: NDArray[np.bool_] = (
            moved(whole, self._affine(placed), order=0, mode="constant")[0] > 0
        )
        return covered

    def brought_back(self, planes: Plane, placed: Registration) -> Plane:
        """Return planes ``[C, H, W]`` of the mean good part's frame in that of the picture.

        They are 0 where the picture lies outside.
        """
        inverse = np.linalg.inv(self._affine(placed)).astype(np.float64)
        return moved(planes, inverse, order=1 if placed.angle else 0, mode="constant")

    def _affine(self, placed: Registration) -> Affine:
        factor = _factor(self.size)
        # The centre of the small picture, around which angles were found, in pixels of this one.
        centre = [(factor * -(-side // factor) - 1) / 2 for side in self.size]
        return rigid(centre, (placed.dy, placed.dx), math.radians(placed.angle))

    def as_mapping(self) -> dict[str, Any]:
        """Return plain values, for a weight file."""
        file = io.BytesIO()
        codes = np.round(255 * self.reference).astype(np.uint8)
        Image.fromarray(codes).save(file, "PNG", optimize=True)
        return {
            "mode": self.mode,
            "reference": base64.b64encode(file.getvalue()).decode(),
            "size": list(self.size),
            "least_correlation": self.least_correlation,
        }

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "Alignment":
        """Return the alignment that ``as_mapping`` described.

        Raises:
            WeightsError: the values are invalid.
        """
        try:
            height, width = values["size"]
            alignment = cls(
                mode=values["mode"],
                reference=plane_in(values["reference"]).astype(np.float32) / np.float32(255),
                size=(height, width),
                least_correlation=float(values["least_correlation"]),
            )
            is_sound = (
                alignment.mode in ALIGNMENTS[1:]
                and type(height) is int
                and type(width) is int
                and min(height, width) > 0
                and alignment.reference.shape
                == tuple(-(-side // _factor((height, width))) for side in (height, width))
                and -1 <= alignment.least_correlation <= 1
            )
        except (KeyError, TypeError, ValueError) as error:
            raise WeightsError("its alignment is invalid") from error
        if not is_sound:
            raise WeightsError("its alignment is invalid")
        return alignment


def _factor(size: Sequence[int]) -> int:
    return -(-max(size) // _SIDE_PX)


def _small(pixels: Plane) -> Plane:
    """Return a part ``[C, H, W]`` gray and at most 192 pixels a side."""
    clean = np.clip(np.nan_to_num(pixels), 0, 1)
    small: Plane = shrunk(clean.mean(axis=0, keepdims=True), _factor(pixels.shape[1:]))[0]
    return small
