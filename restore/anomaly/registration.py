"""Finding by what shift and turn one picture lies on another.

Phase correlation finds the shift (Kuglin and Hines, 1975), that of the spectra in polar coordinates
the angle (Reddy and Chatterji, IEEE Transactions on Image Processing 1996), and Gauss-Newton steps
refine both (Lucas and Kanade, 1981).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["LEAST_LIKENESS", "Affine", "Fit", "Plane", "fit_of", "mean_of", "moved", "rigid"]

Plane = NDArray[np.float32]
Affine = NDArray[np.float64]
"""``[3, 3]``, from rows and columns on the reference to those of a picture."""

LEAST_LIKENESS = 0.3
"""Correlation below which two pictures do not show the same thing."""

_BLUR_PX = 1.0
_STEPS = 12
_SMALL_STEP = 0.01
_LONGEST_STEP = 8.0
_REFINED = 2


@dataclass(frozen=True)
class Fit:
    """Where a small part lies: shift (down, right) in its pixels, angle in radians."""

    shift: tuple[float, float]
    angle: float
    correlation: float

    @property
    def degrees(self) -> float:
        return math.degrees(math.remainder(self.angle, 2 * math.pi))


def fit_of(reference: Plane, part: Plane, mode: str) -> Fit:
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
            starts.append(Fit(shift, angle, likeness))
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
        seen = moved(moving[None], rigid(centre, shift, angle), order=1, mode="nearest")[0]
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


def _refined(fixed: Plane, moving: Plane, start: Fit, mode: str) -> Fit:
    """Refine shift and angle by Gauss-Newton steps on the difference of normalised pictures."""
    middle = _centre(fixed.shape)
    rows = np.arange(fixed.shape[0])[:, None] - middle[0]
    columns = np.arange(fixed.shape[1])[None] - middle[1]
    motion = np.array([*start.shift, start.angle], np.float64)
    best = start
    for _ in range(_STEPS):
        likeness, seen, there = _compared(fixed, moving, motion)
        if likeness > best.correlation:
            best = Fit((float(motion[0]), float(motion[1])), float(motion[2]), likeness)
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
    affine = rigid(_centre(fixed.shape), motion[:2], float(motion[2]))
    seen = moved(moving[None], affine, order=1, mode="nearest")[0]
    there = moved(np.ones_like(moving)[None], affine, order=0, mode="constant")[0] > 0
    if there.mean() < 1 / 3:
        return -1.0, seen, there
    first, second = fixed[there], seen[there]
    spread, other = float(first.std()), float(second.std())
    if spread < 1e-6 or other < 1e-6:
        return -1.0, seen, there
    likeness = float(((first - first.mean()) * (second - second.mean())).mean() / (spread * other))
    scaled = (seen - second.mean()) * (spread / other) + first.mean()
    return likeness, scaled.astype(np.float32), there


def mean_of(small: Sequence[Plane], fits: Sequence[Fit], mode: str) -> Plane:
    """Return the mean of parts, in the median of their positions."""
    good = [fit for fit in fits if fit.correlation >= LEAST_LIKENESS]
    chosen = good or list(fits)
    shift = np.median([fit.shift for fit in chosen], axis=0)
    around = chosen[0].angle
    angle = 0.0
    if mode == "rotation":
        angles = [math.remainder(fit.angle - around, 2 * math.pi) for fit in chosen]
        angle = around + float(np.median(angles))
    centre = _centre(small[0].shape)
    middle = np.linalg.inv(rigid(centre, shift, angle))
    total = np.zeros(small[0].shape, np.float64)
    count = np.zeros(small[0].shape, np.float64)
    for part, fit in zip(small, fits, strict=True):
        if fit.correlation < LEAST_LIKENESS and good:
            continue
        affine = rigid(centre, fit.shift, fit.angle) @ middle
        there = moved(np.ones_like(part)[None], affine, order=0, mode="constant")[0] > 0
        total += there * moved(part[None], affine, order=1, mode="nearest")[0]
        count += there
    mean = total / np.maximum(count, 1)
    mean[count == 0] = total.sum() / max(count.sum(), 1)
    return mean.astype(np.float32)


def _centre(size: Sequence[int]) -> list[float]:
    return [(side - 1) / 2 for side in size]


def rigid(centre: Sequence[float], shift: Iterable[float], angle: float) -> Affine:
    """Return the motion that turns around ``centre`` and then shifts."""
    cosine, sine = math.cos(angle), math.sin(angle)
    turn = np.array([[cosine, -sine], [sine, cosine]])
    affine = np.eye(3)
    affine[:2, :2] = turn
    affine[:2, 2] = np.asarray(centre) + np.asarray(list(shift)) - turn @ np.asarray(centre)
    return affine


def moved(planes: Plane, affine: Affine, *, order: int, mode: str) -> Plane:
    """Return ``[C, H, W]`` with each pixel from where ``affine`` maps it to."""
    return np.stack(
        [
            ndimage.affine_transform(
                plane, affine[:2, :2], affine[:2, 2], order=order, mode=mode, output=np.float32
            )
            for plane in planes
        ]
    )
