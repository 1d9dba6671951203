"""Alpha between containers that multiply colour by it and those that do not."""

import numpy as np
import pytest

from restore.errors import OutputError
from restore.image.codecs import ImageFormat
from restore.image.decode import decode
from restore.image.encode import encode
from restore.image.picture import Picture, Transfer


def half_transparent(*, premultiplied: bool, **fields: object) -> Picture:
    colour = np.array([[[0.5, 0.25]]] * 3, np.float32)
    alpha = np.array([[0.5, 0.0]], np.float32)
    return Picture(pixels=colour, alpha=alpha, alpha_is_premultiplied=premultiplied, **fields)


def test_light_is_divided_by_alpha_before_it_is_encoded() -> None:
    source = half_transparent(
        premultiplied=True, is_float=True, bit_depth=32, transfer=Transfer.LINEAR
    )
    result = decode(encode(source, ImageFormat.PNG, bit_depth=16))
    assert result.pixels[0, 0, 0] == 1.0
    assert result.alpha is not None
    assert result.alpha[0] == pytest.approx([0.5, 0], abs=1e-4)


def test_exr_multiplies_light_and_not_samples() -> None:
    result = decode(encode(half_transparent(premultiplied=False), ImageFormat.EXR, bit_depth=32))
    assert result.alpha_is_premultiplied
    assert result.pixels[0, 0, 0] == pytest.approx(0.5 * 0.2140, abs=1e-4)


def test_premultiplied_tiff_stays_as_it_is_until_it_becomes_png() -> None:
    source = half_transparent(premultiplied=True)
    kept = decode(encode(source, ImageFormat.TIFF, bit_depth=16))
    assert kept.alpha_is_premultiplied
    assert kept.pixels[0, 0] == pytest.approx([0.5, 0.25], abs=1e-4)
    assert decode(encode(source, ImageFormat.PNG)).pixels[0, 0, 0] == 1.0


@pytest.mark.parametrize("image_format", [ImageFormat.JPEG, ImageFormat.PPM, ImageFormat.HDR])
def test_alpha_may_go_where_nothing_shows_through(image_format: ImageFormat) -> None:
    opaque = Picture(pixels=np.zeros((3, 8, 8), np.float32), alpha=np.ones((8, 8), np.float32))
    assert decode(encode(opaque, image_format)).alpha is None
    with pytest.raises(OutputError, match="alpha"):
        encode(half_transparent(premultiplied=False), image_format)
