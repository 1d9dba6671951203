import pytest
import torch

from restore.noise.jpeg import chroma_halved, compressed


def ramp(channels: int) -> torch.Tensor:
    rows = torch.linspace(0, 1, 32).expand(channels, 24, 32)
    return torch.stack([rows, rows.flip(2)])


@pytest.mark.parametrize("channels", [1, 3])
def test_best_quality_is_close_and_worst_is_not(channels: int) -> None:
    pictures = ramp(channels)
    best, worst = (compressed(pictures, [quality] * 2) for quality in (100, 1))
    torch.testing.assert_close(best, pictures, rtol=0, atol=2 / 255)
    assert float((worst - pictures).abs().mean()) > 5 / 255
    assert best.shape == pictures.shape


def test_each_picture_has_its_own_quality() -> None:
    good, bad = (compressed(ramp(1), [100, 5]) - ramp(1)).abs().mean(dim=(1, 2, 3))
    assert float(good) < 0.2 * float(bad)


def test_chroma_subsampling_costs_colour_edges() -> None:
    stripes = torch.zeros(1, 3, 16, 16)
    stripes[:, 0, :, ::2] = 1
    stripes[:, 2, :, 1::2] = 1
    whole, halved = (
        compressed(stripes, [100], subsample=[value])[0].sub(stripes[0]).abs().mean()
        for value in (False, True)
    )
    assert float(halved) > 10 * float(whole)


@pytest.mark.parametrize("side", [(16, 16), (15, 18), (9, 7)])
def test_halved_chroma_is_what_an_uncompressed_jpeg_keeps(side: tuple[int, int]) -> None:
    rng = torch.Generator().manual_seed(0)
    # Middle tones: what leaves the range is clipped by files alone.
    pictures = 0.3 + 0.4 * torch.rand((2, 3, *side), generator=rng)
    stored = compressed(pictures, [100, 100], subsample=[True, True])
    halved = chroma_halved(pictures)
    torch.testing.assert_close(halved, stored, rtol=0, atol=4 / 255)
    assert float((halved - pictures).abs().mean()) > 10 / 255
