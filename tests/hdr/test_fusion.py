"""Linear light as it is shown on a screen."""

import numpy as np
import pytest
from numpy.typing import NDArray

from restore.hdr.fusion import tone_mapped
from restore.image.colour import srgb_to_linear
from restore.image.picture import Picture, Transfer


def shown(light: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the picture ``[C, H, W]`` of light."""
    picture = Picture(
        pixels=light.astype(np.float32), bit_depth=32, is_float=True, transfer=Transfer.LINEAR
    )
    result = tone_mapped(picture)
    assert result.transfer is Transfer.SRGB
    return result.pixels


def room(seed: int = 0) -> NDArray[np.float64]:
    """A dark wall beside a window a thousand times brighter, each with texture of 10 %."""
    texture = 1 + 0.1 * np.sign(np.random.default_rng(seed).normal(size=(128, 192)))
    light = np.where(np.arange(192) < 96, 0.01, 10.0) * texture
    return np.stack([light] * 3)


def test_dark_and_bright_places_are_both_shown() -> None:
    picture = shown(room())[1]
    wall, window = picture[16:-16, 16:80], picture[16:-16, 112:-16]
    assert 0.1 < wall.mean() < window.mean() < 0.98
    # A third of the local contrast that a photograph of either alone would have.
    for place in (wall, window):
        assert place.std() > 0.1 / 3 * place.mean() / 2.2
        assert (place > 0.995).mean() < 0.05


def test_there_are_no_halos_beside_an_edge() -> None:
    """Flat places stay flat: beside the edge as far from it."""
    light = np.where(np.arange(192) < 96, 0.01, 10.0) * np.ones((3, 128, 1))
    row = shown(light)[1, 64]
    for far, near in ((row[8:40], row[56:92]), (row[-40:-8], row[100:-56])):
        assert np.abs(near - far.mean()).max() < 0.1


def test_the_range_of_a_screen_is_used() -> None:
    light = np.random.default_rng(0).lognormal(-3, 1.5, (3, 1, 1)) * np.geomspace(
        0.01, 30, 256
    ).reshape(16, 16).repeat(12, axis=0).repeat(12, axis=1)
    picture = shown(light).max(axis=0)
    assert picture.min() < 0.15
    assert picture.max() > 0.95
    assert 0.3 < picture.mean() < 0.72


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_hues_are_kept_and_no_channel_is_clipped(scale: float) -> None:
    ramp = np.geomspace(0.001, 64, 200)
    light = np.stack([ramp, ramp * 0.5, ramp * 0.25])[:, None].repeat(40, axis=1) * scale
    red, green, blue = srgb_to_linear(shown(light))[:, 20]
    middle = (green > 0.02) & (red < 0.99)
    # Colours are paled towards gray along straight lines: green lies a third from blue to red.
    share = (green - blue)[middle] / (red - blue)[middle]
    np.testing.assert_allclose(share, 1 / 3, atol=0.02)
    assert (red >= green).all()
    assert (green >= blue).all()


@pytest.mark.parametrize("value", [0.0, 0.18, 1e6, np.inf, np.nan])
@pytest.mark.parametrize("size", [(1, 1), (3, 50), (9, 9)])
def test_flat_pictures_of_any_size_are_shown(value: float, size: tuple[int, int]) -> None:
    picture = shown(np.full((3, *size), value))
    assert picture.shape == (3, *size)
    assert np.isfinite(picture).all()


@pytest.mark.parametrize("value", [0.18, np.inf])
def test_a_picture_narrower_than_the_cells_of_its_means_is_shown(value: float) -> None:
    assert shown(np.full((1, 1, 5000), value)).shape == (1, 1, 1666)
    assert shown(np.full((3, 5000, 2), value)).shape == (3, 1666, 1)


def test_a_large_picture_is_reduced_and_as_bright() -> None:
    light = np.random.default_rng(0).random((1, 30, 5000))
    small, large = shown(light[:, :, :2000]), shown(light)
    assert large.shape == (1, 10, 1666)
    assert large.mean() == pytest.approx(small.mean(), rel=0.2)
