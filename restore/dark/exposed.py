"""A mosaic made ready for a network: white balanced, its highlights rebuilt, amplified."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from restore.dark.fidelity import Known
from restore.image.colour import srgb_to_linear
from restore.image.develop import auto_ratio, gains_of
from restore.image.highlights import clipping_levels, rebuild_highlights
from restore.image.raw_picture import (
    GREEN,
    PLANE_COLOURS,
    REFERENCE_CFA,
    SECOND_GREEN,
    Packed,
    RawPicture,
    fill_mosaic,
    normalised,
    pack,
    unpack,
)
from restore.image.sample_noise import SampleNoise

__all__ = ["Exposed", "expose", "packed_for"]

_BLACK_ERROR_DN = 0.3
_ROWS_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True)
class Exposed:
    """A mosaic as a network takes it, but for clipping.

    Attributes:
        raw: RAW picture.
        packed: its planes, black at 0, white balanced and amplified.
        period: period of the colour filter that the planes stand for; a monochrome mosaic stands
            for one of gray light behind a Bayer filter, or an X-Trans one.
        gains: white-balance factors of red, green and blue.
        ratio: amplification.
        saturated: share of the samples that the sensor clipped.
    """

    raw: RawPicture
    packed: Packed
    period: int
    gains: NDArray[np.float32]
    ratio: float
    saturated: float

    def known(self, colour: NDArray[np.float32], highest: float) -> Known:
        """Return what the mosaic tells about the picture that a network made of it.

        Args:
            colour: the picture, see ``Enhanced``, for the level of the noise in it.
            highest: level at which the network's samples were clipped.
        """
        raw, side = self.raw, len(self.raw.cfa)
        factors = self.gains * np.float32(self.ratio)
        filters = np.where(raw.cfa == SECOND_GREEN, GREEN, raw.cfa)
        if raw.is_monochrome:
            factors, filters = factors[:1], np.zeros_like(filters)
        tiles = [-(-size // side) for size in raw.mosaic.shape]
        colours = np.tile(filters.astype(np.uint8), tiles)[: raw.height, : raw.width]
        mosaic = self._mosaic()
        noise = SampleNoise.of(raw)
        sigma = np.empty_like(mosaic)
        saturated = np.array(raw.saturated_from)
        black = np.array(raw.black_level, dtype=np.float32)
        for top in range(0, raw.height, _ROWS_AT_ONCE):
            rows = slice(top, top + _ROWS_AT_ONCE)
            here = colours[rows].astype(np.intp)
            made = srgb_to_linear(np.take_along_axis(colour[:, rows], here[None], axis=0)[0])
            scale = factors[here] / np.float32(raw.range_dn)
            sigma[rows] = noise.at(made / scale + black[here]) * scale
            # What the sensor clipped is at least that bright: nothing is more certain.
            is_clipped = raw.mosaic[rows] >= saturated[here]
            sigma[rows][is_clipped & (mosaic[rows] >= highest)] = 0
        return Known(
            mosaic=mosaic,
            colours=colours,
            period=side,
            sigma=sigma,
            black_error=factors * np.float32(_BLACK_ERROR_DN / raw.range_dn),
            highest=highest,
        )

    def _mosaic(self) -> NDArray[np.float32]:
        planes, side = self.packed.planes, self.period
        step = {2: 2, 6: 3}[side]
        aligned = np.empty((step * planes.shape[1], step * planes.shape[2]), dtype=np.float32)
        fill_mosaic(aligned, planes, side)
        return np.ascontiguousarray(unpack(aligned, self.packed))


def expose(
    raw: RawPicture,
    packed: Packed,
    balance: tuple[float, float, float],
    *,
    ratio: float | None,
    stops: float,
    is_balanced: bool,
) -> Exposed:
    """Return a mosaic ready for a network; ``packed`` is changed in place.

    Args:
        raw: RAW picture.
        packed: planes of its normalised mosaic.
        balance: factors of red, green and blue.
        ratio: amplification, or None to choose it from the data (see ``auto_ratio``).
        stops: stops by which the amplification is raised.
        is_balanced: whether the network takes white-balanced mosaics.
    """
    planes = packed.planes
    period = 2 if len(planes) == 4 else 6
    levels = np.ones(3, np.float32) if raw.is_monochrome else clipping_levels(raw)
    gains = gains_of(balance, levels.tolist()) if is_balanced else np.ones(3, np.float32)
    planes *= gains[np.array(PLANE_COLOURS[period])][:, None, None]
    chosen = auto_ratio(planes) if ratio is None else ratio * 2**raw.baseline_exposure
    saturated = rebuild_highlights(planes, levels * gains, period) if is_balanced else 0.0
    amplification = chosen * 2**stops
    planes *= np.float32(amplification)
    return Exposed(
        raw=raw,
        packed=packed,
        period=period,
        gains=gains[:1] if raw.is_monochrome else gains,
        ratio=amplification,
        saturated=saturated,
    )


def packed_for(raw: RawPicture, periods: tuple[int, ...]) -> Packed:
    """Return the planes of a mosaic for a network of one of these periods."""
    cfa = raw.cfa
    if raw.is_monochrome:
        cfa = REFERENCE_CFA[2 if 2 in periods else 6]
    return pack(normalised(raw), cfa)
