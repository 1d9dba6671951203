import numpy as np
import pytest

from restore.errors import UnsupportedImage
from restore.image.raw_picture import RawPicture, normalised, pack, unpack

RGGB = np.array([[0, 1], [3, 2]], dtype=np.uint8)
XTRANS = np.array(
    [
        [1, 1, 0, 1, 1, 2],
        [1, 1, 2, 1, 1, 0],
        [2, 0, 1, 0, 2, 1],
        [1, 1, 2, 1, 1, 0],
        [1, 1, 0, 1, 1, 2],
        [0, 2, 1, 2, 0, 1],
    ],
    dtype=np.uint8,
)
XTRANS_PLANES = [0, 1, 2, 0, 2, 1, 1, 1, 1]


def coloured(cfa: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A mosaic whose samples are the number of their colour."""
    side = len(cfa)
    colours = np.where(cfa == 3, 1, cfa)
    repeats = -(-size[0] // side), -(-size[1] // side)
    return np.tile(colours, repeats)[: size[0], : size[1]].astype(np.float32)


@pytest.mark.parametrize("shift", [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("size", [(8, 10), (7, 9), (2, 2)])
def test_bayer_planes_have_one_colour(shift: tuple[int, int], size: tuple[int, int]) -> None:
    cfa = np.roll(RGGB, shift, axis=(0, 1))
    packed = pack(coloured(cfa, size), cfa)
    for plane, colour in zip(packed.planes, (0, 1, 2, 1), strict=True):
        assert (plane == colour).all()


@pytest.mark.parametrize("shift", [(y, x) for y in range(6) for x in range(6)])
def test_xtrans_planes_have_one_colour(shift: tuple[int, int]) -> None:
    cfa = np.roll(XTRANS, shift, axis=(0, 1))
    packed = pack(coloured(cfa, (25, 31)), cfa)
    assert len(packed.planes) == 9
    for plane, colour in zip(packed.planes, XTRANS_PLANES, strict=True):
        assert (plane == colour).all()


@pytest.mark.parametrize("shift", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_every_sample_lies_where_it_was(shift: tuple[int, int]) -> None:
    """Planes spread over their pixels again give the mosaic."""
    cfa = np.roll(RGGB, shift, axis=(0, 1))
    mosaic = np.random.default_rng(0).random((9, 13), dtype=np.float32)
    packed = pack(mosaic, cfa)
    red, green, blue, second = packed.planes
    spread = np.empty((2 * red.shape[0], 2 * red.shape[1]), dtype=np.float32)
    spread[::2, ::2], spread[::2, 1::2] = red, green
    spread[1::2, 1::2], spread[1::2, ::2] = blue, second
    assert np.array_equal(unpack(spread, packed), mosaic)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 2)])
@pytest.mark.parametrize("cfa", [RGGB, XTRANS])
def test_tiny_mosaics_are_packed(cfa: np.ndarray, size: tuple[int, int]) -> None:
    packed = pack(np.ones(size, dtype=np.float32), cfa)
    scale = len(cfa) // (1 if len(cfa) == 2 else 2)
    colour = np.ones((3, *(side * scale for side in packed.planes.shape[1:])), dtype=np.float32)
    assert unpack(colour, packed).shape == (3, *size)


def test_each_channel_has_its_own_black() -> None:
    raw = RawPicture(
        mosaic=np.array([[100, 200], [400, 300]] * 2, dtype=np.uint16).repeat(1, axis=1),
        cfa=RGGB,
        black_level=(100.0, 150.0, 200.0, 250.0),
        white_level=1100.0,
    )
    # One scale, so that the balance of the colours stays (DNG 1.7, chapter 5).
    expected = [[0.0, 50 / 850], [150 / 850, 100 / 850]]
    np.testing.assert_allclose(normalised(raw)[:2], expected, rtol=1e-6)


def test_noise_below_black_stays() -> None:
    raw = RawPicture(
        mosaic=np.full((2, 2), 90, dtype=np.uint16),
        cfa=RGGB,
        black_level=(100.0,) * 4,
        white_level=1100.0,
    )
    assert normalised(raw).max() == pytest.approx(-0.01)


def test_other_filters_are_refused() -> None:
    with pytest.raises(UnsupportedImage, match="neither Bayer nor X-Trans"):
        pack(np.zeros((4, 4), dtype=np.float32), np.array([[0, 1], [2, 1]], dtype=np.uint8))
