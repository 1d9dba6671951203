"""A contact sheet of a mosaic denoised with several strengths, developed, to choose from."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from restore.image.compare import viewable, viewable_profile
from restore.image.contact_sheet import contact_sheet
from restore.image.places import Place, informative_places
from restore.image.raw_picture import RawPicture
from restore.mosaic.develop import developed

__all__ = ["STRENGTHS", "MosaicPreview", "preview_of"]

STRENGTHS = (0.0, 0.5, 0.75, 1.0, 1.5, 2.0)
"""Strength of each column; the first is the picture as it came."""

_SIDE = 224
_MARGIN = 96
"""Of the places that are denoised alone, in pixels: what lies farther away hardly counts."""
_PERIOD = 6
"""A multiple of the periods of all filters, so that parts of a mosaic keep its phase."""


@dataclass(frozen=True)
class MosaicPreview:
    """Places of a mosaic that was denoised with several strengths.

    Attributes:
        places: parts of the developed picture, as it lies on the sensor.
        versions: of each place one mosaic for each of ``STRENGTHS``, with a margin.
        inside: rows and columns of each place in its mosaics.
    """

    places: tuple[Place, ...]
    versions: tuple[tuple[RawPicture, ...], ...]
    inside: tuple[tuple[slice, slice], ...]

    def png(self) -> bytes:
        """Return the contact sheet: a row for each place, a column for each strength, at 1:1."""
        rows, like = [], self.versions[0][0]
        for place, mosaics, area in zip(self.places, self.versions, self.inside, strict=True):
            shown = [_on_sensor(mosaic)[area] for mosaic in mosaics]
            rows.append((place.name, shown))
        titles = ["as it came", *(f"strength {strength:g}" for strength in STRENGTHS[1:])]
        return contact_sheet(
            rows,
            titles,
            orientation=like.orientation,
            is_gray=like.is_monochrome,
            icc=viewable_profile(developed(like)),
        )


def preview_of(
    raw: RawPicture, clean: RawPicture, denoised: Callable[[RawPicture, float], RawPicture]
) -> MosaicPreview:
    """Denoise the places that a contact sheet shows with every strength.

    Args:
        raw: the mosaic as it came.
        clean: the whole of it denoised, in which places are chosen.
        denoised: denoises a mosaic with a strength.
    """
    rows, columns = raw.shown
    places = tuple(informative_places(_on_sensor(clean)[rows, columns], _SIDE))
    versions, inside = [], []
    for place in places:
        top, left = rows.start + place.top, columns.start + place.left
        above, before = (max(0, first - _MARGIN) // _PERIOD * _PERIOD for first in (top, left))
        below, after = top + place.height + _MARGIN, left + place.width + _MARGIN
        mosaic = raw.mosaic[above:below, before:after].copy()
        part = replace(raw, mosaic=mosaic, default_crop=None, dng=None)
        versions.append(tuple(denoised(part, strength) for strength in STRENGTHS))
        down, across = top - above, left - before
        inside.append((slice(down, down + place.height), slice(across, across + place.width)))
    return MosaicPreview(places, tuple(versions), tuple(inside))


def _on_sensor(raw: RawPicture) -> NDArray[np.uint8]:
    bare = replace(raw, orientation=1, default_crop=None, pixel_aspect=1.0, exif=None)
    return viewable(developed(bare))
