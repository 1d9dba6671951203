from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from restore.engine.tiles import each_tile, windows
from restore.errors import UsageError
from restore.models.dncnn import DnCNN, DnCNNConfig
from restore.models.resunet import ResUNet, ResUNetConfig
from restore.weights.store import Weights


def random_weights(network: DnCNN | ResUNet) -> Weights:
    return Weights(
        name="random",
        network=type(network),
        config=network.config,
        task="denoise",
        tensors=dict(network.state_dict()),
    )


def strong(network: DnCNN | ResUNet) -> Weights:
    """Weights whose correction is as large as the picture, so that seams would show."""
    last = network.convs[-1] if isinstance(network, DnCNN) else network.tail
    with torch.no_grad():
        last.weight.mul_(10)
    return random_weights(network)


@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    tile=st.integers(1, 80),
    halo=st.integers(0, 30),
    multiple=st.sampled_from([1, 2, 8]),
)
def test_cores_cover_the_picture_exactly_once(
    height: int, width: int, tile: int, halo: int, multiple: int
) -> None:
    covered = np.zeros((height, width), dtype=int)
    for window in windows(height, width, tile=tile, halo=halo, multiple=multiple):
        covered[window.keep] += 1
        for read, keep, size in zip(window.read, window.keep, (height, width), strict=True):
            assert read.start % multiple == 0
            assert read.start <= max(0, keep.start - halo)
            assert read.stop >= min(size, keep.stop + halo)
        columns = window.read[1]
        is_aligned = (columns.stop - columns.start) % 16 == 0
        assert is_aligned or width % multiple or columns == slice(0, width)
    assert (covered == 1).all()


def test_tiles_are_of_about_one_size() -> None:
    sides = [
        part.stop - part.start
        for window in windows(1000, 800, tile=768, halo=72, multiple=8)
        for part in window.keep
    ]
    assert sorted(set(sides)) == [400, 496, 504]


@pytest.mark.parametrize(
    ("height", "width", "kept"),
    [
        (768, 700, [(768, 700)]),
        (700, 900, [(700, 456), (700, 444)]),
        (1000, 600, [(504, 600), (496, 600)]),
    ],
)
def test_large_pictures_of_one_tile_are_two_for_two_lanes(
    height: int, width: int, kept: list[tuple[int, int]]
) -> None:
    sizes = [
        tuple(part.stop - part.start for part in window.keep)
        for window in windows(height, width, tile=1024, halo=56, multiple=8)
    ]
    assert sizes == kept


@settings(deadline=None, max_examples=20)
@given(height=st.integers(1, 40), width=st.integers(1, 40), tile=st.integers(1, 48))
def test_identity_comes_back_for_any_size(height: int, width: int, tile: int) -> None:
    pixels = np.random.default_rng(0).random((3, height, width), dtype=np.float32)
    result = np.full_like(pixels, np.nan)
    for part, made_of, kept in each_tile(
        lambda patch: patch,
        lambda part: pixels[:, *part],
        height,
        width,
        tile=tile,
        halo=5,
        multiple=8,
    ):
        np.testing.assert_array_equal(made_of, kept)
        result[:, *part] = kept
    np.testing.assert_array_equal(result, pixels)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (37, 53), (200, 131)])
@pytest.mark.parametrize("tile", [64, 100])
@pytest.mark.parametrize("kind", ["dncnn", "resunet"])
def test_tiled_equals_untiled(kind: str, tile: int, size: tuple[int, int], denoising: Any) -> None:
    torch.manual_seed(0)
    if kind == "dncnn":
        weights = strong(DnCNN(DnCNNConfig(channels=1, depth=7, width=8)))
    else:
        weights = strong(ResUNet(ResUNetConfig(channels=1, widths=(4, 6, 8, 8), blocks=2)))
    pixels = np.random.default_rng(0).random((1, *size), dtype=np.float32)
    tiled, whole = (denoising(weights, tile=side)(pixels, 0.1) for side in (tile, 4096))
    assert np.abs(whole - pixels).max() > 1e-4, "the network does something"
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dncnn-gray", "resunet-gray"])
@pytest.mark.parametrize("tile", [64, 128, 256, 512, 1024])
def test_shipped_networks_show_no_seams(name: str, tile: int, denoising: Any) -> None:
    from restore.tasks import load

    pixels = np.random.default_rng(0).random((1, 270, 333), dtype=np.float32)
    tiled, whole = (denoising(load(name), tile=side)(pixels, 0.1) for side in (tile, 4096))
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-5)


def test_precision_fp32_is_the_same_bit_for_bit(denoising: Any) -> None:
    torch.manual_seed(0)
    weights = strong(DnCNN(DnCNNConfig(channels=3, depth=5, width=8)))
    pixels = np.random.default_rng(0).random((3, 90, 70), dtype=np.float32)
    first, second = (denoising(weights, tile=64)(pixels, 0.1) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("tile", [0, -5, "big"])
def test_impossible_tiles_are_refused(tile: int | str, denoising: Any) -> None:
    weights = random_weights(DnCNN(DnCNNConfig(channels=1, depth=3, width=4)))
    with pytest.raises(UsageError, match="tile"):
        denoising(weights, tile=tile)
