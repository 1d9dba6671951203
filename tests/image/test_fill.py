"""Unknown pixels continue what is known, wherever the window is cut."""

import numpy as np

from restore.image.fill import FILL_REACH, filled


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).random((3, height, width), np.float32)


def test_known_pixels_stay_and_the_border_is_a_mirror() -> None:
    pixels = picture(20, 30)
    known = np.ones((1, 20, 30), bool)
    known[:, :, 18:] = False
    result = filled(pixels, known)
    np.testing.assert_array_equal(result[:, :, :18], pixels[:, :, :18])
    # The mirror stands on the last known column.
    np.testing.assert_array_equal(result[:, :, 18:], pixels[:, :, 16:4:-1])


def test_thin_lines_are_repeated() -> None:
    pixels = picture(9, 9)
    known = np.zeros((1, 9, 9), bool)
    known[:, :, 4] = True
    result = filled(pixels, known)
    np.testing.assert_array_equal(result, pixels[:, :, 4:5].repeat(9, axis=2))


def test_what_is_far_from_all_is_middle_gray() -> None:
    known = np.zeros((1, 10, 200), bool)
    known[:, :, 0] = True
    result = filled(picture(10, 200), known)
    assert (result[:, :, 65:] == 0.5).all()
    assert (result[:, :, :65] != 0.5).all()
    assert (filled(picture(5, 5), np.zeros((1, 5, 5), bool)) == 0.5).all()


def test_each_channel_may_have_its_own_mask() -> None:
    pixels = picture(8, 8)
    known = np.ones((3, 8, 8), bool)
    known[1, 2, 2] = False
    result = filled(pixels, known)
    assert (result != pixels).sum() == 1
    assert result[1, 2, 2] != pixels[1, 2, 2]


def test_a_part_with_its_surroundings_gives_the_same() -> None:
    pixels = picture(700, 600)
    y, x = np.mgrid[:700, :600]
    known = ((y % 90 > 50) & (x % 130 > 30))[None]
    whole = filled(pixels, known)
    part = slice(200, 420), slice(150, 333)
    around = tuple(slice(max(0, p.start - FILL_REACH), p.stop + FILL_REACH) for p in part)
    inner = filled(pixels[:, *around], known[:, *around])
    cut = inner[:, 200 - around[0].start :, 150 - around[1].start :][:, :220, :183]
    np.testing.assert_array_equal(cut, whole[:, *part])
