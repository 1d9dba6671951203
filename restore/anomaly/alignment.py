"""Registering parts to the mean good part, so that each place of a part lies where it always does.

Phase correlation finds the shift (Kuglin and Hines, 1975), that of the spectra in polar coordinates
the angle (Reddy and Chatterji, IEEE Transactions on Image Processing 1996), and Gauss-Newton steps
refine both (Lucas and Kanade, 1981).
"""

import base64
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from restore.anomaly.roi import plane_in
from restore.anomaly.scale import shrunk
from restore.errors import TrainingError, WeightsError

__all__ = ["ALIGNMENTS", "Alignment", "Registration"]

Plane = NDArray[np.float32]
Affine = NDArray[np.float64]
"""``[3, 3]``, from rows and columns on the mean good part to those of a picture."""

ALIGNMENTS = ("off", "translation", "rotation")

_SIDE_PX = 192
"""Longest side of the mean good part; shifts are found to a fraction of its pixels."""
_BLUR_PX = 1.0
_STEPS = 12
_SMALL_STEP = 0.01
_LONGEST_STEP = 8.0
_REFINED = 2
_LARGEST_SHIFT = 0.4
"""Share of a side; beyond it too little of the part is in the picture."""
_LEAST_LIKENESS = 0.3
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
                f"--align {mode}: parts are registered in pictures of one size, not of "
                f"{columns}x{rows} and {more}x{others} pixels; use --align off"
            )
        (size,) = sizes
        small = [_small(part) for part in parts]
        best: tuple[float, list[_Fit]] = (-1.0, [])
        for first in small[:_FIRST_TRIES]:
            fits = [_fit(first, each, mode) for each in small]
            best = max(best, (float(np.median([fit.correlation for fit in fits])), fits),
                       key=lambda pair: pair[0])  # fmt: skip
            if best[0] >= 2 * _LEAST_LIKENESS:
                break
        fits = best[1]
        reference = _mean(small, fits, mode)
        fits = [_fit(reference, each, mode) for each in small]
        likeness = float(np.median([fit.correlation for fit in fits]))
        if likeness < _LEAST_LIKENESS:
            raise TrainingError(
                f"--align {mode}: the parts are too unlike one another to be registered "
                f"(correlation {likeness:.2f} with their mean, {_LEAST_LIKENESS:g} is the least); "
                "use --align off"
            )
        return cls(
            mode=mode,
            reference=_mean(small, fits, mode),
            size=(int(size[0]), int(size[1])),
            least_correlation=round(_LIKENESS_SHARE * likeness, 4),
        )

    def register(self, pixels: Plane) -> Registration:
        """Return where a part lies in its picture ``[C, H, W]``; not found in one of another size.

        Where it is not found, the shift is 0.
        """
        if pixels.shape[1:] != self.size:
            return Registration(found=False)
        fit = _fit(self.reference, _small(pixels), self.mode)
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
        moved = _moved(pixels, self._affine(placed), order=order, mode="mirror")
        return np.clip(moved, 0, 1) if order else moved

    def covered(self, placed: Registration) -> NDArray[np.bool_]:
        """Return what of the mean good part's frame ``[H, W]`` a picture shows."""
        whole = np.ones((1, *self.size), np.float32)
        covered: NDArray[np.bool_] = (
            _moved(whole, self._affine(placed), order=0, mode="constant")[0] > 0
        )
        return covered

    def brought_back(self, planes: Plane, placed: Registration) -> Plane:
        """Return planes ``[C, H, W]`` of the mean good part's frame in that of the picture.

        They are 0 where the picture lies outside.
        """
        inverse = np.linalg.inv(self._affine(placed)).astype(np.float64)
        return _moved(planes, inverse, order=1 if placed.angle else 0, mode="constant")

    def _affine(self, placed: Registration) -> Affine:
        factor = _factor(self.size)
        # The centre of the small picture, around which angles were found, in pixels of this one.
        centre = [(factor * -(-side // factor) - 1) / 2 for side in self.size]
        return _rigid(centre, (placed.dy, placed.dx), math.radians(placed.angle))

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


@dataclass(frozen=True)
class _Fit:
    """Where a small part lies: shift (down, right) in its pixels, angle in radians."""

    shift: tuple[float, float]
    angle: float
    correlation: float

    @property
    def degrees(self) -> float:
        return math.degrees(math.remainder(self.angle, 2 * math.pi))


def _factor(size: Sequence[int]) -> int:
    return -(-max(size) // _SIDE_PX)


def _small(pixels: Plane) -> Plane:
    """Return a part ``[C, H, W]`` gray and at most 192 pixels a side."""
    clean = np.clip(np.nan_to_num(pixels), 0, 1)
    small: Plane = shrunk(clean.mean(axis=0, keepdims=True), _factor(pixels.shape[1:]))[0]
    return small


def _fit(reference: Plane, part: Plane, mode: str) -> _Fit:
    """Return the best of what starts from several angles and two kinds of correlation find."""
    fixed, moving = (ndimage.gaussian_filter(each, _BLUR_PX) for each in (reference, part))
    angles = [0.0]
    if mode == "rotation":
        turned = _polar_angle(fixed, moving)
        angles += [turned, turned + math.pi]
    starts = []
    for angle in angles:
        for is_phase in (True, False):
            shift = _coarse_shift(fixed, moving, angle, is_phase=is_phase)
            likeness = _compared(fixed, moving, np.array([*shift, angle]))[0]
            starts.append(_Fit(shift, angle, likeness))
    starts.sort(key=lambda fit: -fit.correlation)
    refined = [_refined(fixed, moving, fit, mode) for fit in starts[:_REFINED]]
    return max(refined, key=lambda fit: fit.correlation)


def _coarse_shift(
    fixed: Plane, moving: Plane, angle: float, *, is_phase: bool
) -> tuple[float, float]:
    """Return the shift in whole pixels at an angle, the second time between what overlaps."""
    window = np.outer(*(np.hanning(side + 2)[1:-1] for side in fixed.shape))
    centre = _centre(fixed.shape)
    cosine, sine = math.cos(angle), math.sin(angle)
    turn = np.array([[cosine, -sine], [sine, cosine]])
    shift = np.zeros(2)
    for _ in range(2):
        seen = _moved(moving[None], _rigid(centre, shift, angle), order=1, mode="nearest")[0]
        shift = shift + turn @ _peak(
            (fixed - fixed.mean()) * window, (seen - seen.mean()) * window, is_phase=is_phase
        )
    return float(shift[0]), float(shift[1])


def _peak(fixed: Affine, moving: Affine, *, is_phase: bool) -> NDArray[np.float64]:
    """Return the shift of ``moving`` against ``fixed`` at which they correlate most."""
    product = np.fft.rfft2(moving) * np.conj(np.fft.rfft2(fixed))
    if is_phase:
        product /= np.maximum(np.abs(product), 1e-9 * max(float(np.abs(product).max()), 1e-12))
    correlation = np.fft.irfft2(product, s=fixed.shape)
    peak = np.array(np.unravel_index(int(np.argmax(correlation)), fixed.shape), np.float64)
    sides = np.array(fixed.shape)
    return np.where(peak > sides / 2, peak - sides, peak)


def _polar_angle(fixed: Plane, moving: Plane) -> float:
    """Return by how much a part is turned, in radians, but for half a turn."""
    side = max(fixed.shape)
    window = np.outer(*(np.hanning(length + 2)[1:-1] for length in fixed.shape))
    angles = np.radians(np.arange(180))[:, None]
    # The lowest frequencies are those of the window.
    radii = np.arange(4, side // 2)[None]
    places = [side // 2 + radii * np.sin(angles), side // 2 + radii * np.cos(angles)]
    spectra = []
    for each in (fixed, moving):
        square = np.zeros((side, side))
        square[: each.shape[0], : each.shape[1]] = (each - each.mean()) * window
        magnitude = np.log1p(np.abs(np.fft.fftshift(np.fft.fft2(square))))
        ring = ndimage.map_coordinates(magnitude, places, order=1)
        spectra.append(ring - ring.mean(axis=0))
    return math.radians(float(_peak(*spectra, is_phase=False)[0]))


def _refined(fixed: Plane, moving: Plane, start: _Fit, mode: str) -> _Fit:
    """Refine shift and angle by Gauss-Newton steps on the difference of normalised pictures."""
    middle = _centre(fixed.shape)
    rows = np.arange(fixed.shape[0])[:, None] - middle[0]
    columns = np.arange(fixed.shape[1])[None] - middle[1]
    motion = np.array([*start.shift, start.angle], np.float64)
    best = start
    for _ in range(_STEPS):
        likeness, seen, there = _compared(fixed, moving, motion)
        if likeness > best.correlation:
            best = _Fit((float(motion[0]), float(motion[1])), float(motion[2]), likeness)
        if likeness <= 0:
            break
        down, right = np.gradient(seen, axis=0), np.gradient(seen, axis=1)
        slopes = [down, right]
        if mode == "rotation":
            slopes.append(rows * right - columns * down)
        slope = np.stack([each[there] for each in slopes])
        normal = slope @ slope.T
        step = np.zeros(3)
        step[: len(slope)] = np.linalg.lstsq(normal, slope @ (fixed - seen)[there], rcond=None)[0]
        cosine, sine = math.cos(motion[2]), math.sin(motion[2])
        turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
        motion = motion + turn @ np.clip(step, -_LONGEST_STEP, _LONGEST_STEP)
        if np.abs(step * [1, 1, max(fixed.shape)]).max() < _SMALL_STEP:
            break
    return best


def _compared(
    fixed: Plane, moving: Plane, motion: NDArray[np.float64]
) -> tuple[float, Plane, NDArray[np.bool_]]:
    """Return the correlation where both are, the moved part on the scale of the other, and where.

    It is -1 where less than a third overlaps.
    """
    affine = _rigid(_centre(fixed.shape), motion[:2], float(motion[2]))
    seen = _moved(moving[None], affine, order=1, mode="nearest")[0]
    there = _moved(np.ones_like(moving)[None], affine, order=0, mode="constant")[0] > 0
    if there.mean() < 1 / 3:
        return -1.0, seen, there
    first, second = fixed[there], seen[there]
    spread, other = float(first.std()), float(second.std())
    if spread < 1e-6 or other < 1e-6:
        return -1.0, seen, there
    likeness = float(((first - first.mean()) * (second - second.mean())).mean() / (spread * other))
    scaled = (seen - second.mean()) * (spread / other) + first.mean()
    return likeness, scaled.astype(np.float32), there


def _mean(small: Sequence[Plane], fits: Sequence[_Fit], mode: str) -> Plane:
    """Return the mean of parts, in the median of their positions."""
    good = [fit for fit in fits if fit.correlation >= _LEAST_LIKENESS]
    chosen = good or list(fits)
    shift = np.median([fit.shift for fit in chosen], axis=0)
    around = chosen[0].angle
    angle = 0.0
    if mode == "rotation":
        angles = [math.remainder(fit.angle - around, 2 * math.pi) for fit in chosen]
        angle = around + float(np.median(angles))
    centre = _centre(small[0].shape)
    middle = np.linalg.inv(_rigid(centre, shift, angle))
    total = np.zeros(small[0].shape, np.float64)
    count = np.zeros(small[0].shape, np.float64)
    for part, fit in zip(small, fits, strict=True):
        if fit.correlation < _LEAST_LIKENESS and good:
            continue
        affine = _rigid(centre, fit.shift, fit.angle) @ middle
        there = _moved(np.ones_like(part)[None], affine, order=0, mode="constant")[0] > 0
        total += there * _moved(part[None], affine, order=1, mode="nearest")[0]
        count += there
    mean = total / np.maximum(count, 1)
    mean[count == 0] = total.sum() / max(count.sum(), 1)
    return mean.astype(np.float32)


def _centre(size: Sequence[int]) -> list[float]:
    return [(side - 1) / 2 for side in size]


def _rigid(centre: Sequence[float], shift: Iterable[float], angle: float) -> Affine:
    """Return the motion that turns around ``centre`` and then shifts."""
    cosine, sine = math.cos(angle), math.sin(angle)
    turn = np.array([[cosine, -sine], [sine, cosine]])
    affine = np.eye(3)
    affine[:2, :2] = turn
    affine[:2, 2] = np.asarray(centre) + np.asarray(list(shift)) - turn @ np.asarray(centre)
    return affine


def _moved(planes: Plane, affine: Affine, *, order: int, mode: str) -> Plane:
    """Return ``[C, H, W]`` with each pixel from where ``affine`` maps it to."""
    return np.stack(
        [
            ndimage.affine_transform(
                plane, affine[:2, :2], affine[:2, 2], order=order, mode=mode, output=np.float32
            )
            for plane in planes
        ]
    )
