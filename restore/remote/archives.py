"""Zip and tar archives, read as folders."""

import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from restore.errors import InputError, UsageError
from restore.remote.store import Entry, Grow

__all__ = ["open_archive"]

_CHUNK = 1 << 20
_MOST_RATIO = 200
_FREE_BYTES = 64 << 20
"""What a member may take however well it is compressed."""


@dataclass(frozen=True, slots=True)
class _Member(Entry):
    """A file in an archive.

    Attributes:
        offset: Where it begins, in a tar archive.
        pieces: Where in the file each stored piece belongs, and its bytes; None for a file that is
            stored whole. The rest of a sparse file is zeros.
    """

    offset: int = 0
    pieces: tuple[tuple[int, int], ...] | None = None


def open_archive(kind: str, path: Path, name: str) -> "Archive":
    """Return the archive at ``path``.

    Args:
        kind: zip or tar.
        path: The file.
        name: What messages call it.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        if kind == "tar":
            return Archive(path, name, dict(_tar_members(path)))
        opened = zipfile.ZipFile(path)
        try:
            return Archive(path, name, dict(_zip_members(opened)), opened)
        except BaseException:
            opened.close()
            raise
    except (tarfile.TarError, zipfile.BadZipFile, OSError, ValueError, RuntimeError) as error:
        if kind == "tar" and _is_compressed(path):
            raise UsageError(
                f"{name}: a compressed tar archive, whose files cannot be reached one by one; "
                "uncompress it first"
            ) from error
        raise UsageError(f"{name}: not a {kind} archive, or a damaged one ({error})") from error


@dataclass(frozen=True)
class Archive:
    """The files in an archive, as a store that is read only.

    Attributes:
        path: The archive.
        name: What messages call it.
        members: Its files, by their paths in it.
        zip: The archive if it is a zip; else it is a tar.
    """

    path: Path
    name: str
    members: dict[str, _Member]
    zip: zipfile.ZipFile | None = None

    def close(self) -> None:
        """Close it."""
        if self.zip:
            self.zip.close()

    def look(self, key: str) -> Entry | None:
        """Return what is at a path in the archive; None for nothing."""
        if key in self.members:
            return self.members[key]
        below = f"{key}/" if key else ""
        is_folder = any(each.startswith(below) for each in self.members)
        return Entry(0, is_folder=True) if is_folder else None

    def entries(self, folder: str, *, recursive: bool) -> Iterator[tuple[str, Entry]]:
        """Yield the files below a folder of the archive."""
        below = f"{folder}/" if folder else ""
        for key, member in self.members.items():
            if key.startswith(below) and (recursive or "/" not in key[len(below) :]):
                yield key, member

    def fetch(self, key: str, entry: Entry, path: Path, _grow: Grow | None = None) -> None:
        """Write a file of the archive to ``path``.

        Raises:
            InputError: it is gone or damaged, or there is no room; nothing is left behind.
        """
        member = self.members.get(key)
        if member is None or member != entry:
            raise InputError(f"{self.name}/{key}: no such file")
        try:
            size = member.size or 0
            with self._opened(key, member) as source, path.open("wb") as file:
                for start, length in ((0, size),) if member.pieces is None else member.pieces:
                    file.seek(start)
                    _copy(source, file, length)
                file.truncate(size)
                if self.zip:
                    source.read(1)  # at its end the checksum is compared
        except Exception as error:  # damaged archives raise anything
            path.unlink(missing_ok=True)
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"{self.name}/{key}: cannot be read: {reason}") from error

    def push(self, _path: Path, key: str, *, overwrite: bool) -> None:
        """Refuse."""
        del overwrite
        self.check_writable(key)

    def remove(self, key: str) -> None:
        """Refuse."""
        self.check_writable(key)

    def check_writable(self, _folder: str) -> None:
        """Refuse.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{self.name}: archives are read, not written to")

    @contextmanager
    def _opened(self, key: str, member: _Member) -> Iterator[IO[bytes]]:
        if self.zip:
            with self.zip.open(key) as file:
                yield file
        else:
            with self.path.open("rb") as whole:
                whole.seek(member.offset)
                yield whole


def _zip_members(archive: zipfile.ZipFile) -> Iterator[tuple[str, _Member]]:
    for each in archive.infolist():
        if each.is_dir():
            continue
        if each.file_size > max(_FREE_BYTES, _MOST_RATIO * each.compress_size):
            raise ValueError(
                f"{each.filename} states {each.file_size:,} bytes from {each.compress_size:,}"
            )
        yield each.filename, _Member(each.file_size, f"{each.CRC:08x}")


def _tar_members(path: Path) -> Iterator[tuple[str, _Member]]:
    with tarfile.open(path, "r:") as archive:
        while (each := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]  # it would keep all of them
            if each.isreg():
                member = _Member(
                    each.size,
                    f"{each.mtime:.0f}",
                    offset=each.offset_data,
                    pieces=None if each.sparse is None else _pieces(each),
                )
                yield each.name.removeprefix("./"), member


def _pieces(member: tarfile.TarInfo) -> tuple[tuple[int, int], ...]:
    """Return the pieces of a sparse file.

    Raises:
        ValueError: they are not within it, or much smaller than it.
    """
    stated: Any = member.sparse  # pairs of numbers, whatever typeshed says
    pieces = tuple((start, length) for start, length in stated if length)
    if any(start < 0 or length < 0 or start + length > member.size for start, length in pieces):
        raise ValueError(f"{member.name} has pieces beyond its end")
    stored = sum(length for _, length in pieces)
    if member.size > max(_FREE_BYTES, _MOST_RATIO * stored):
        raise ValueError(f"{member.name} states {member.size:,} bytes from {stored:,}")
    return pieces


def _is_compressed(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(6).startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"))
    except OSError:
        return False


def _copy(source: IO[bytes], target: IO[bytes], size: int) -> None:
    """Copy exactly so many bytes.

    Raises:
        ValueError: there are fewer, or more.
    """
    left = size
    while left and (chunk := source.read(min(_CHUNK, left))):
        target.write(chunk)
        left -= len(chunk)
    if left:
        raise ValueError("cut short")
