"""The stages of an inspection: decode, score, and write what was found."""

import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from restore.anomaly.files import ResultFiles
from restore.anomaly.part import Part, read_part
from restore.anomaly.records import record_of
from restore.anomaly.runner import Detector, Inspection
from restore.anomaly.sheet import sheet_of, tiles_of
from restore.batch.plan import Item
from restore.batch.sources import readable, size_of
from restore.batch.stages import damage_record, stoppable
from restore.batch.stream import Outcome, Status
from restore.errors import OutputExists
from restore.files import exists_already, write_atomically
from restore.image.codecs import ImageFormat
from restore.image.damage import noting_damage
from restore.image.encode import encode
from restore.image.picture import Picture, Transfer

__all__ = ["InspectionStages", "overlaid", "reconstruction_bytes", "viewable_part"]


@dataclass(frozen=True)
class _Loaded:
    name: str
    part: Part
    damaged: dict[str, str]


@dataclass(frozen=True)
class _Result:
    picture: NDArray[np.uint8]
    inspection: Inspection
    bit_depth: int
    is_gray_as_rgb: bool
    damaged: dict[str, str]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class InspectionStages:
    """Decodes an item's source, inspects it, and writes map, mask, overlay and reconstruction.

    Attributes:
        detector: inspects.
        report: folder of the report.
        overwrite: replace results that exist.
        standard_input: where an item without a file is read.
        follow: given each record, and what tells it to give up, does what follows the verdict and
            returns what did not work, a sentence each.
    """

    detector: Detector
    report: Path
    overwrite: bool = False
    standard_input: BinaryIO | None = None
    follow: Callable[[Mapping[str, object], Callable[[], bool]], list[str]] = lambda *_: []

    def file_size(self, item: Item) -> float:
        """Return the bytes that will be read; infinity if unknown."""
        return size_of(item)

    def load(self, item: Item) -> _Loaded:
        """Decode."""
        with noting_damage() as damaged:
            part = read_part(readable(item, self.standard_input))
        return _Loaded(item.source_name, part, damaged)

    def megapixels(self, loaded: _Loaded) -> float:
        """Return the size of the loaded picture in megapixels."""
        _, height, width = loaded.part.pixels.shape
        return float(height * width / 1e6)

    def process(self, loaded: _Loaded) -> _Result:
        """Inspect."""
        started = time.perf_counter()
        inspection = self.detector(loaded.part, loaded.name)
        return _Result(
            picture=viewable_part(loaded.part.pixels),
            inspection=inspection,
            bit_depth=loaded.part.bit_depth,
            is_gray_as_rgb=loaded.part.channels != len(inspection.reconstruction),
            damaged=loaded.damaged,
            seconds=time.perf_counter() - started,
        )

    def save(self, item: Item, result: _Result, stopping: Callable[[], bool]) -> Outcome:
        """Write everything, the score map last: where it exists, the item is complete."""
        files = ResultFiles.of(item, self.report)
        inspection, channels = result.inspection, len(result.inspection.reconstruction)
        overlay = overlaid(result.picture, inspection.scores, inspection.threshold, inspection.mask)
        height, width = inspection.scores.shape
        tiles = tiles_of(width, height, inspection.regions, inspection.peak_at)
        thumbnail = sheet_of(
            result.picture, viewable_part(inspection.reconstruction), inspection.mask, tiles
        )
        made: list[tuple[str, Callable[[], bytes]]] = [
            ("thumbnail", lambda: thumbnail),
            (
                "reconstruction",
                lambda: reconstruction_bytes(inspection.reconstruction, result.bit_depth),
            ),
            ("mask", lambda: _mask(inspection.mask)),
            ("overlay", lambda: _png(overlay)),
            ("map", lambda: _score_map(inspection.scores)),
        ]
        for kind, data in made:
            self._write(files.path(kind, channels=channels), data(), stopping)
        record = record_of(
            item.source_name, inspection, self.detector, files.names(channels)
        ).as_mapping()
        failures = self.follow(record, stopping)
        return Outcome(
            item=item,
            status=Status.DONE,
            record=_described(record, self.detector, result)
            | damage_record(item, result.damaged)
            | ({"remarks": failures} if failures else {}),
        )

    def _write(self, path: Path, data: bytes, stopping: Callable[[], bool]) -> None:
        try:
            write_atomically(path, stoppable(data, stopping), overwrite=self.overwrite)
        except OutputExists as error:
            raise exists_already(path) from error


def reconstruction_bytes(pixels: NDArray[np.float32], bit_depth: int) -> bytes:
    """Return a PNG of ``[C, H, W]``, or a TIFF where C is neither 1 nor 3.

    Args:
        pixels: in [0, 1].
        bit_depth: of the inspected picture; the PNG has 16 bits if it is more than 8.
    """
    if len(pixels) in (1, 3):
        depth = 8 if bit_depth == 8 else 16
        return encode(Picture(pixels=pixels, bit_depth=depth), ImageFormat.PNG)
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, photometric="minisblack", planarconfig="separate")
    return file.getvalue()


def _described(
    record: Mapping[str, object], detector: Detector, result: _Result
) -> dict[str, object]:
    """Return the record of a picture with device, precision, tile and time, without its name."""
    runner = detector.network.runner
    gray = {"gray_stored_as_rgb": True} if result.is_gray_as_rgb else {}
    reason = result.inspection.reason
    strange = {"remarks": [f"{result.inspection.verdict}: {reason}"]} if reason else {}
    return (
        {key: value for key, value in record.items() if key != "source"}
        | gray
        | strange
        | {
            "device": runner.device,
            "precision": runner.precision,
            "tile": runner.tile,
            "seconds": round(result.seconds, 4),
        }
    )


def _score_map(scores: NDArray[np.float32]) -> bytes:
    picture = Picture(pixels=scores[None], bit_depth=32, is_float=True, transfer=Transfer.LINEAR)
    return encode(picture, ImageFormat.TIFF)


def _mask(mask: NDArray[np.bool_]) -> bytes:
    return encode(Picture(pixels=mask[None].astype(np.float32)), ImageFormat.PNG)


def _png(picture: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", compress_level=3)
    return file.getvalue()


_OUTLINE = (255, 40, 40)
_ROWS_AT_ONCE = 512
_STOPS = (0.0, 0.5, 1.0)
_HEAT = ((255, 214, 10), (255, 120, 20), (230, 20, 60))
"""Yellow just above half the threshold, red from twice the threshold on."""


def viewable_part(pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return ``[H, W, 3]`` for a screen; other numbers of channels than 3 are shown as their mean.

    Args:
        pixels: ``[C, H, W]`` in [0, 1].
    """
    _, height, width = pixels.shape
    shown = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, _ROWS_AT_ONCE):
        rows = np.clip(np.nan_to_num(pixels[:, top : top + _ROWS_AT_ONCE]), 0, 1)
        if len(rows) != 3:
            rows = np.broadcast_to(rows.mean(axis=0), (3, *rows.shape[1:]))
        codes = rows * 255 + np.float32(0.5)
        shown[top : top + _ROWS_AT_ONCE] = codes.astype(np.uint8).transpose(1, 2, 0)
    return shown


def overlaid(
    picture: NDArray[np.uint8],
    scores: NDArray[np.float32],
    threshold: float,
    mask: NDArray[np.bool_],
) -> NDArray[np.uint8]:
    """Return ``picture`` tinted where scores approach the threshold, defects outlined in red.

    Args:
        picture: ``[H, W, 3]`` as ``viewable_part`` makes it.
        scores: ``[H, W]``.
        threshold: above which there is a defect.
        mask: ``[H, W]``, where the defects are.
    """
    result = picture.copy()
    if threshold > 0:
        for top in range(0, len(picture), _ROWS_AT_ONCE):
            rows = slice(top, top + _ROWS_AT_ONCE)
            _tint(result[rows], scores[rows] / np.float32(threshold))
    if mask.any():
        width = 1 + max(mask.shape) // 1000
        result[ndimage.binary_dilation(mask, iterations=width) & ~mask] = _OUTLINE
    return result


def _tint(rows: NDArray[np.uint8], relative: NDArray[np.float32]) -> None:
    """Blend heat into ``rows`` from half the threshold on, in place."""
    heat = np.clip((relative - 0.5) / 1.5, 0, 1)
    hot = heat > 0
    values = heat[hot]
    opacity = 0.55 * np.minimum(1, 3 * values)
    for channel in range(3):
        colour = np.interp(values, _STOPS, [each[channel] for each in _HEAT])
        blended = rows[..., channel][hot] * (1 - opacity) + colour * opacity
        rows[..., channel][hot] = blended.astype(np.uint8)
