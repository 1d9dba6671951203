import numpy as np

from restore.denoise.pixels import finest_luminance


def checkers(size: int, cell: int) -> np.ndarray:
    rows, columns = np.indices((size, size)) // cell
    return ((rows + columns) % 2 * 2 - 1).astype(np.float32)


def test_single_pixels_pass_and_blotches_do_not() -> None:
    fine, coarse = (finest_luminance(checkers(64, cell)[None])[0] for cell in (1, 16))
    inside = slice(24, 40)  # around the middle of cells of 16 pixels, their borders left out
    assert np.abs(fine[inside, inside]).min() > 0.9
    assert np.abs(coarse[20:28, 20:28]).max() < 0.01


def test_pure_colour_gives_nothing_back() -> None:
    """Red up, green and blue down, at equal luminance."""
    pattern = checkers(32, 1)
    coloured = np.stack([0.587 * pattern, -0.299 * pattern, 0 * pattern])
    assert np.abs(finest_luminance(coloured)).max() < 1e-6


def test_shapes() -> None:
    for channels in (1, 3):
        assert finest_luminance(np.ones((channels, 5, 7), dtype=np.float32)).shape == (1, 5, 7)
        assert finest_luminance(np.ones((channels, 1, 1), dtype=np.float32)).dtype == np.float32
