"""The stages of a task that takes pictures of any size: the largest are never in memory."""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from restore.batch.plan import Existing, Item
from restore.batch.stages import Loaded, PictureStages, Result
from restore.batch.stream import Outcome, Status, Stopping
from restore.errors import OutputError, OutputExists
from restore.files import open_atomically
from restore.image.encode import encode_rows
from restore.image.large import LargePicture, open_large
from restore.image.picture import ImageFormat, Picture

__all__ = ["AnySizeStages", "LargeResult", "ReadRows"]


ReadRows = Callable[[int, int], Picture]
"""Returns the picture of the rows from a first to, exclusive, a last one."""


@dataclass(frozen=True, kw_only=True)
class LargeResult:
    """A result that is made while it is written.

    Attributes:
        picture: the result without its rows: all that stands beside the pixels.
        height: of the result.
        record: how it came about, in values that JSON knows.
        opened: returns, once, what reads the result from top to bottom.
    """

    picture: Picture
    height: int
    record: Mapping[str, object]
    opened: Callable[[], AbstractContextManager[ReadRows]]


@dataclass(frozen=True, kw_only=True)
class AnySizeStages(PictureStages[Any, Any]):
    """Hands TIFF files that are too large for the memory budget to ``restore`` undecoded.

    Such a file goes to another TIFF, as a ``LargePicture`` and a ``LargeResult``; everything else
    that is asked for (another container, a before/after picture, standard output, pixels to be
    turned) needs the whole picture, which then goes the way of all pictures.
    """

    def load(self, item: Item) -> Loaded[Any]:
        """Decode, or look into what is too large."""
        self.check_folder(item)
        large = self._large(item)
        return super().load(item) if large is None else Loaded(item, large)

    def save(self, item: Item, result: Result[Any], stopping: Callable[[], bool]) -> Outcome:
        """Encode and write; what is too large strip by strip."""
        restored = result.restored
        if not isinstance(restored, LargeResult):
            return super().save(item, result, stopping)
        assert item.destination is not None  # so it was chosen in _large
        try:
            with restored.opened() as rows:
                self._write_rows(item.destination, restored, rows, stopping)
        except OutputExists:
            if self.existing is not Existing.SKIP:
                raise
            return Outcome(item=item, status=Status.SKIPPED)
        return Outcome(item=item, status=Status.DONE, record=restored.record)

    def _large(self, item: Item) -> LargePicture | None:
        if item.destination is None or item.source is None or item.compare or item.beside:
            return None
        if item.format not in (None, ImageFormat.TIFF):
            return None
        if not os.path.isfile(item.source):  # a pipe cannot be searched
            return None
        workplace = item.destination.parent
        large = open_large(item.source, workplace=workplace, max_pixels=self.max_pixels)
        is_turned = large is not None and large.like.orientation != 1
        return None if self.strip_metadata and is_turned else large

    def _write_rows(
        self, path: Path, result: LargeResult, rows: ReadRows, stopping: Callable[[], bool]
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
                    bit_depth=self.bit_depth,
                    strip_metadata=self.strip_metadata,
                )
            except OutputError as error:
                raise OutputError(f"{path}: {error}") from error
