import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from restore.noise.camera import reduced, smoothed


def noise(count: int = 32, side: int = 64) -> Tensor:
    return 0.1 * torch.randn((count, 3, side, side), generator=torch.Generator().manual_seed(0))


def likeness(pictures: Tensor, distance: int) -> Tensor:
    """Correlation with the neighbour ``distance`` pixels away, ``(B,)``."""
    left, right = pictures[..., :-distance].flatten(1), pictures[..., distance:].flatten(1)
    return (left * right).mean(dim=1) / pictures.flatten(1).var(dim=1)


def test_smoothing_is_gaussian() -> None:
    pictures, sigma = noise(2), torch.tensor([0.8, 2.0])
    results = smoothed(pictures, sigma)
    for picture, result, one in zip(pictures, results, sigma.tolist(), strict=True):
        wanted = gaussian_filter(picture.numpy(), (0, one, one), mode="mirror", truncate=2.5)
        assert result.numpy() == pytest.approx(wanted, abs=2e-3)


def test_pictures_smaller_than_the_kernel_are_smoothed_too() -> None:
    assert torch.isfinite(smoothed(noise(1, 3), torch.tensor([5.0]))).all()


def test_colour_is_left_in_blotches_and_luminance_soft() -> None:
    left = reduced(noise(), torch.Generator().manual_seed(1))
    luma = (left * torch.tensor([0.299, 0.587, 0.114])[None, :, None, None]).sum(1, keepdim=True)
    chroma = (left - luma)[:, :1]
    treated = likeness(chroma, 1) > 0.3
    assert 0.5 < float(treated.float().mean()) < 0.95, "some cameras do nothing"
    assert float(likeness(chroma, 1)[treated].mean()) > 0.7
    assert 0.1 < float(likeness(luma, 1)[treated].mean()) < 0.7
    assert float(chroma[treated].std()) < 0.5 * float(chroma[~treated].std())


def test_what_cameras_do_is_noise_reduction() -> None:
    before = noise()
    after = reduced(before, torch.Generator().manual_seed(2))
    assert (after.flatten(1).std(dim=1) <= before.flatten(1).std(dim=1) + 1e-6).all()
    assert float((after.mean() - before.mean()).abs()) < 1e-4
