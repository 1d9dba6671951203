"""Impulses, speckle and stripes: how much they change, and where."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from restore.noise.impulses import impulses
from restore.noise.speckle import speckle
from restore.noise.stripes import stripes

Noise = Callable[[Tensor, torch.Generator], Tensor]
COUNT, SIDE = 200, 64
GRAY = torch.full((COUNT, 3, SIDE, SIDE), 0.4)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def changed_share(noise: Tensor) -> Tensor:
    """Return the share of the pixels of each picture of which any channel changed much."""
    return (noise.abs().amax(dim=1) > 0.15).flatten(1).float().mean(dim=1)


def test_impulses_replace_few_or_many_pixels() -> None:
    shares = changed_share(impulses(GRAY, generator()))
    assert float(shares.quantile(0.1)) < 0.003
    assert 0.08 < float(shares.quantile(0.95)) < 0.4


def test_some_impulses_are_of_all_channels_and_others_of_one() -> None:
    noise = impulses(GRAY, generator())
    is_equal = (noise == noise[:, :1]).flatten(1).all(dim=1)
    assert 0.25 < float(is_equal.float().mean()) < 0.75


def test_most_impulses_are_black_and_white() -> None:
    values = GRAY + impulses(GRAY, generator())
    bounded = (values[(values - GRAY).abs() > 0.35] - 0.5).abs()
    assert float((bounded > 0.499).float().mean()) > 0.4


def test_speckle_multiplies_and_keeps_the_mean() -> None:
    dark, bright = (speckle(share * GRAY, generator(1)) for share in (0.25, 1.0))
    torch.testing.assert_close(4 * dark, bright, rtol=1e-4, atol=1e-5)
    deviation = bright.flatten(1).std(dim=1) / 0.4
    assert float(deviation.min()) < 0.02
    assert 0.4 < float(deviation.max()) < 0.7
    assert float(bright.mean().abs()) < 0.002
    assert float((GRAY + bright).min()) > 0


def test_stripes_run_along_rows_or_columns() -> None:
    noise = stripes(GRAY, generator(2))[:, 0]
    by_row, by_column = noise.mean(dim=2).std(dim=1), noise.mean(dim=1).std(dim=1)
    strong = torch.maximum(by_row, by_column) > 4 / 255
    along_rows = (by_row > 3 * by_column)[strong].float().mean()
    along_columns = (by_column > 3 * by_row)[strong].float().mean()
    assert float(along_rows) == pytest.approx(0.5, abs=0.15)
    assert float(along_rows + along_columns) > 0.95
    assert 8 / 255 < float(torch.maximum(by_row, by_column).quantile(0.95)) < 18 / 255


@pytest.mark.parametrize("noise", [impulses, speckle, stripes])
@pytest.mark.parametrize("shape", [(2, 1, 32, 48), (3, 3, 48, 32)])
def test_any_shape_and_the_same_seed_the_same_noise(noise: Noise, shape: tuple[int, ...]) -> None:
    clean = torch.rand(shape, generator=generator(3))
    first, second, other = (noise(clean, generator(seed)) for seed in (4, 4, 5))
    assert first.shape == clean.shape
    assert first.dtype == clean.dtype
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
