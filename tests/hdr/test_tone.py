import numpy as np
import pytest

from restore.hdr.radiance import tone_mapped
from restore.image.picture import Picture, Transfer


def shown(*luminances: float) -> list[float]:
    """Tone-map a gray picture, of equal parts of each luminance, and return its shades."""
    rows = np.repeat(np.float32(luminances), 10)[:, None]
    light = Picture(
        pixels=np.broadcast_to(rows, (3, len(rows), 8)).copy(),
        is_float=True,
        bit_depth=32,
        transfer=Transfer.LINEAR,
    )
    return [float(shade) for shade in tone_mapped(light).pixels[0, ::10, 0]]


def encoded(linear: float) -> float:
    return float(1.055 * linear ** (1 / 2.4) - 0.055) if linear > 0.0031308 else 12.92 * linear


def test_middle_gray_and_white_are_those_of_reinhard() -> None:
    """The logarithmic mean of 0.1, 1 and 10 is 1 and becomes L = 0.18, the brightest, 1.8, white.

    L (1 + L / 1.8^2) / (1 + L) is 0.1610 for it and 0.01778 for a tenth.
    """
    assert shown(0.1, 1.0, 10.0) == pytest.approx(
        [
            encoded(0.018 * (1 + 0.018 / 3.24) / 1.018),
            encoded(0.18 * (1 + 0.18 / 3.24) / 1.18),
            1.0,
        ],
        rel=1e-4,
    )


def test_white_is_never_below_that_of_the_screen() -> None:
    """Light of 1 and 4 has the mean 2: L is 0.09 and 0.36, and L (1 + L) / (1 + L) is L."""
    assert shown(1.0, 4.0) == pytest.approx([encoded(0.09), encoded(0.36)], rel=1e-4)


def test_the_brightest_thousandth_is_white() -> None:
    shades = shown(*[1.0] * 99, 50.0)
    assert shades[-1] == pytest.approx(1.0, abs=1e-3)
    assert shades[0] < 0.5
