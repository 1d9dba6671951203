"""Dark frames: exposures with the cap on, which show what a sensor sees without light."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restore.errors import UnsupportedImage, UsageError
from restore.image.photosites import defects
from restore.image.raw import as_raw, is_raw
from restore.image.raw_picture import RawPicture

__all__ = ["DarkFrame", "read_dark_frame"]

# Photosites that dark current alone fills to this share say little of the light.
_HOT_SHARE = 0.1
# Dark current of minutes in the heat stays below this.
_MOST_GLOW = 0.05
# Of hot sensors a hundredth is that bright; of a night scene, lamps and what they light.
_MOST_HOT = 0.03
_ALIKE = 0.1


@dataclass(frozen=True, kw_only=True)
class DarkFrame:
    """What a sensor adds to every exposure, the mean of one or several dark frames.

    Attributes:
        added: float32 ``[H, W]``, digital numbers above black.
        hot: bool ``[H, W]``, photosites too hot to be used.
        cfa: colour filter array, see ``RawPicture``.
        frames: number of frames averaged.
        exposure_time_s, iso: of the first of them, or None.
    """

    added: NDArray[np.float32]
    hot: NDArray[np.bool_]
    cfa: NDArray[np.uint8]
    frames: int
    exposure_time_s: float | None = None
    iso: float | None = None

    def subtracted_from(self, raw: RawPicture) -> RawPicture:
        """Return a RAW picture without what the dark frame shows; saturated samples stay.

        Raises:
            UnsupportedImage: the dark frame is from another sensor.
        """
        if self.added.shape != raw.mosaic.shape or not np.array_equal(self.cfa, raw.cfa):
            height, width = self.added.shape
            raise UnsupportedImage(
                f"has {raw.width}x{raw.height} photosites in another pattern or number than the "
                f"dark frame, {width}x{height}; give a dark frame of the same camera"
            )
        side = len(raw.cfa)
        samples = np.rint(np.maximum(raw.mosaic - self.added, 0)).astype(np.uint16)
        for y in range(side):
            for x in range(side):
                place = (slice(y, None, side), slice(x, None, side))
                is_full = raw.mosaic[place] >= raw.saturated_from[raw.cfa[y, x]]
                samples[place][is_full] = raw.mosaic[place][is_full]
        return replace(raw, mosaic=samples)

    def differences(self, raw: RawPicture) -> list[str]:
        """Return what a person should know, a sentence each: other exposures, traces of light."""
        found = [
            f"the dark frame is {what} {ours:g} {unit}".rstrip() + f", the picture {theirs:g}"
            for what, unit, ours, theirs in _unlike(self, raw)
        ]
        lit = float((self.added > _HOT_SHARE * raw.range_dn).mean())
        if lit > _MOST_HOT:
            found.append(
                f"the dark frame seems to have seen light: {lit:.0%} of it is brighter than "
                f"{_HOT_SHARE:.0%} of white"
            )
        return found


def _unlike(
    one: "DarkFrame | RawPicture", other: RawPicture
) -> list[tuple[str, str, float, float]]:
    """Return in what two exposures differ: words, unit, and the number of each."""
    pairs = (
        ("exposed for", "s", one.exposure_time_s, other.exposure_time_s),
        ("of ISO", "", one.iso, other.iso),
    )
    return [
        (what, unit, ours, theirs)
        for what, unit, ours, theirs in pairs
        if ours and theirs and abs(ours / theirs - 1) > _ALIKE
    ]


def read_dark_frame(source: str | PathLike[str] | Sequence[str | PathLike[str]]) -> DarkFrame:
    """Read one dark frame, or average several.

    Args:
        source: a RAW file, a folder of them, or several files.

    Raises:
        UsageError: a folder without RAW files, frames of different sensors or exposures, or frames
            that saw light.
        InputError: a file cannot be read.
    """
    paths = _paths(source)
    first = as_raw(paths[0])
    total = np.zeros(first.mosaic.shape, dtype=np.float64)
    for path in paths:
        frame = first if path == paths[0] else as_raw(path)
        if frame.mosaic.shape != total.shape or not np.array_equal(frame.cfa, first.cfa):
            raise UsageError(f"{path}: differs in size or pattern from {paths[0]}")
        for what, unit, ours, theirs in _unlike(frame, first):
            number = f"{ours:g} {unit}".rstrip()
            raise UsageError(
                f"{path}: is {what} {number}, {paths[0]} {theirs:g}; "
                "give dark frames of one exposure"
            )
        total += frame.mosaic
    mean = (total / len(paths)).astype(np.float32)
    tiles = [-(-size // len(first.cfa)) for size in mean.shape]
    black = np.asarray(first.black_level, np.float32)[np.tile(first.cfa, tiles)]
    added = mean - black[: mean.shape[0], : mean.shape[1]]
    brightness = float(np.median(added)) / first.range_dn
    if brightness > _MOST_GLOW:
        raise UsageError(
            f"{paths[0]}: is no dark frame: half of its photosites are brighter than "
            f"{brightness:.1%} of white; take one with the cap on"
        )
    averaged = replace(first, mosaic=np.rint(mean).astype(np.uint16))
    return DarkFrame(
        added=added,
        hot=defects(averaged) | (added > _HOT_SHARE * first.range_dn),
        cfa=first.cfa,
        frames=len(paths),
        exposure_time_s=first.exposure_time_s,
        iso=first.iso,
    )


def _paths(source: str | PathLike[str] | Sequence[str | PathLike[str]]) -> list[Path]:
    given = [source] if isinstance(source, str | PathLike) else list(source)
    paths: list[Path] = []
    for each in map(Path, given):
        inside = sorted(path for path in each.iterdir() if is_raw(path)) if each.is_dir() else None
        if inside == []:
            raise UsageError(f"{each}: holds no RAW files to use as dark frames")
        paths.extend([each] if inside is None else inside)
    if not paths:
        raise UsageError("no dark frame is given")
    return paths
