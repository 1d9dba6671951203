"""TensorBoard's event files, written in the calling thread.

TensorBoard's own writer has a thread that prints a traceback when the disk is full, and ends the
training at its next number.
"""

import logging
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, cast

from torch import Tensor

__all__ = ["Board"]

log = logging.getLogger("restore")


class Board:
    """Writes numbers and pictures for TensorBoard; where that fails, warns and writes no more.

    Args:
        folder: Folder of the event files, made if it is missing.
        step: First step; entries of a stopped run from there on are replaced.
    """

    def __init__(self, folder: Path, step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import SessionLog

        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}"
        self._path = folder / name
        self._works = True
        self._write(step, file_version="brain.Event:2")
        self._write(step, session_log=SessionLog(status=SessionLog.START))

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Write one point of a curve."""
        self._write(step, summary=_summary("scalar")(name, value))

    def add_image(self, name: str, picture: Tensor, step: int) -> None:
        """Write a picture, ``(3, H, W)`` in [0, 1]."""
        self._write(step, summary=_summary("image")(name, picture, dataformats="CHW"))

    def _write(self, step: int, **content: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        if not self._works:
            return
        event = Event(wall_time=time.time(), step=step, **content)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                RecordWriter(file).write(event.SerializeToString())
        except OSError as error:
            self._works = False
            log.warning(
                "%s: cannot be written, training goes on without it: %s",
                self._path.parent,
                error.strerror or error,
            )


def _summary(kind: str) -> Callable[..., Any]:
    return cast(Callable[..., Any], resolve_name(f"torch.utils.tensorboard.summary:{kind}"))
