"""A contact sheet: the same places of a picture denoised with several settings, to choose from."""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from restore.denoise.pixels import DETAIL_REACH, decoded, finish
from restore.image.compare import viewable, viewable_profile
from restore.image.contact_sheet import contact_sheet
from restore.image.picture import Picture
from restore.image.places import Place, informative_places

__all__ = ["SETTINGS", "Preview", "preview_of"]

SETTINGS = tuple(product((0.0, 0.3), (0.4, 0.6, 0.8, 1.0)))
"""Detail and strength of each column after the first, which is the picture as it came."""

_SIDE = 224


@dataclass(frozen=True)
class _Part:
    """A place with the margin that ``finish`` needs.

    Attributes:
        place: Where it lies in the stored picture.
        inside: Its rows and columns in the following.
        encoded: Noisy pixels.
        even: The same without stripes, as the network has seen them.
        restored: What the network made of them.
        known: As from ``encoded_for_network``.
        source: The same part of the picture.
    """

    place: Place
    inside: tuple[slice, slice]
    encoded: NDArray[np.float32]
    even: NDArray[np.float32]
    restored: NDArray[np.float32]
    known: NDArray[np.bool_] | None
    source: Picture

    def shown(self, strength: float, detail: float) -> NDArray[np.uint8]:
        """Return ``[h, w, C]`` as ``denoise`` writes it with these settings."""
        pixels = self.restored.copy()
        shares = {"strength": strength, "chroma": strength, "detail": detail}
        finish(pixels, self.encoded, **shares, even=self.even)
        return viewable(decoded(self.source, pixels, self.known))[self.inside]


@dataclass(frozen=True)
class Preview:
    """Places of a picture that was denoised, from which a contact sheet is made.

    Attributes:
        parts: The places.
        channels: Of the file, which may hold gray as RGB.
    """

    parts: tuple[_Part, ...]
    channels: int

    def png(self) -> bytes:
        """Return the contact sheet: a row for each place, a column for each setting, at 1:1."""
        titles = ["as it came"]
        titles += [f"strength {strength:g}, detail {detail:g}" for detail, strength in SETTINGS]
        rows = [
            (
                part.place.name,
                [viewable(part.source)[part.inside]]
                + [part.shown(strength, detail) for detail, strength in SETTINGS],
            )
            for part in self.parts
        ]
        like = self.parts[0].source
        # A profile that is made has to be one of gray or of colours, as the sheet is.
        as_sheet = like.with_pixels(like.pixels[:1].repeat(self.channels, axis=0))
        return contact_sheet(
            rows,
            titles,
            orientation=like.orientation,
            is_gray=self.channels == 1,
            icc=viewable_profile(as_sheet),
        )


def preview_of(
    picture: Picture,
    encoded: NDArray[np.float32],
    even: NDArray[np.float32],
    restored: NDArray[np.float32],
    known: NDArray[np.bool_] | None,
    *,
    channels: int,
) -> Preview:
    """Keep the places that a contact sheet shows.

    Args:
        picture: The picture.
        encoded: ``[C, H, W]`` as ``encoded_for_network`` returns it.
        even: The same without stripes.
        restored: The network's result for it, of which parts are copied.
        known: As from ``encoded_for_network``.
        channels: Of the file, which may hold gray as RGB.
    """
    clean = viewable(Picture(pixels=restored))
    parts = []
    for place in informative_places(clean, _SIDE):
        top, left = max(0, place.top - DETAIL_REACH), max(0, place.left - DETAIL_REACH)
        bottom = place.top + place.height + DETAIL_REACH
        right = place.left + place.width + DETAIL_REACH
        area = np.s_[:, top:bottom, left:right]
        rows, columns = place.top - top, place.left - left
        parts.append(
            _Part(
                place=place,
                inside=(slice(rows, rows + place.height), slice(columns, columns + place.width)),
                encoded=encoded[area].copy(),
                even=even[area].copy(),
                restored=restored[area].copy(),
                known=None if known is None else known[area].copy(),
                source=_part_of(picture, area),
            )
        )
    return Preview(tuple(parts), channels)


def _part_of(picture: Picture, area: tuple[slice, slice, slice]) -> Picture:
    alpha = None if picture.alpha is None else picture.alpha[area[1:]].copy()
    return replace(picture, pixels=picture.pixels[area].copy(), alpha=alpha)
