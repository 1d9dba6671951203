"""Out-of-core stages, for pictures that are too large for memory."""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restore.batch.plan import Existing, Item
from restore.batch.stages import (
    Loaded,
    PictureStages,
    Result,
    damage_record,
    note_misnamed,
    noted_record,
)
from restore.batch.stream import Outcome, Status, Stopping
from restore.errors import OutputError, OutputExists
from restore.files import open_atomically
from restore.image.codecs import ImageFormat
from restore.image.damage import noting_damage
from restore.image.encode import encode_rows
from restore.image.losses import losses, remarks
from restore.image.picture import Picture
from restore.image.tiff_regions import OutOfCorePicture, open_out_of_core

__all__ = ["OutOfCoreResult", "OutOfCoreStages", "ReadRows"]


ReadRows = Callable[[int, int], Picture]
"""Returns the rows from a first one to a last one (exclusive) as a picture."""


@dataclass(frozen=True, kw_only=True)
class OutOfCoreResult:
    """A result that is computed while it is written.

    Attributes:
        picture: the result without pixels: metadata, profile and format only.
        height: height of the result in pixels.
        record: how it was made, in values that JSON can hold.
        opened: opens the result for reading once, from top to bottom.
    """

    picture: Picture
    height: int
    record: Mapping[str, object]
    opened: Callable[[], AbstractContextManager[ReadRows]]


@dataclass(frozen=True, kw_only=True)
class OutOfCoreStages(PictureStages[Any, Any]):
    """Hands TIFF files that are too large for the memory budget to ``restore`` undecoded.

    Such a file is written to another TIFF, as an ``OutOfCorePicture`` and an ``OutOfCoreResult``.
    All other requests (another container, a before/after picture, standard output, pixels to be
    rotated) need the whole picture in memory, which is then processed like any other.
    """

    def load(self, item: Item) -> Loaded[Any]:
        """Decode, or only open a file that is too large."""
        self.check_folder(item)
        with noting_damage() as damaged:
            too_large = self._opened_if_too_large(item)
        return super().load(item) if too_large is None else Loaded(item, too_large, damaged)

    def shown_before(self, loaded: Loaded[Any], restored: Any) -> NDArray[np.uint8] | None:
        """Return None for a picture that is too large."""
        if isinstance(loaded.source, OutOfCorePicture):
            return None
        return super().shown_before(loaded, restored)

    def save(self, item: Item, result: Result[Any], stopping: Callable[[], bool]) -> Outcome:
        """Encode and write; a picture that is too large is written strip by strip."""
        restored = result.restored
        if not isinstance(restored, OutOfCoreResult):
            return super().save(item, result, stopping)
        assert item.destination is not None  # load has checked it
        try:
            with restored.opened() as rows, losses() as lost, remarks() as remarked:
                note_misnamed(item, ImageFormat.TIFF)
                self._write_rows(item.destination, restored, rows, stopping)
        except OutputExists:
            if self.existing is not Existing.SKIP:
                raise
            return Outcome(item=item, status=Status.SKIPPED)
        record = {
            **noted_record(restored.record, lost, remarked),
            **damage_record(item, result.damaged),
        }
        return Outcome(item=item, status=Status.DONE, record=record)

    def _opened_if_too_large(self, item: Item) -> OutOfCorePicture | None:
        if item.destination is None or item.source is None or item.compare or item.beside:
            return None
        if not self.kind.of(item.source).is_any_size or item.format not in (None, ImageFormat.TIFF):
            return None
        if not os.path.isfile(item.source):  # a pipe is not seekable
            return None
        workplace = item.destination.parent
        opened = open_out_of_core(item.source, workplace=workplace)
        is_turned = opened is not None and opened.like.orientation != 1
        return None if self.options.strip_metadata and is_turned else opened

    def _write_rows(
        self, path: Path, result: OutOfCoreResult, rows: ReadRows, stopping: Callable[[], bool]
    ) -> None:
        def rows_unless_stopping(start: int, stop: int) -> Picture:
            if stopping():
                raise Stopping
            return rows(start, stop)

        overwrite = self.existing is Existing.OVERWRITE
        with open_atomically(path, overwrite=overwrite) as file:
            try:
                encode_rows(
                    file,
                    result.picture,
                    result.height,
                    rows_unless_stopping,
                    self.options,
                )
            except OutputError as error:
                raise OutputError(f"{path}: {error}") from error
