"""Registration of the exposures of a bracket."""

from importlib import import_module
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["registration", "warped"]

Matrix = NDArray[np.float64]

_SIDE = 640
_KEYPOINTS = 500
_LEAST_MATCHES = 12
_RANSAC_PX = 1.5
_TRIALS = 500
_UPSAMPLING = 10
_MOST_ANGLE = 0.15
_LEAST_GAIN = 0.01
_LOW, _HIGH = 0.02, 0.98
_LEAST_USABLE = 0.05


def registration(moving: NDArray[np.float32], reference: NDArray[np.float32]) -> Matrix:
    """Return the matrix ``[3, 3]`` from places ``(x, y, 1)`` in ``reference`` to ``moving``.

    Frames are compared by local structure, which exposure does not change, where neither is black
    or white. Phase correlation proposes a translation; matched ORB features (Rublee et al., ICCV
    2011) with RANSAC propose a rotation and translation. The one that aligns structure best is
    taken, or neither if none is better than no motion.

    Args:
        moving: gamma-encoded luminance ``[H, W]`` in [0, 1].
        reference: the same of the other frame.
    """
    step = max(1, round(max(reference.shape) / _SIDE))
    small = [_reduced(frame, step) for frame in (moving, reference)]
    candidates = [np.eye(3), *_shift(*small), *_features(*small)]
    scores = [_agreement(small[0], small[1], candidate) for candidate in candidates]
    best = int(np.argmax(scores))
    if scores[best] < scores[0] + _LEAST_GAIN:
        return np.eye(3)
    scale = np.diag([step, step, 1.0])
    # Cells are centred half a cell from their corner.
    centre = np.array([[1, 0, (step - 1) / 2], [0, 1, (step - 1) / 2], [0, 0, 1]])
    to_full = centre @ scale
    return cast(Matrix, to_full @ candidates[best] @ np.linalg.inv(to_full))


def warped(
    plane: NDArray[np.float32], matrix: Matrix, *, fill: float, order: int = 1
) -> NDArray[np.float32]:
    """Return ``plane`` resampled onto the reference; ``fill`` where it does not reach.

    Args:
        plane: ``[H, W]``.
        matrix: see ``registration``.
        fill: value beyond the edges.
        order: order of the splines that interpolate: 1 is linear.
    """
    if np.allclose(matrix, np.eye(3)):
        return plane
    swap = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]], dtype=np.float64)
    rows_first = swap @ matrix @ swap
    result: NDArray[np.float32] = ndimage.affine_transform(
        plane, rows_first[:2, :2], offset=rows_first[:2, 2], order=order, mode="constant", cval=fill
    )
    return result


def _reduced(frame: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    height, width = (size // step * step for size in frame.shape)
    cells = frame[:height, :width].reshape(height // step, step, width // step, step)
    reduced: NDArray[np.float32] = cells.mean(axis=(1, 3), dtype=np.float32)
    return reduced


def _structure(frame: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the frame with its local mean and contrast taken out."""
    mean = ndimage.gaussian_filter(frame, 8)
    spread = np.sqrt(ndimage.gaussian_filter((frame - mean) ** 2, 8))
    structure: NDArray[np.float32] = (ndimage.gaussian_filter(frame, 1) - mean) / (spread + 0.02)
    usable = (frame > _LOW) & (frame < _HIGH)
    structure[~usable] = 0
    return structure


def _agreement(
    moving: NDArray[np.float32], reference: NDArray[np.float32], matrix: Matrix
) -> float:
    """Return the correlation of the structure of both where both can be seen."""
    moved = warped(moving, matrix, fill=0.0)
    usable = (moved > _LOW) & (moved < _HIGH) & (reference > _LOW) & (reference < _HIGH)
    if usable.mean() < _LEAST_USABLE:
        return -1.0
    one, other = _structure(moved)[usable], _structure(reference)[usable]
    norm = float(np.sqrt(np.mean(one**2) * np.mean(other**2)))
    return float(np.mean(one * other)) / max(norm, 1e-9)


def _shift(moving: NDArray[np.float32], reference: NDArray[np.float32]) -> list[Matrix]:
    structures = [_structure(reference), _structure(moving)]
    if not all(structure.any() for structure in structures):
        return []
    library: Any = import_module("skimage.registration")
    shift, _, _ = library.phase_cross_correlation(*structures, upsample_factor=_UPSAMPLING)
    y, x = (float(value) for value in shift)
    return [np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1]], dtype=np.float64)]


def _features(moving: NDArray[np.float32], reference: NDArray[np.float32]) -> list[Matrix]:
    feature: Any = import_module("skimage.feature")
    measure: Any = import_module("skimage.measure")
    transform: Any = import_module("skimage.transform")
    found = []
    for frame in (reference, moving):
        detector = feature.ORB(n_keypoints=_KEYPOINTS, fast_threshold=0.05)
        structure = _structure(frame)
        try:
            detector.detect_and_extract(0.5 + structure / 8)
        except (RuntimeError, ValueError):  # no keypoints, or a line of pixels
            return []
        found.append((detector.keypoints[:, ::-1], detector.descriptors))
    matches = feature.match_descriptors(found[0][1], found[1][1], cross_check=True, max_ratio=0.9)
    if len(matches) < _LEAST_MATCHES:
        return []
    pairs = (found[0][0][matches[:, 0]], found[1][0][matches[:, 1]])
    model, inliers = measure.ransac(
        pairs, transform.EuclideanTransform, min_samples=2, residual_threshold=_RANSAC_PX,
        max_trials=_TRIALS, rng=0,
    )  # fmt: skip
    if model is None or inliers.sum() < _LEAST_MATCHES or abs(model.rotation) > _MOST_ANGLE:
        return []
    return [np.asarray(model.params, dtype=np.float64)]
