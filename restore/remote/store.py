"""Object stores and web servers through fsspec: list, fetch and push, with retries."""

import base64
import hashlib
import importlib
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol, TypeVar

from restore.errors import InputError, OutputError, UsageError
from restore.files import exists_already
from restore.remote.failures import code_of, fail, may_pass
from restore.remote.room import Full
from restore.remote.urls import PACKAGES, READ_ONLY

__all__ = ["Entry", "Grow", "ObjectStore", "Store"]

_Returned = TypeVar("_Returned")

Grow = Callable[[int, bool], None]
"""Told of a file of unknown size how many bytes it has, or have come, and whether these are all."""

_ATTEMPTS, _FIRST_WAIT_S, _LONGEST_WAIT_S = 5, 0.5, 8.0
_AZURE = ("az", "abfs")
_TIMEOUT_S = {"connect_timeout": 10, "read_timeout": 60}
_VERSIONS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified")


@dataclass(frozen=True, slots=True)
class Entry:
    """What a listing says of a key.

    Attributes:
        size: Size in bytes; None if it is not known.
        version: ETag, or else the time of modification; "" if neither is known.
        is_folder: Whether there are keys below it, and no file.
    """

    size: int | None
    version: str = ""
    is_folder: bool = False


class Store(Protocol):
    """A place that files are fetched from and pushed to, by their keys."""

    def look(self, key: str) -> Entry | None:
        """Return what is at a key, in one call; None for nothing."""

    def entries(self, folder: str, *, recursive: bool) -> Iterator[tuple[str, Entry]]:
        """Yield the files below a folder, with their keys, in pages and not one by one."""

    def fetch(self, key: str, entry: Entry, path: Path, grow: Grow | None = None) -> None:
        """Write the file of a key to ``path``; what ``grow`` raises ends that."""

    def push(self, path: Path, key: str, *, overwrite: bool) -> None:
        """Write a file to a key: complete or not at all."""

    def remove(self, key: str) -> None:
        """Remove the file of a key, if there is one."""

    def check_writable(self, folder: str) -> None:
        """Refuse a folder that cannot be written to, where that can be told without writing."""


class ObjectStore:
    """The stores of a scheme; keys are bucket and key, or host and path.

    Args:
        scheme: One of ``PACKAGES``.

    Raises:
        UsageError: a package is not installed.
    """

    def __init__(self, scheme: str) -> None:
        self._scheme = scheme
        self._queries: dict[str, str] = {}
        options: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
        if scheme == "s3":  # one place counts attempts
            options["config_kwargs"] = {"retries": {"total_max_attempts": 1}, **_TIMEOUT_S}
        try:
            importlib.import_module(PACKAGES[scheme])
            self._fs = importlib.import_module("fsspec").filesystem(scheme, **options)
        except ImportError as error:
            missing = error.name or PACKAGES[scheme]
            what = missing if missing in ("gcsfs", "adlfs") else "'imrestore[remote]'"
            raise UsageError(
                f"{scheme}://: {missing} is not installed; pip install {what}"
            ) from error
        if scheme == "s3":
            self._fs.retries = 1

    def remember_query(self, key: str, query: str) -> None:
        """Send a query, such as a signature, whenever this key is asked for."""
        self._queries[key] = query

    def query(self, key: str) -> str:
        """Return what is sent whenever a key is asked for; "" for nothing."""
        return self._queries.get(key, "")

    def look(self, key: str) -> Entry | None:
        """Return what is at a key, in one or two calls; None for nothing.

        Raises:
            UsageError: there is no such bucket, or access to it is denied.
            InputError: the store does not answer.
        """
        try:
            info = self._tried(lambda: self._fs.info(self._url(key) + self.query(key)))
        except FileNotFoundError as error:
            self._refuse_bucket(key, error)
            return None
        except Exception as error:
            self._fail(key, error, "read")
        return _entry(info)

    def entries(self, folder: str, *, recursive: bool) -> Iterator[tuple[str, Entry]]:
        """Yield the files below a folder, with their keys.

        Raises:
            UsageError: there is no such bucket, or access to it is denied.
            InputError: the store does not answer.
        """
        try:
            infos = self._tried(lambda: self._listed(f"{self._url(folder)}/", recursive))
        except FileNotFoundError as error:
            self._refuse_bucket(folder, error)
            return
        except Exception as error:
            self._fail(folder, error, "listed")
        for info in infos:
            key = self._key(info["name"])
            if info["type"] == "file" and not key.endswith("/"):
                yield key, _entry(info)

    def fetch(self, key: str, entry: Entry, path: Path, grow: Grow | None = None) -> None:
        """Write the file of a key to ``path``, with the size and checksum that were listed.

        Raises:
            InputError: it is gone, or the store does not answer; nothing is left behind.
        """
        seen: list[str] = []

        def fetch() -> None:
            url = self._url(key) + self.query(key)
            told = {} if grow is None or entry.size is not None else {"callback": _telling(grow)}
            self._fs.get_file(url, str(path), **told)
            _check(path, entry, seen)

        try:
            self._tried(fetch)
        except (Full, InputError):
            path.unlink(missing_ok=True)
            raise
        except FileNotFoundError as error:
            path.unlink(missing_ok=True)
            raise InputError(f"{self._name(key)}: no such file") from error
        except Exception as error:
            path.unlink(missing_ok=True)
            self._fail(key, error, "read", is_one=True)

    def push(self, path: Path, key: str, *, overwrite: bool) -> None:
        """Write a file to a key: complete or not at all.

        Raises:
            OutputExists: there is one, and ``overwrite`` is False; where the store can tell at
                the moment of writing, as S3 and Google Cloud Storage can, no other is replaced.
            OutputError: the store refuses, or does not answer.
        """
        how: dict[str, Any] = {"mode": "overwrite" if overwrite else "create"}
        if self._scheme in _AZURE:
            how = {"overwrite": overwrite}
        if self._scheme == "s3":
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
            how["ContentMD5"] = base64.b64encode(digest.digest()).decode()
        tries = 0

        def push() -> None:
            nonlocal tries
            tries += 1
            try:
                self._fs.put_file(str(path), self._url(key), **how)
            except FileExistsError:
                # An answer may be lost after its object was written.
                if tries == 1 or not self._holds(key, path):
                    raise

        try:
            self._tried(push)
        except FileExistsError as error:
            raise exists_already(self._name(key)) from error
        except FileNotFoundError as error:
            raise OutputError(f"{self._name(key)}: cannot be written: no such bucket") from error
        except Exception as error:
            self._fail(key, error, "written")

    def remove(self, key: str) -> None:
        """Remove the file of a key, if there is one.

        Raises:
            OutputError: the store refuses, or does not answer.
        """
        try:
            self._tried(lambda: self._fs.rm_file(self._url(key)))
        except FileNotFoundError:
            return
        except Exception as error:
            self._fail(key, error, "removed")

    def check_writable(self, folder: str) -> None:
        """Refuse a folder that may not be written to.

        Raises:
            UsageError: it is on a web server.
            OutputError: as ``push``.
        """
        if self._scheme in READ_ONLY:
            raise UsageError(f"{self._name(folder)}: web servers are read, not written to")
        if self._scheme != "s3":
            return
        # An upload in parts that is begun and given up leaves nothing that anybody sees.
        bucket, _, below = folder.partition("/")
        where = {"Bucket": bucket, "Key": f"{below}/.imrestore".lstrip("/")}

        def begin() -> None:
            begun = self._fs.call_s3("create_multipart_upload", **where)
            self._fs.call_s3("abort_multipart_upload", UploadId=begun["UploadId"], **where)

        try:
            self._tried(begin)
        except FileNotFoundError as error:
            raise OutputError(f"{self._name(bucket)}: no such bucket") from error
        except Exception as error:
            self._fail(folder, error, "written")

    def _holds(self, key: str, path: Path) -> bool:
        """Return whether a key holds what a file does, as far as its ETag tells."""
        entry = self.look(key)
        if entry is None or entry.size != path.stat().st_size:
            return False
        return not _is_md5(entry.version) or entry.version == _md5(path)

    def _listed(self, url: str, recursive: bool) -> Iterable[Mapping[str, Any]]:
        if not recursive:
            listed: Iterable[Mapping[str, Any]] = self._fs.ls(url, detail=True)
            return listed
        found: Mapping[str, Mapping[str, Any]] = self._fs.find(url, detail=True)
        return found.values()

    def _url(self, key: str) -> str:
        return f"{self._scheme}://{key}"

    def _name(self, key: str) -> str:
        return f"{self._scheme}://{key}"

    def _key(self, name: str) -> str:
        """Return a key of what fsspec calls a file, with or without the scheme."""
        return name.partition("://")[2] if "://" in name else name

    def _tried(self, call: Callable[[], _Returned]) -> _Returned:
        """Call, and call again after failures that may pass, with growing pauses."""
        wait_s = _FIRST_WAIT_S
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return call()
            except (Full, InputError):  # what grows finds no room
                raise
            except Exception as error:
                if attempt == _ATTEMPTS or not may_pass(error):
                    raise
            time.sleep(wait_s * random.uniform(0.5, 1.0))
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
        raise AssertionError

    def _fail(self, key: str, error: Exception, doing: str, *, is_one: bool = False) -> NoReturn:
        fail(self._name(key), error, doing, attempts=_ATTEMPTS, is_one=is_one)

    def _refuse_bucket(self, key: str, error: Exception) -> None:
        if code_of(error) == "NoSuchBucket":
            bucket = self._name(key.partition("/")[0])
            raise UsageError(f"{bucket}: no such bucket") from error


def _telling(grow: Grow) -> Any:
    """Return what fsspec calls during a transfer, and what tells ``grow`` of it."""

    def tell(size: int | None, arrived: int, **_more: object) -> None:
        if size is not None:
            grow(size, True)
        elif arrived:
            grow(arrived, False)

    return importlib.import_module("fsspec.callbacks").Callback(hooks={"grow": tell})


class _Damaged(OSError):
    """What came is not what was listed."""


def _check(path: Path, entry: Entry, seen: list[str]) -> None:
    """Compare a fetched file with what was listed.

    An ETag of 32 digits is the MD5 of an object, unless the store encrypts it with a key of its
    own: what comes with the same sum again is taken as it is.

    Raises:
        _Damaged: it is something else.
    """
    size = os.path.getsize(path)
    if entry.size is not None and size != entry.size:
        raise _Damaged(f"{size:,} bytes came in place of {entry.size:,}")
    if _is_md5(entry.version) and (found := _md5(path)) != entry.version and found not in seen:
        seen.append(found)
        raise _Damaged("its checksum is not the one that the store states")


def _is_md5(version: str) -> bool:
    return len(version) == 32 and all(each in "0123456789abcdef" for each in version)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    return digest.hexdigest()


def _entry(info: Mapping[str, Any]) -> Entry:
    version = next((info[name] for name in _VERSIONS if info.get(name)), "")
    size = info.get("size")
    return Entry(
        size=None if size is None else int(size),
        version=str(version).strip('"'),
        is_folder=info["type"] == "directory",
    )
