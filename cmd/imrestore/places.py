"""URLs among the options of a command: paths take their places while it runs."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imrestore.output import say

if TYPE_CHECKING:
    from restore.remote.url_paths import UrlPaths
    from restore.remote.urls import Url

__all__ = ["elsewhere", "on_disk"]

_WRITTEN = ("output", "report", "manifest", "manifests")
_READ = ("inputs", "model", "noise_profile", "twin", "name", "start_from", "teacher")
"""Options that take names or files as texts; others, such as addresses, are no files."""
_STREAMED = ("inputs", "output")
_OF_COMMAND = ("report", "manifest")
"""What the workers of a cluster neither read nor write."""


@contextmanager
def on_disk(values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Give a command paths in place of URLs.

    Inputs of commands that take pictures one by one come, and their results go, as the work
    proceeds. Everything else is there before the command begins; a file or folder that it writes
    is sent, with what was made beside it, when it ends.

    Args:
        values: The values of its options.

    Raises:
        RestoreError: as ``UrlPaths`` has it.
    """
    if not any(_urls(value) for name, value in values.items() if _is_place(name, value)):
        yield dict(values)
        return
    from restore.errors import UsageError
    from restore.remote.url_paths import url_paths

    if values.get("watch") and (_urls(values["watch"]) or _urls(values.get("output"))):
        raise UsageError(
            "--watch and where its results go are folders on disk; for a bucket run the command "
            "again and again with --manifest"
        )
    if cached := _urls(values.get("cache")):
        raise UsageError(f"--cache {cached[0]}: give a folder on disk, not a URL")
    is_streamed = "inputs" in values and isinstance(values.get("output"), str)
    is_tree = bool(values.get("recursive"))
    if values.get("cluster") and "workers" not in values:  # processes of a training see to theirs
        _check_seen(values, (*_OF_COMMAND, *(_STREAMED if is_streamed else ())))
    placed = dict(values)
    with url_paths() as paths:
        for name, value in values.items():
            if is_streamed and name == "inputs":
                placed[name] = value and [_input(paths, each, is_tree) for each in value]
            elif is_streamed and name == "output":
                placed[name] = _output(paths, value, is_tree, is_tried=values.get("dry_run"))
            elif not _is_place(name, value):
                continue
            elif name in _WRITTEN:
                placed[name] = _kept(paths, value, is_tried=values.get("dry_run"))
            else:
                placed[name] = _fetched(paths, value, is_quiet=bool(values.get("quiet")))
        try:
            yield placed
        finally:
            paths.send_changes()


@contextmanager
def elsewhere(output: Path) -> Iterator[Path]:
    """Give a path in place of the URL of a file that processes on other machines will write.

    Raises:
        RestoreError: as ``UrlPaths.output_path``.
    """
    if not (urls := _urls_written(output)):
        yield output
        return
    from restore.remote.url_paths import url_paths

    with url_paths() as paths:
        yield paths.output_path(urls[0], recursive=False)


def _check_seen(values: Mapping[str, Any], left_out: Collection[str]) -> None:
    """Refuse what would lie on this machine while the workers of a cluster look for it on theirs.

    Raises:
        UsageError: an option names such a URL or archive.
    """
    from restore.errors import UsageError

    for name, value in values.items():
        if name not in left_out and _is_place(name, value) and (urls := _urls(value)):
            raise UsageError(
                f"{urls[0]}: workers of a cluster do not see what this command would fetch or "
                "unpack; put it on a drive that all of its machines mount"
            )


def _is_place(name: str, value: object) -> bool:
    """Return whether an option stands for files."""
    if isinstance(value, list | tuple):
        return any(_is_place(name, each) for each in value)
    return isinstance(value, Path) or (isinstance(value, str) and name in (*_READ, *_WRITTEN))


def _urls(value: object) -> "list[Url]":
    """Return the URLs that the value of an option is or holds."""
    if isinstance(value, list | tuple):
        return [url for each in value for url in _urls(each)]
    if not isinstance(value, str | Path):
        return []
    from restore.remote.urls import as_url

    url = as_url(str(value))
    return [] if url is None else [url]


def _urls_written(value: object) -> "list[Url]":
    """Return the same for what is written; a name on disk is that of a file, whatever it is.

    Raises:
        UsageError: a URL is that of an archive.
    """
    from restore.errors import UsageError

    urls = [url for url in _urls(value) if not url.archive or "://" in str(value)]
    if urls and urls[0].archive:
        raise UsageError(f"{urls[0]}: archives are read, not written to")
    return urls


def _input(paths: "UrlPaths", text: str, is_tree: bool) -> str:
    urls = _urls(text)
    return str(paths.input_path(urls[0], recursive=is_tree)) if urls else text


def _output(paths: "UrlPaths", text: str, is_tree: bool, *, is_tried: bool | None) -> str:
    urls = _urls_written(text)
    if not urls:
        return text
    path = paths.output_path(urls[0], recursive=is_tree, is_tried=bool(is_tried))
    return f"{path}/" if urls[0].is_folder else str(path)


def _kept(paths: "UrlPaths", value: Any, *, is_tried: bool | None) -> Any:
    if isinstance(value, list):
        return [_kept(paths, each, is_tried=is_tried) for each in value]
    urls = _urls_written(value)
    if not urls:
        return value
    path = paths.kept_path(urls[0], is_tried=bool(is_tried))
    return str(path) if isinstance(value, str) else path


def _fetched(paths: "UrlPaths", value: Any, *, is_quiet: bool) -> Any:
    """Return a value with the paths of what was fetched; lists hold the same kinds of values."""
    if isinstance(value, list | tuple):
        return type(value)(_fetched(paths, each, is_quiet=is_quiet) for each in value)
    urls = _urls(value)
    if not urls or (urls[0].archive and isinstance(value, str) and "://" not in value):
        return value
    path = paths.input_path(urls[0], recursive=True)
    count, size = paths.fetch_all(path)
    if count > 1 and not is_quiet:
        say(f"{urls[0]}: {count:,} files fetched, {size / 1e6:,.1f} MB")
    return str(path) if isinstance(value, str) else path
