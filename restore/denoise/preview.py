"""A contact sheet: the same places of a picture denoised with several settings, to choose from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import product

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from restore.denoise.pixels import DETAIL_REACH, decoded, finish
from restore.image.codec import WriteOptions
from restore.image.codecs import ImageFormat
from restore.image.compare import upright_image, viewable, viewable_profile
from restore.image.picture import Picture
from restore.image.places import Place, informative_places

__all__ = ["SETTINGS", "ContactSheet", "Preview", "preview_of"]

SETTINGS = tuple(product((0.0, 0.3), (0.4, 0.6, 0.8, 1.0)))
"""Detail and strength of each column after the first, which is the picture as it came."""

_SIDE = 224
_GAP, _LINE, _FONT_PX = 6, 22, 15
_LEAST_WIDTH = 184
"""Of a column in pixels, so that its title fits."""
_PAPER, _INK = 32, 235


@dataclass(frozen=True)
class _Part:
    """A place with the margin that ``finish`` needs.

    Attributes:
        place: Where it lies in the stored picture.
        inside: Its rows and columns in the following.
        encoded: Noisy pixels as the network has seen them.
        restored: What the network made of them.
        known: As from ``encoded_for_network``.
        source: The same part of the picture.
    """

    place: Place
    inside: tuple[slice, slice]
    encoded: NDArray[np.float32]
    restored: NDArray[np.float32]
    known: NDArray[np.bool_] | None
    source: Picture

    def shown(self, strength: float, detail: float) -> NDArray[np.uint8]:
        """Return ``[h, w, C]`` as ``denoise`` writes it with these settings."""
        pixels = self.restored.copy()
        finish(pixels, self.encoded, strength=strength, chroma=strength, detail=detail)
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
            [viewable(part.source)[part.inside]]
            + [part.shown(strength, detail) for detail, strength in SETTINGS]
            for part in self.parts
        ]
        like = self.parts[0].source
        cells = [[upright_image(pixels, like.orientation) for pixels in row] for row in rows]
        names = [part.place.name for part in self.parts]
        sheet = _sheet(cells, titles, names, "RGB" if self.channels == 3 else "L")
        file = BytesIO()
        # A profile that is made has to be one of gray or of colours, as the sheet is.
        as_sheet = like.with_pixels(like.pixels[:1].repeat(self.channels, axis=0))
        sheet.save(file, "PNG", icc_profile=viewable_profile(as_sheet), compress_level=3)
        return file.getvalue()


@dataclass(frozen=True)
class ContactSheet:
    """A contact sheet in place of a denoised picture.

    Attributes:
        preview: What it is made from.
        picture: The denoised picture, which is not written.
        record: How it was denoised.
    """

    preview: Preview
    picture: Picture
    record: Mapping[str, object]

    def encoded(self, _image_format: ImageFormat, _options: WriteOptions) -> bytes:
        """Return the bytes of a PNG."""
        return self.preview.png()


def preview_of(
    picture: Picture,
    encoded: NDArray[np.float32],
    restored: NDArray[np.float32],
    known: NDArray[np.bool_] | None,
    *,
    channels: int,
) -> Preview:
    """Keep the places that a contact sheet shows.

    Args:
        picture: The picture.
        encoded: ``[C, H, W]`` as ``encoded_for_network`` returns it.
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
                restored=restored[area].copy(),
                known=None if known is None else known[area].copy(),
                source=_part_of(picture, area),
            )
        )
    return Preview(tuple(parts), channels)


def _part_of(picture: Picture, area: tuple[slice, slice, slice]) -> Picture:
    alpha = None if picture.alpha is None else picture.alpha[area[1:]].copy()
    return replace(picture, pixels=picture.pixels[area].copy(), alpha=alpha)


def _sheet(
    cells: list[list[Image.Image]], titles: list[str], names: list[str], mode: str
) -> Image.Image:
    """Return cells under the titles of their columns, and the names of their rows above each."""
    width = max(_LEAST_WIDTH, *(cell.width for row in cells for cell in row))
    font = ImageFont.load_default(_FONT_PX)
    heights = [max(cell.height for cell in row) + _LINE + _GAP for row in cells]
    size = (len(titles) * (width + _GAP) + _GAP, _LINE + sum(heights) + _GAP)
    paper, ink = ((level,) * 3 if mode == "RGB" else level for level in (_PAPER, _INK))
    sheet = Image.new(mode, size, paper)
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        draw.text((_GAP + column * (width + _GAP), 3), title, ink, font)
    top = _LINE
    for row, name, height in zip(cells, names, heights, strict=True):
        draw.text((_GAP, top + 2), name, ink, font)
        for column, cell in enumerate(row):
            sheet.paste(cell.convert(mode), (_GAP + column * (width + _GAP), top + _LINE))
        top += height
    return sheet
