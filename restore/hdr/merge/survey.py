"""The first look at the frames of a bracket: how each lies on the middle one, and its samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restore.errors import InputError
from restore.hdr.merge.align import registration, warped
from restore.hdr.merge.frames import FrameReader

__all__ = ["Surveyed", "surveyed"]

_CELLS, _PLAIN = 160, 0.06
_LEAST_CELL_PX, _FEWEST_CELLS = 4, 8
"""Smaller cells would compare details, which lie some of a pixel apart."""


@dataclass(frozen=True, kw_only=True)
class Surveyed:
    """What the first pass over a frame found.

    Attributes:
        cells: ``[3, h, w]``, means of the samples over cells, as they lie on the reference; None
            for frames that are linear.
        usable: bool ``[h, w]``, cells without edges that the frame reaches.
        matrix: registration matrix from the reference to the frame, ``[3, 3]``.
        distance: largest displacement of a corner in pixels.
        brightness: mean of the gamma-encoded luminance.
        white_balance: factors of red, green and blue that a RAW file states, or None.
    """

    cells: NDArray[np.float32] | None
    usable: NDArray[np.bool_] | None
    matrix: NDArray[np.float64]
    distance: float
    brightness: float
    white_balance: tuple[float, float, float] | None = None


def surveyed(
    paths: Sequence[Path], middle: int, reader: FrameReader, *, align: bool
) -> list[Surveyed]:
    """Look at all frames, one in memory at a time, and find how each lies on the middle one.

    Raises:
        InputError: a file that cannot be read, or of another size.
    """
    of_middle = reader.seen(paths[middle])
    structure = of_middle.structure
    height, width = structure.shape
    corners = np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]])
    survey = []
    for index, path in enumerate(paths):
        seen = of_middle if index == middle else reader.seen(path)
        if seen.structure.shape != structure.shape:
            raise InputError(f"{path}: differs in size from {paths[middle]}")
        matrix = np.eye(3)
        if align and index != middle:
            matrix = registration(seen.structure, structure)
        cells, usable = (None, None) if seen.encoded is None else _cells(seen.encoded, matrix)
        survey.append(
            Surveyed(
                cells=cells,
                usable=usable,
                matrix=matrix,
                distance=float(np.hypot(*(matrix @ corners - corners)[:2]).max()),
                brightness=float(seen.structure.mean(dtype=np.float64)),
                white_balance=seen.white_balance,
            )
        )
    return survey


def _cells(
    samples: NDArray[np.float32], matrix: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return means over square cells of a frame as it lies on the reference, and the plain ones."""
    full = samples.shape[1:]
    least = min(_LEAST_CELL_PX, min(full) // _FEWEST_CELLS)
    step = max(1, least, max(full) // _CELLS)
    height, width = (size // step for size in full)
    cells = np.empty((3, height, width), dtype=np.float32)
    usable = np.ones((height, width), dtype=bool)
    planes = np.broadcast_to(samples, (3, *full))
    for cell, plane in zip(cells, planes, strict=True):
        # A value that no sample has marks what the frame does not reach.
        moved = warped(plane, matrix, fill=-1.0)[: height * step, : width * step]
        blocks = moved.reshape(height, step, width, step)
        cell[...] = blocks.mean(axis=(1, 3))
        usable &= (blocks.max(axis=(1, 3)) - blocks.min(axis=(1, 3)) < _PLAIN) & (
            blocks.min(axis=(1, 3)) >= 0
        )
    return cells, usable
