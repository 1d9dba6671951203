"""Before-and-after comparison pictures."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from restore.image.colour import linear_to_srgb, srgb_to_linear
from restore.image.picture import Picture, Transfer, upright_plane
from restore.image.stated import stated_profile

__all__ = [
    "compare_png",
    "shown_white",
    "upright_image",
    "upright_pixels",
    "viewable",
    "viewable_profile",
]

_WIDEST_SIDE_BY_SIDE = 1280
_SEAM = 4
_ROWS_AT_ONCE = 256
_MOST_SAMPLES = 1_000_000
_WHITE_QUANTILE = 0.999
_MOST_LIGHT = 1e6


def viewable(picture: Picture, *, white: float = 1.0) -> NDArray[np.uint8]:
    """Return pixels for display: ``[H, W, C]``, linear light encoded as sRGB, without alpha.

    They take a quarter of the memory of ``picture``, which ``compare_png`` does not need.

    Args:
        picture: What to show.
        white: The light that is shown as white, 1 or more. Light is compressed to fit (Reinhard et
            al., SIGGRAPH 2002, eq. 4, for each channel), which for 1 changes nothing.
    """
    shown = np.empty((picture.height, picture.width, picture.channels), np.uint8)
    for top in range(0, picture.height, _ROWS_AT_ONCE):
        rows = np.nan_to_num(picture.pixels[:, top : top + _ROWS_AT_ONCE], posinf=white, neginf=0)
        is_linear = picture.transfer is Transfer.LINEAR
        if white > 1:
            light = (rows if is_linear else srgb_to_linear(rows)).clip(0, None)
            rows, is_linear = light * (1 + light / np.float32(white**2)) / (1 + light), True
        if is_linear:
            rows = linear_to_srgb(rows)
        codes = np.clip(rows, 0, 1) * 255 + np.float32(0.5)
        shown[top : top + _ROWS_AT_ONCE] = codes.astype(np.uint8).transpose(1, 2, 0)
    return shown


def shown_white(picture: Picture) -> float:
    """Return the ``white`` for which nearly all light of a linear picture can be told apart."""
    step = max(1, int((picture.height * picture.width / _MOST_SAMPLES) ** 0.5))
    sample = np.nan_to_num(picture.pixels[:, ::step, ::step], posinf=1).max(axis=0)
    return min(max(1.0, float(np.quantile(sample, _WHITE_QUANTILE))), _MOST_LIGHT)


def compare_png(before: NDArray[np.uint8], after: NDArray[np.uint8], like: Picture) -> bytes:
    """Return an 8-bit PNG of both, pixel for pixel and upright, with a white seam between.

    Pictures up to 1280 pixels wide are placed side by side, ``before`` on the left. Wider ones
    share one picture: its left half from ``before``, its right half from ``after``.

    Args:
        before: ``[H, W, C]`` as ``viewable`` makes it.
        after: the same, of the same size.
        like: picture that gives the orientation, and the ICC profile if its pixels are not linear.
    """
    left, right = (upright_image(pixels, like.orientation) for pixels in (before, after))
    width, height = left.size
    if width <= _WIDEST_SIDE_BY_SIDE:
        canvas = Image.new(left.mode, (2 * width + _SEAM, height), "white")
        canvas.paste(right, (width + _SEAM, 0))
        canvas.paste(left, (0, 0))
    else:
        canvas, middle = right, width // 2
        canvas.paste(left.crop((0, 0, middle, height)), (0, 0))
        canvas.paste("white", (middle - _SEAM // 2, 0, middle + _SEAM // 2, height))
    file = BytesIO()
    canvas.save(file, "PNG", icc_profile=viewable_profile(like), compress_level=3)
    return file.getvalue()


def viewable_profile(picture: Picture) -> bytes | None:
    """Return the ICC profile of what ``viewable`` makes of a picture; None for sRGB."""
    if picture.transfer is Transfer.LINEAR:
        return None
    return picture.icc or stated_profile(picture)


def upright_pixels(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Return pixels ``[H, W, C]`` rotated and mirrored as EXIF orientation 1..8 requires."""
    if orientation == 1:
        return pixels
    turned: NDArray[np.uint8] = upright_plane(pixels.transpose(2, 0, 1), orientation)
    return turned.transpose(1, 2, 0)


def upright_image(pixels: NDArray[np.uint8], orientation: int) -> Image.Image:
    """Return the same as an image of Pillow."""
    turned = upright_pixels(pixels, orientation)
    return Image.fromarray(turned[..., 0] if turned.shape[2] == 1 else turned)
