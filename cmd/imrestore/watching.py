"""The frame of commands that watch a folder: take what is complete, until a signal comes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from imrestore.exits import Stopped
from imrestore.options import RunOptions, without_effect
from imrestore.report import Report

if TYPE_CHECKING:
    from restore.batch.inputs import Found
    from restore.batch.watch import FolderWatch

__all__ = ["WatchOptions", "check_watch", "take_as_they_come"]

_SETTLE_S = 2.0
_MOST_AT_ONCE = 256
_LONGEST_WAIT_S = 1.0


@dataclass(frozen=True, kw_only=True)
class WatchOptions:
    """Which folder is watched, in place of inputs."""

    watch: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Instead of INPUT, take the files of a folder as they come, until Ctrl-C or "
            "SIGTERM; with -r those of its tree. Results that exist are kept: started again, the "
            "command goes on.",
            show_default=False,
        ),
    ] = None
    settle: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            min=0,
            max=3600,
            help="With --watch, how long a file must not have changed before it is taken; one that "
            "is moved into the folder is taken at once.",
            show_default=f"{_SETTLE_S:g}",
        ),
    ] = None

    @property
    def settle_s(self) -> float:
        """How long a file must not have changed, in seconds."""
        return _SETTLE_S if self.settle is None else self.settle


def check_watch(watching: WatchOptions, files: RunOptions, inputs: Sequence[str] | None) -> None:
    """Refuse options that contradict each other.

    Raises:
        UsageError: they do.
    """
    from restore.errors import UsageError

    if watching.watch is None:
        without_effect(settle=watching.settle is not None and "there is no --watch")
        return
    if inputs:
        raise UsageError(f"{inputs[0]} and --watch contradict each other; give one of them")
    if not watching.watch.is_dir():
        raise UsageError(f"{watching.watch}: not a folder to watch")
    reason = "a folder that is watched keeps what exists, and is watched by one process"
    without_effect(overwrite=files.overwrite and reason, shard=files.shard and reason)


def take_as_they_come(
    watch: "FolderWatch",
    report: Report,
    work: "Callable[[Sequence[Found]], None]",
    *,
    rest: Callable[[], None] = lambda: None,
    end: Callable[[], None] = lambda: None,
) -> NoReturn:
    """Work on the files of a folder that is watched, until a signal comes.

    Args:
        watch: the folder.
        report: told about the end.
        work: given files that are complete.
        rest: called whenever there are none.
        end: called after the signal; it has a second.

    Raises:
        Stopped: always.
    """
    try:
        with watch:
            how = "read again and again" if watch.is_polled else "watched"
            report.announce(f"{watch.folder}: {how}; Ctrl-C ends")
            while True:
                found = watch.ready(_MOST_AT_ONCE)
                if found:
                    work(found)
                else:
                    rest()
                    watch.wait(_LONGEST_WAIT_S)
    except Stopped:
        report.stopped()
        end()
        raise
