import numpy as np
import pytest
from scipy import ndimage
from skimage.transform import EuclideanTransform

from restore.hdr.merge.align import registration, warped
from restore.image.colour import linear_to_srgb


def _scene(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    blocks = np.kron(rng.random((20, 24)), np.ones((12, 12)))
    smooth = ndimage.gaussian_filter(rng.random((240, 288)), 2)
    return (0.5 * blocks + 0.5 * smooth / smooth.max()).astype(np.float32)


def _seen(light: np.ndarray, exposure: float) -> np.ndarray:
    return linear_to_srgb(np.clip(light * exposure, 0, 1).astype(np.float32))


@pytest.mark.parametrize(
    "motion",
    [
        EuclideanTransform(translation=(7, -4)),
        EuclideanTransform(translation=(-12.5, 3.5)),
        EuclideanTransform(rotation=0.03, translation=(5, -3)),
    ],
)
@pytest.mark.parametrize("exposure", [1.0, 0.25])
def test_frames_of_other_exposure_are_put_back(motion: EuclideanTransform, exposure: float) -> None:
    scene = _scene()
    moving = warped(scene, np.asarray(motion.inverse.params), fill=0.0)
    matrix = registration(_seen(moving, exposure), _seen(scene, 1.0))
    corners = np.array([[30, 250, 30, 250], [30, 30, 210, 210], [1, 1, 1, 1]])
    error = np.hypot(*(matrix @ corners - motion.params @ corners)[:2])
    assert error.max() < 1.0
    back = warped(moving, matrix, fill=0.0)[40:-40, 40:-40]
    before = np.abs(moving[40:-40, 40:-40] - scene[40:-40, 40:-40]).mean()
    assert np.abs(back - scene[40:-40, 40:-40]).mean() < before / 3


def test_a_still_camera_is_left_alone() -> None:
    scene = _scene()
    noisy = scene + 0.01 * np.random.default_rng(1).standard_normal(scene.shape)
    matrix = registration(_seen(noisy, 0.5), _seen(scene, 1.0))
    np.testing.assert_array_equal(matrix, np.eye(3))
    assert warped(scene, matrix, fill=0.0) is scene


def test_black_and_white_frames_cannot_be_registered() -> None:
    flat = np.ones((64, 64), dtype=np.float32)
    np.testing.assert_array_equal(registration(flat, _seen(_scene()[:64, :64], 1)), np.eye(3))
