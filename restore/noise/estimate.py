"""Estimation of the noise level from a single picture."""

import math
from functools import reduce

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = [
    "PATCH_SIDE",
    "ClippingLimits",
    "estimate_sigma_chw",
    "patch_places",
    "patch_variance",
    "window_places",
]

PATCH_SIDE = 7
"""Height and width of the patches in pixels."""

_SIDE = PATCH_SIDE
_VALUES = _SIDE * _SIDE
_MOST_PATCHES = 40_000
_FEWEST_PATCHES = 3 * _VALUES
_FEWEST_WEAK_PATCHES = 1000
_ITERATIONS = 6
_CONVERGED = 2e-3

# The texture strength of a patch n is n'Dn with D = L x I + I x L and L the Laplacian of a path of
# _SIDE nodes. Of white noise its mean is trace(D), its variance 2 |D|^2 (Frobenius), in units of
# sigma^2.
_DIFFERENCES = np.diff(np.eye(_SIDE), axis=0)
_PATH_LAPLACIAN = _DIFFERENCES.T @ _DIFFERENCES
_STRENGTH_FORM = np.kron(_PATH_LAPLACIAN, np.eye(_SIDE)) + np.kron(np.eye(_SIDE), _PATH_LAPLACIAN)
_STRENGTH_MEAN = float(np.trace(_STRENGTH_FORM))
_STRENGTH_VARIANCE = 2 * float(np.square(_STRENGTH_FORM).sum())
_CONFIDENCE_Z = 4.75

_BLACK, _WHITE = 0.0, 1.0
_CLIPPED_SHARE = 1e-3
_CLIPPED_PIXELS = 8
_CLEAR_OF_CLIPPING = 2.5
_FEWEST_CLEAR_SHARE = 0.2

_erf = np.frompyfunc(math.erf, 1, 1)


def estimate_sigma_chw(pixels: NDArray[np.float32]) -> float:
    """Return the standard deviation of the white Gaussian noise in a picture.

    Each channel is measured on its own and the root mean square is returned: the level for a
    network that takes a single sigma for all channels. Channels are not measured jointly: the noise
    of cameras is correlated and unequal between channels, and the estimate would be its smallest
    component.

    The least eigenvalue of the covariance of weakly textured 7x7 patches is the variance of the
    noise (Liu, Tanaka and Okutomi, "Single-Image Noise Level Estimation for Blind Denoising",
    IEEE TIP 2013, algorithm 1), here corrected for the finite number of patches (the lower edge of
    the Marchenko-Pastur law). Where the picture was clipped, patches near the limits are left out
    and the variance is that of the noise before clipping (Foi, "Clipped noisy images", Signal
    Processing 2009). Pictures with fewer than 147 usable patches are measured by second
    differences (Immerkaer, CVIU 1996). At most 40,000 patches are used, always the same ones.

    Args:
        pixels: ``[C, H, W]``, nominally in [0, 1]; values that are not finite are left out.

    Returns:
        sigma in the units of ``pixels``; 0.0 where nothing can be measured.

    Raises:
        ValueError: ``pixels`` does not have three axes.
    """
    if pixels.ndim != 3:
        raise ValueError(f"pixels must be [C, H, W], got {list(pixels.shape)}")
    variances = [_channel_variance(channel) for channel in pixels if channel.size]
    return math.sqrt(sum(variances) / len(variances)) if variances else 0.0


def _channel_variance(channel: NDArray[np.float32]) -> float:
    patches = _patches(channel)
    limits = ClippingLimits()
    limits.add(channel)
    variance = patch_variance(patches, limits)
    return _difference_variance(channel) if variance is None else variance


def patch_variance(patches: NDArray[np.float64], limits: "ClippingLimits") -> float | None:
    """Return the variance of the noise in one channel, or None if there are too few patches.

    Args:
        patches: ``[N, 7, 7]``, all finite.
        limits: clipping limits of the channel that they are from.
    """
    if len(patches) < _FEWEST_PATCHES:
        return None
    low, high = limits.low, limits.high
    flat = patches.reshape(len(patches), _VALUES)
    means = flat.mean(axis=1)
    clearance = np.minimum(means - low, high - means)
    inside = clearance > 0
    count = np.count_nonzero(inside)
    if count < _FEWEST_PATCHES:
        return 0.0
    share = max(_FEWEST_CLEAR_SHARE, _FEWEST_PATCHES / count)
    # Clipping selects patches by their mean; subtracting it removes the bias of that selection.
    centred = flat - means[:, None]
    strengths = _texture_strengths(centred)

    def measure(chosen: NDArray[np.bool_]) -> float:
        variance = _least_eigenvalue(centred[chosen])
        if math.isinf(low) and math.isinf(high):
            return variance
        return _unclipped_variance(variance, means[chosen], low, high)

    # The lower of two neighbours, because between infinities there is nothing to interpolate.
    reach = np.quantile(clearance[inside], 1 - share, method="lower")
    variance = measure(_least_clipped(flat, inside, low, high, share=share))
    for _ in range(_ITERATIONS):
        clear = inside & (clearance >= min(_CLEAR_OF_CLIPPING * math.sqrt(variance), reach))
        previous, variance = variance, measure(_weakly_textured(strengths, clear, variance))
        if abs(variance - previous) <= _CONVERGED * previous:
            break
    return variance


def _patches(channel: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return at most ``_MOST_PATCHES`` finite patches, spread evenly, as ``[N, 7, 7]``."""
    if min(channel.shape) < _SIDE:
        return np.empty((0, _SIDE, _SIDE))
    windows = sliding_window_view(channel, (_SIDE, _SIDE))
    patches = windows[patch_places(*channel.shape)]
    finite = np.isfinite(patches)
    if not finite.all():
        patches = patches[finite.all(axis=(1, 2))]
    return patches.astype(np.float64)


def patch_places(height: int, width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows, in ascending order, and the columns at which patches begin.

    Args:
        height: height of the picture in pixels, at least ``PATCH_SIDE``.
        width: width of the picture in pixels, at least ``PATCH_SIDE``.
    """
    return window_places(height, width, side=_SIDE, most=_MOST_PATCHES)


def window_places(
    height: int, width: int, *, side: int, most: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where at most ``most`` square windows begin: rows, in ascending order, and columns."""
    rows, columns = height - side + 1, width - side + 1
    total = rows * columns
    places = np.arange(total) if total <= most else _spread(total, most)
    return places // columns, places % columns


def _spread(total: int, count: int) -> NDArray[np.int64]:
    # One random place in each of `count` equal runs: a regular grid would always hit the same phase
    # of JPEG blocks.
    jitter = np.random.default_rng(0).random(count)
    return ((np.arange(count) + jitter) * (total / count)).astype(np.int64).clip(max=total - 1)


def _texture_strengths(flat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the gradient energy (trace of the gradient covariance) of patches ``[N, 49]``."""
    strengths: NDArray[np.float64] = np.einsum("np,np->n", flat @ _STRENGTH_FORM, flat)
    return strengths


def _weakly_textured(
    strengths: NDArray[np.float64], among: NDArray[np.bool_], variance: float
) -> NDArray[np.bool_]:
    """Return the patches of ``among`` whose texture is explained by noise, or else the weakest."""
    # Wilson and Hilferty's quantile of the gamma distribution that the strength of noise follows.
    shape = _STRENGTH_MEAN**2 / _STRENGTH_VARIANCE
    cube_root = 1 - 1 / (9 * shape) + _CONFIDENCE_Z * math.sqrt(1 / (9 * shape))
    threshold = variance * _STRENGTH_MEAN * cube_root**3
    candidates = strengths[among]
    enough = min(_FEWEST_WEAK_PATCHES, len(candidates)) - 1
    threshold = max(threshold, float(np.partition(candidates, enough)[enough]))
    return among & (strengths <= threshold)


def _least_eigenvalue(centred: NDArray[np.float64]) -> float:
    """Return the variance of the noise in patches ``[N, 49]`` without their means, N > 49."""
    mean = centred.mean(axis=0)
    covariance = centred.T @ centred / len(centred) - np.outer(mean, mean)
    # Subtracting the patch means makes one eigenvalue zero: the second smallest counts.
    variance = float(np.linalg.eigvalsh(covariance)[1])
    return max(variance, 0.0) / (1 - math.sqrt(_VALUES / len(centred))) ** 2


class ClippingLimits:
    """The values at which a channel was clipped, found from its parts, one by one."""

    def __init__(self) -> None:
        self._least, self._most = math.inf, -math.inf
        self._at_least = self._at_most = self._finite = 0

    def add(self, part: NDArray[np.float32]) -> None:
        """Count the values of another part."""
        if not (part.size and np.isfinite(part.min()) and np.isfinite(part.max())):
            part = part[np.isfinite(part)]
            if not part.size:
                return
        least, most = float(part.min()), float(part.max())
        self._finite += part.size
        if least < self._least:
            self._least, self._at_least = least, 0
        if most > self._most:
            self._most, self._at_most = most, 0
        if self._least <= _BLACK:
            self._at_least += int(np.count_nonzero(part == self._least))
        if self._most >= _WHITE:
            self._at_most += int(np.count_nonzero(part == self._most))

    @property
    def low(self) -> float:
        """Lower clipping limit; minus infinity if nothing was clipped."""
        return self._least if self._least <= _BLACK and self._enough(self._at_least) else -math.inf

    @property
    def high(self) -> float:
        """Upper clipping limit; infinity if nothing was clipped."""
        return self._most if self._most >= _WHITE and self._enough(self._at_most) else math.inf

    def _enough(self, count: int) -> bool:
        return count >= max(_CLIPPED_PIXELS, _CLIPPED_SHARE * self._finite)


def _least_clipped(
    flat: NDArray[np.float64], inside: NDArray[np.bool_], low: float, high: float, *, share: float
) -> NDArray[np.bool_]:
    """Return the initial patches: at most 10 % of pixels clipped, or else the best ``share``."""
    if math.isinf(low) and math.isinf(high):
        return inside
    clipped = ((flat <= low) | (flat >= high)).mean(axis=1)
    most = max(0.1, float(np.quantile(clipped[inside], share)))
    return np.asarray(inside & (clipped <= most))


def _unclipped_variance(
    variance: float, means: NDArray[np.float64], low: float, high: float
) -> float:
    """Return the variance that noise had before clipping, given that after it.

    Args:
        variance: mean variance of patches after clipping.
        means: their means after clipping, ``[N]``.
        low: lower clipping limit, or minus infinity.
        high: upper clipping limit, or infinity.
    """
    if variance <= 0:
        return 0.0
    observed = np.quantile(means, (np.arange(16) + 0.5) / 16)
    span = float(np.ptp(observed)) + 100 * math.sqrt(variance)
    low = max(low, float(observed[0]) - span)
    high = min(high, float(observed[-1]) + span)
    sigma, before = math.sqrt(variance), observed
    for _ in range(50):
        for _ in range(2):
            clipped_means, clipped_variances = _clipped_moments(before, sigma, low, high)
            before = before + (observed - clipped_means)
        step = math.sqrt(variance / clipped_variances.mean())
        sigma = min(sigma * step, high - low)
        if abs(step - 1) < 1e-4:
            break
    return sigma * sigma


def _clipped_moments(
    means: NDArray[np.float64], sigma: float, low: float, high: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and variance of N(means, sigma^2) clipped to [low, high]."""
    a, b = (low - means) / sigma, (high - means) / sigma
    below, upto = _normal_cdf(a), _normal_cdf(b)
    density_a, density_b = _normal_pdf(a), _normal_pdf(b)
    within, above = upto - below, 1 - upto
    mean = low * below + high * above + means * within + sigma * (density_a - density_b)
    square = (
        low**2 * below
        + high**2 * above
        + (means**2 + sigma**2) * within
        + 2 * means * sigma * (density_a - density_b)
        + sigma**2 * (a * density_a - b * density_b)
    )
    return mean, np.maximum(square - mean**2, np.finfo(np.float64).tiny)


def _normal_cdf(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 0.5 * (1 + np.asarray(_erf(x / math.sqrt(2)), dtype=np.float64))


def _normal_pdf(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi))


def _difference_variance(channel: NDArray[np.float32]) -> float:
    """Return the variance from the median second difference along axes of 3 or more pixels."""
    axes = [axis for axis in (0, 1) if channel.shape[axis] >= 3]
    if not axes:
        return 0.0
    start = np.where(np.isfinite(channel), channel, np.nan).astype(np.float64)
    residuals = np.abs(reduce(lambda values, axis: np.diff(values, n=2, axis=axis), axes, start))
    residuals = residuals[np.isfinite(residuals)]
    if not residuals.size:
        return 0.0
    # [1, -2, 1] has the norm sqrt(6); the median of |N(0, 1)| is 0.6745.
    return float(np.median(residuals) / (0.6745 * math.sqrt(6) ** len(axes))) ** 2
