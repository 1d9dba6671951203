"""RAW mosaics: the noise taken out, and nothing else changed."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restore.checks import checked_number
from restore.engine.placement import Placement
from restore.engine.runner import PerTile, Runner
from restore.engine.tiles import Area
from restore.errors import UnsupportedImage
from restore.image.codec import AS_IT_CAME, WriteOptions
from restore.image.codecs import ImageFormat
from restore.image.compare import viewable
from restore.image.dng_metadata import DngTag
from restore.image.photosites import without_defects
from restore.image.picture import Picture
from restore.image.raw import as_raw
from restore.image.raw_picture import GREEN, SECOND_GREEN, RawPicture, extended, phase_of
from restore.mosaic.develop import developed, encoded_mosaic
from restore.mosaic.preview import MosaicPreview, preview_of
from restore.mosaic.task import TASK
from restore.mosaic.tiles import ALL_COLOURS, KSigmaTile, NormalisedTile
from restore.noise.poisson_gaussian import NoiseProfile, estimate_profile, stated_profile
from restore.reopen import Reopened

__all__ = ["MOST_STRENGTH", "DenoisedMosaic", "MosaicDenoiser"]

Pixels = NDArray[np.float32]

MOST_STRENGTH = 2.0
_AUTO_TILE = 384
"""Side of a tile in blocks: larger ones need much memory for the planes of the network."""


@dataclass(frozen=True, kw_only=True)
class DenoisedMosaic:
    """A RAW picture without noise, and the record of how it was made.

    Attributes:
        raw: the source with a new mosaic; levels, colours and metadata are the same.
        before: the source.
        profile: noise that was taken out.
        record: model, device, engine, precision, tile, noise_a and noise_b (of red, green and
            blue), noise_source (given, file or estimated), strength, sensor, defects (hot and dead
            photosites that were filled), megapixels, seconds. Plain values, ready for JSON.
        preview: what a contact sheet of other strengths is made from, if it was asked for.

    >>> import numpy as np
    >>> import restore
    >>> raw = restore.RawPicture(
    ...     mosaic=np.full((64, 64), 600, np.uint16),
    ...     cfa=np.array([[0, 1], [3, 2]], np.uint8),
    ...     black_level=(512, 512, 512, 512),
    ...     white_level=16383,
    ... )
    >>> denoised = restore.MosaicDenoiser()(raw)
    >>> denoised.record["sensor"], len(denoised.encoded("dng")) > 1000
    ('RGGB', True)
    """

    raw: RawPicture
    before: RawPicture
    profile: NoiseProfile
    record: dict[str, object] = field(default_factory=dict)
    preview: MosaicPreview | None = None

    @cached_property
    def picture(self) -> Picture:
        """The result as a photograph, developed by LibRaw; see ``developed``."""
        return developed(self.raw)

    @property
    def before_developed(self) -> NDArray[np.uint8]:
        """The source developed in the same way, as it is shown: ``[H, W, C]``."""
        return viewable(developed(self.before))

    def beside(self, _kind: str) -> bytes:
        """Return the contact sheet of the preview, a PNG."""
        if self.preview is None:
            raise ValueError("no preview was asked for")
        return self.preview.png()

    def encoded(self, image_format: ImageFormat | str, options: WriteOptions = AS_IT_CAME) -> bytes:
        """Return the bytes of a file.

        Args:
            image_format: dng for the mosaic, dng-linear for demosaicked linear colours, or the
                format of a picture, in which it is developed by LibRaw.
            options: how it is written.

        Raises:
            UsageError: a depth or quality that the container does not have.
            OutputError: the container cannot hold this picture, or it cannot be developed.
        """
        return encoded_mosaic(self.raw, ImageFormat(image_format), options)


class MosaicDenoiser(Reopened):
    """Denoises the mosaics of RAW pictures, with one network for every colour filter.

    Args:
        model: ``auto`` for the shipped network, a shipped name, or a weight file.
        device: as for ``Placement``.
        precision: as for ``Placement``.
        tile: side of the tiles in pixels of the mosaic, or auto.

    Raises:
        WeightsError: unknown name, or weights for another task.
        UsageError: an option is invalid.
        DeviceError: the device is not on this machine.

    It may be called from several threads, and pickled: another process opens the network anew.
    After a fork, make one of its own.

    >>> import numpy as np
    >>> import restore
    >>> raw = restore.RawPicture(
    ...     mosaic=np.full((64, 64), 600, np.uint16),
    ...     cfa=np.array([[0, 1], [3, 2]], np.uint8),
    ...     black_level=(512, 512, 512, 512),
    ...     white_level=16383,
    ... )
    >>> profile = restore.NoiseProfile(a=(1e-4, 1e-4, 1e-4), b=(1e-6, 1e-6, 1e-6))
    >>> denoiser = restore.MosaicDenoiser("raw")
    >>> denoiser(raw, profile=profile).raw.mosaic.shape
    (64, 64)
    """

    def __init__(
        self,
        model: str | Path = "auto",
        *,
        device: str = "auto",
        precision: str = "auto",
        tile: str | int = "auto",
    ) -> None:
        weights = TASK.open(TASK.default_weights["raw"] if str(model) == "auto" else model)
        self._is_ksigma = weights.file.architecture == "PMRID"
        asked = Placement(device=device, precision=precision, tile=tile)
        if tile != "auto":
            asked = replace(asked, tile=max(1, asked.tile_size(0) // 2))
        self._runner = Runner(weights, asked, auto_tile=_AUTO_TILE)

    @property
    def lanes(self) -> int:
        """Number of pictures processed at once when it is called from several threads."""
        return self._runner.lanes

    def __call__(
        self,
        source: RawPicture | str | PathLike[str],
        *,
        profile: NoiseProfile | None = None,
        strength: float = 1.0,
        repair: bool = False,
        preview: bool = False,
    ) -> DenoisedMosaic:
        """Denoise a mosaic.

        Saturated samples stay as they are, and no result lies above saturation.

        Args:
            source: ``RawPicture`` of any size, or the path of a camera's RAW file.
            profile: noise of the sensor; None for what the file states of it (a DNG), or else to
                measure it in the picture.
            strength: 0 returns the mosaic as it is, 1 the full result, between is a blend; above 1,
                up to 2, that many times the noise is expected.
            repair: whether hot and dead photosites are filled first; in pictures that are sharp to
                the pixel, specks of texture may be taken for such.
            preview: whether to keep what a contact sheet of other strengths is made from.

        Raises:
            UsageError: a strength out of range.
            UnsupportedImage: a colour filter that the network is not for, or no RAW file.
            InputError: the file cannot be read.
            DeviceError: not even a small tile fits the device's memory.
        """
        expected = f"a number from 0 to {MOST_STRENGTH:g}"
        strength = checked_number("strength", strength, 0, MOST_STRENGTH, expected)
        raw = as_raw(source)
        started = time.perf_counter()
        known, noise_source = _profile_of(raw) if profile is None else (profile, "given")

        sound, defects = raw, 0
        if repair and strength > 0:
            sound, defects, _ = without_defects(raw, in_doubt=True)

        def denoised(source: RawPicture, strength: float) -> RawPicture:
            if strength == 0:
                return source
            # What a DNG says of its noise no longer holds.
            dng = source.dng.without(DngTag.NOISE_PROFILE) if source.dng else None
            return replace(source, mosaic=self._denoised(source, known, strength), dng=dng)

        result = denoised(sound, strength)
        clean = result if strength >= 1 or not preview else denoised(sound, 1.0)
        sensor = "X-Trans" if raw.is_xtrans else raw.pattern.upper()
        return DenoisedMosaic(
            raw=result,
            before=raw,
            profile=known,
            record={
                **self._runner.record(),
                "tile": 2 * self._runner.tile,
                "noise_a": [float(f"{each:.4g}") for each in known.a],
                "noise_b": [float(f"{each:.4g}") for each in known.b],
                "noise_source": noise_source,
                "strength": strength,
                "sensor": sensor,
                "defects": defects,
                "megapixels": round(raw.width * raw.height / 1e6, 6),
                "seconds": round(time.perf_counter() - started, 4),
            },
            preview=preview_of(sound, clean, denoised) if preview else None,
        )

    def _denoised(
        self, raw: RawPicture, profile: NoiseProfile, strength: float
    ) -> NDArray[np.uint16]:
        """Return the mosaic without noise, as stored; computed a tile at a time."""
        grid = _Grid(raw)
        tile: PerTile
        if self._is_ksigma:
            if len(raw.cfa) != 2:
                raise UnsupportedImage(f"{self._runner.name} is for Bayer sensors only")
            tile = KSigmaTile(profile, strength)
        else:
            # Samples are whole numbers, which is noise too.
            step = 1 / (raw.white_level - min(raw.black_level))
            tile = NormalisedTile(profile, strength, least_read=step**2 / 12)
        results: list[NDArray[np.uint16]] = []

        def take(area: Area, _original: Pixels, restored: Pixels) -> None:
            grid.store(results[-1], area, restored)

        def begin() -> Callable[[Area, Pixels, Pixels], None]:
            results[:] = [raw.mosaic.copy()]
            return take

        self._runner.by_tiles(grid.read, begin, tile, height=grid.height, width=grid.width)
        return results[-1]


def _profile_of(raw: RawPicture) -> tuple[NoiseProfile, str]:
    """Return the noise of a picture, and whether the file states it or it is estimated."""
    stated = stated_profile(raw)
    return (estimate_profile(raw), "estimated") if stated is None else (stated, "file")


class _Grid:
    """A mosaic as two by two blocks in the phase of the network.

    Args:
        raw: RAW picture of any filter, size and phase.
    """

    def __init__(self, raw: RawPicture) -> None:
        self._raw = raw
        side = len(raw.cfa)
        top, left = (0, 0) if side == 1 else phase_of(raw.cfa)
        # Blocks begin at even places, X-Trans ones where its period does.
        self._rows, self._columns = (
            extended(size, before, max(side, 2), 2)
            for size, before in ((raw.height, top), (raw.width, left))
        )
        self._top, self._left = top, left
        self.height, self.width = len(self._rows) // 2, len(self._columns) // 2
        colours = np.where(raw.cfa == SECOND_GREEN, GREEN, raw.cfa)
        if side == 1:
            colours = np.full((1, 1), ALL_COLOURS)
        self._colours = colours.astype(np.float32)
        self._black = np.asarray(raw.black_level, np.float32)[raw.cfa]
        self._range = np.float32(raw.white_level) - self._black
        self._saturated = np.asarray(raw.saturated_from, np.float32)[raw.cfa]

    def _places(self, area: Area) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        rows, columns = (
            index[2 * part.start : 2 * part.stop]
            for index, part in zip((self._rows, self._columns), area, strict=True)
        )
        return rows, columns

    def _of_pattern(self, pattern: Pixels, area: Area) -> Pixels:
        rows, columns = self._places(area)
        side = len(self._raw.cfa)
        return pattern[(rows % side)[:, None], columns % side]

    def read(self, area: Area) -> Pixels:
        """Return samples ``[4, h, w]`` and the codes of their colours, ``[8, h, w]`` in all."""
        rows, columns = self._places(area)
        stored = self._raw.mosaic[rows[:, None], columns].astype(np.float32)
        stored -= self._of_pattern(self._black, area)
        stored /= self._of_pattern(self._range, area)
        codes = self._of_pattern(self._colours, area)
        return np.concatenate([_in_blocks(stored), _in_blocks(codes)])

    def store(self, mosaic: NDArray[np.uint16], area: Area, restored: Pixels) -> None:
        """Write the result of an area into ``mosaic``, except where the sensor is saturated."""
        rows, columns = self._places(area)
        # Rows and columns that were added before or after the mosaic repeat others.
        inner = [
            slice(max(0, before - 2 * part.start), size + before - 2 * part.start)
            for part, before, size in zip(area, (self._top, self._left), mosaic.shape, strict=True)
        ]
        levels = _as_mosaic(restored) * self._of_pattern(self._range, area)
        levels += self._of_pattern(self._black, area)
        saturated = self._of_pattern(self._saturated, area)
        levels = np.rint(levels).clip(0, saturated)
        cut = (inner[0], inner[1])
        rows, columns = rows[inner[0]], columns[inner[1]]
        if not (rows.size and columns.size):
            return  # the whole of a tiny tile was added
        place = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        stored = mosaic[place]
        kept = stored >= saturated[cut]
        mosaic[place] = np.where(kept, stored, levels[cut].astype(np.uint16))


def _in_blocks(mosaic: Pixels) -> Pixels:
    return np.stack([mosaic[y::2, x::2] for y in (0, 1) for x in (0, 1)])


def _as_mosaic(blocks: Pixels) -> Pixels:
    _, height, width = blocks.shape
    mosaic = np.empty((2 * height, 2 * width), blocks.dtype)
    for index, block in enumerate(blocks):
        mosaic[index // 2 :: 2, index % 2 :: 2] = block
    return mosaic
