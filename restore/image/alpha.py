"""Colour that was multiplied by alpha, and colour that was not."""

from dataclasses import replace

import numpy as np

from restore.image.picture import Picture

__all__ = ["is_opaque", "with_alpha_kind"]


def is_opaque(picture: Picture) -> bool:
    """Whether nothing shows through: there is no alpha, or it is 1 everywhere."""
    return picture.alpha is None or bool((picture.alpha == 1).all())


def with_alpha_kind(picture: Picture, *, premultiplied: bool) -> Picture:
    """Return the picture with colour multiplied by alpha, or divided by it.

    Where alpha is 0 there is nothing to divide by, and the colour stays as it is.
    """
    alpha = picture.alpha
    if alpha is None or picture.alpha_is_premultiplied == premultiplied:
        return picture
    if premultiplied:
        pixels = picture.pixels * alpha
    else:
        pixels = picture.pixels / np.where(alpha == 0, np.float32(1), alpha)
    return replace(picture, pixels=pixels, alpha_is_premultiplied=premultiplied)
