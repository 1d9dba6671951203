"""URLs among the arguments: what they are, and what they name."""

import os
import re
from dataclasses import dataclass

__all__ = ["PACKAGES", "READ_ONLY", "Url", "as_url", "is_archive"]

PACKAGES = {
    "s3": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "http": "aiohttp",
    "https": "aiohttp",
}
"""Schemes of stores, each with the package that fsspec needs for it."""

READ_ONLY = ("http", "https")

_ARCHIVES = ("zip", "tar")
_COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
_URL = re.compile(rf"({'|'.join((*PACKAGES, *_ARCHIVES))})://?(?!/)(.*)", re.DOTALL)


@dataclass(frozen=True)
class Url:
    """A place in a store, or in an archive.

    Attributes:
        scheme: One of ``PACKAGES``, or zip or tar.
        key: What follows ``://``, without a query: bucket and key, host and path, or the path in
            an archive, without slashes at its ends.
        query: What follows the key of a file on a web server, ``?`` included.
        is_folder: Whether the URL ends with a slash, or names no more than a bucket.
        archive: Name or URL of the archive; "" for a place in a store.
    """

    scheme: str
    key: str
    query: str = ""
    is_folder: bool = False
    archive: str = ""

    def __str__(self) -> str:
        """The URL without its query, which may hold secrets."""
        if self.archive:
            return f"{self.archive}/{self.key}" if self.key else self.archive
        return f"{self.scheme}://{self.key}"


def as_url(text: str) -> Url | None:
    """Return the URL that an argument is; None for a path, standard input and anything else.

    ``zip://shots.zip`` is an archive as a folder, as is the path of a zip or tar file that is
    there, and ``zip://day1/a.png::s3://bucket/shots.zip`` a place in one. A single slash counts,
    too, which is what a path that was made of a URL has.

    >>> as_url("s3://photos/2024/")
    Url(scheme='s3', key='photos/2024', query='', is_folder=True, archive='')
    >>> str(as_url("tar://shard-0001.tar"))
    'shard-0001.tar'
    >>> as_url("photos/2024/")
    """
    match = _URL.fullmatch(text)
    if match is None or os.path.lexists(text):
        kind = is_archive(text) if os.path.isfile(text) else ""
        return Url(kind, "", is_folder=True, archive=text) if kind else None
    scheme, rest = match.groups()
    if scheme in _ARCHIVES:
        inner, separator, outer = rest.partition("::")
        inner, outer = (inner, outer) if separator else ("", rest)
        key = inner.strip("/")
        return Url(scheme, key, is_folder=not key or inner.endswith("/"), archive=outer)
    key, mark, query = rest.partition("?") if scheme in READ_ONLY else (rest, "", "")
    stripped = key.strip("/")
    is_folder = key.endswith("/") or "/" not in stripped
    kind = is_archive(stripped)
    if kind and not is_folder:
        return Url(kind, "", mark + query, is_folder=True, archive=f"{scheme}://{stripped}")
    return Url(scheme, stripped, mark + query, is_folder)


def is_archive(name: str) -> str:
    """Return the kind of archive that a name stands for: zip, tar, or "" for none."""
    lower = name.lower()
    if lower.endswith(_COMPRESSED):
        return "tar"
    return next((kind for kind in _ARCHIVES if lower.endswith(f".{kind}")), "")
