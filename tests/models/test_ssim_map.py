import numpy as np
import torch
from skimage.metrics import structural_similarity

from restore.models.layers import SSIM_RADIUS, ssim_map


def test_agrees_with_scikit_image() -> None:
    rng = np.random.default_rng(0)
    first = rng.random((40, 50))
    second = np.clip(first + 0.1 * rng.standard_normal((40, 50)), 0, 1)
    _, expected = structural_similarity(
        first, second, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        data_range=1.0, full=True,
    )  # fmt: skip
    tensors = (torch.from_numpy(each)[None, None] for each in (first, second))
    inner = slice(SSIM_RADIUS, -SSIM_RADIUS)
    result = ssim_map(*tensors)[0, 0, inner, inner].numpy()
    np.testing.assert_allclose(result, expected[inner, inner], atol=1e-6)


def test_gradients_flow() -> None:
    first = torch.rand(1, 2, 16, 16, requires_grad=True)
    ssim_map(first, torch.rand(1, 2, 16, 16)).mean().backward()
    assert first.grad is not None
    assert first.grad.abs().sum() > 0
