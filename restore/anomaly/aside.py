"""Defective parts put aside: their pictures moved to a folder, none ever lost or overwritten."""

import contextlib
import filecmp
import itertools
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from restore.anomaly.files import ResultFiles
from restore.anomaly.records import Record
from restore.anomaly.verdict import Verdict
from restore.arguments import argument
from restore.batch.plan import Item
from restore.errors import InputError, OutputError, OutputExists, UsageError
from restore.files import open_atomically

__all__ = ["Aside"]

_CHUNK = 1 << 20


class Aside:
    """A folder to which the pictures of defective parts are moved, with their tree.

    A record says where a picture goes before it goes there; ``resume`` ends what a power cut
    interrupted.

    Args:
        folder: The folder; it is made when the first part comes.
        inputs: Files and folders that are inspected.
        recursive: Whether the trees of the folders are inspected.
        report: Folder of the report.

    Raises:
        UsageError: it is a file, or its pictures would be inspected again.
    """

    def __init__(
        self, folder: Path, inputs: Iterable[Path], *, recursive: bool, report: Path
    ) -> None:
        if os.path.lexists(folder) and not folder.is_dir():
            raise UsageError(f"{argument('move_defective')} {folder}: is a file; give a folder")
        real = Path(os.path.realpath(folder))
        for each in inputs:
            root = Path(os.path.realpath(each))
            if real == root or (recursive and root.is_dir() and real.is_relative_to(root)):
                raise UsageError(
                    f"{argument('move_defective')} {folder}: lies in {each}, which is inspected; "
                    "choose another"
                )
        self._folder, self._report = folder, report

    def place_of(self, item: Item) -> Path | None:
        """Return where a picture would go; None for one that is no file of its own."""
        if item.source is None:
            return None
        below = ResultFiles.of(item, self._report).relative.parent
        wanted = self._folder / below / item.source.name
        return next(path for path in _names(wanted) if not os.path.lexists(path))

    def move(self, source: Path, to: Path) -> Path:
        """Move a picture to ``to``, or to a name like it if that was taken since; return which.

        Raises:
            InputError: it is a link, or changes.
            OutputError: the folder cannot be written.
        """
        if source.is_symlink():
            raise InputError(f"{source}: is a link, and is not moved to {self._folder}")
        try:
            to.parent.mkdir(parents=True, exist_ok=True)
            for path in _names(to):
                try:
                    _put(source, path)
                except (FileExistsError, OutputExists):
                    continue
                _sync_folder(path.parent)
                source.unlink()
                return path
        except OSError as error:
            reason = error.strerror or error
            raise OutputError(f"{source}: cannot be moved to {to}: {reason}") from error
        raise AssertionError("there is no end of names")

    def resume(self, records: Iterable[Record]) -> Iterator[str]:
        """End the moves that earlier runs recorded; yield what did not work."""
        for record in records:
            source, to = Path(record.source), Path(record.moved_to)
            if not (record.moved_to and record.verdict == Verdict.DEFECTIVE and source.is_file()):
                continue
            try:
                if not os.path.lexists(to):
                    self.move(source, to)
                elif to.is_file() and filecmp.cmp(source, to, shallow=False):
                    source.unlink()
                else:
                    yield f"{source}: another part of that name was moved to {to}; left where it is"
            except (InputError, OutputError) as error:
                yield str(error)
            except OSError as error:
                yield f"{source}: cannot be moved to {to}: {error.strerror}"


def _names(wanted: Path) -> Iterator[Path]:
    """Yield the name, then those with a number."""
    yield wanted
    for number in itertools.count(2):
        yield wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")


def _put(source: Path, to: Path) -> None:
    """Give the picture the second name ``to``, or where that cannot be, copy it."""
    try:
        os.link(source, to)
    except FileExistsError:
        raise
    except FileNotFoundError:
        raise
    except OSError:  # another file system, or one without hard links
        before = source.stat()
        with source.open("rb") as file, open_atomically(to) as copy:
            shutil.copyfileobj(file, copy, _CHUNK)
        after = source.stat()
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            to.unlink()
            raise InputError(
                f"{source}: changes while it is copied to {to}; left where it is"
            ) from None
        with contextlib.suppress(OSError):
            shutil.copystat(source, to)


def _sync_folder(folder: Path) -> None:
    """Have the new name on the disk before the old one goes."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
