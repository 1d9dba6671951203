"""A small pool of child processes in which LibRaw reads files: a hostile file ends only a child."""

import atexit
import json
import math
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

from restore.errors import CorruptImage, ImageTooLarge, InputError, UnsupportedImage

__all__ = ["ask"]

_MOST_CHILDREN = max(4, os.cpu_count() or 1)
_IDLE_S = 30.0
_ERRORS = {"unsupported": UnsupportedImage, "corrupt": CorruptImage}
_SCRIPT = Path(__file__).with_name("raw_worker.py")
# Each arena reserves address space, which the child's limit counts as memory.
_ENVIRONMENT = {"MALLOC_ARENA_MAX": "1"}
_OUT_OF_TIME = -getattr(signal, "SIGXCPU", 0) or None  # the exit code


def ask(request: dict[str, Any], *, seconds: float) -> tuple[dict[str, Any], bytes]:
    """Return the header and the samples that a child process reads from a file.

    A request for the size alone has no samples. Waits while all children are busy.

    Args:
        request: Request as ``raw_worker`` takes it.
        seconds: Time limit in seconds.

    Raises:
        UnsupportedImage: not a RAW file, or one of an unsupported kind.
        CorruptImage: the file is damaged, or the child crashed or timed out.
        ImageTooLarge: the sensor has more pixels than the request allows.
    """
    with _pool.child() as child:
        was_used = child.was_used
        try:
            return child.ask(request, seconds)
        except _Crashed:
            if not was_used:
                raise
    # What it read before may have damaged its memory: a file is judged by itself.
    with _pool.child(is_new=True) as child:
        return child.ask(request, seconds)


class _Crashed(CorruptImage):
    """The child ended before it answered."""


class _Starter:
    """A thread that starts processes, for Linux kills a child when the thread that started it ends.

    ``raw_worker`` asks for that, so that no child survives this process.
    """

    def __init__(self) -> None:
        self._requests: SimpleQueue[tuple[list[str], Future[subprocess.Popen[bytes]]]] = (
            SimpleQueue()
        )
        self._thread: threading.Thread | None = None

    def start(self, command: list[str]) -> "subprocess.Popen[bytes]":
        """Start a process with pipes for standard input and output; call with a lock held."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()
        future: Future[subprocess.Popen[bytes]] = Future()
        self._requests.put((command, future))
        return future.result()

    def _work(self) -> None:
        while True:
            command, future = self._requests.get()
            try:
                future.set_result(
                    subprocess.Popen(
                        command,
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=subprocess.DEVNULL,
                        env=os.environ | _ENVIRONMENT,
                        process_group=0,  # so that Ctrl-C interrupts this process, not the child
                    )
                )
            except BaseException as error:  # raised where the result is awaited
                future.set_exception(error)


class _Child:
    """A process that reads one file after another."""

    def __init__(self) -> None:
        # -P: the script must not import the modules beside it.
        self.process = _pool.starter.start([sys.executable, "-P", str(_SCRIPT), str(os.getpid())])
        self.was_used = False
        self.idle_since = 0.0

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    def ask(self, request: dict[str, Any], seconds: float) -> tuple[dict[str, Any], bytes]:
        """Return the header and the samples of a file."""
        watch = threading.Timer(seconds, self.process.kill)
        watch.daemon = True
        watch.start()
        self.was_used = True
        try:
            return self._answer(request)
        except (BrokenPipeError, EOFError) as error:
            is_late = not watch.is_alive()
            self.end()
            if is_late:
                raise CorruptImage(f"is damaged: it took longer than {seconds:g} s") from error
            if self.process.returncode == _OUT_OF_TIME:
                raise CorruptImage("is damaged: it took too much processor time") from error
            raise _Crashed("is damaged: it crashed the decoder") from error
        finally:
            watch.cancel()

    def end(self) -> None:
        """Stop the process, if it runs."""
        self.process.kill()
        # Closes its pipes and waits; what is still to be written to them no longer matters.
        with suppress(BrokenPipeError), self.process:
            pass

    def _answer(self, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        if self.process.stdin is None or self.process.stdout is None:
            raise EOFError
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        (length,) = struct.unpack("<Q", _exactly(self.process.stdout, 8))
        header: dict[str, Any] = json.loads(_exactly(self.process.stdout, length))
        if "error" in header:
            if header["error"] == "large":
                raise ImageTooLarge(
                    f"has {header['message']} pixels, more than {request['max_pixels']:,}"
                )
            raise _ERRORS[header["error"]](header["message"])
        return header, _exactly(self.process.stdout, 2 * math.prod(header["shape"]))


class _Pool:
    """Child processes that all threads share; idle ones end after a while.

    Args:
        most: maximum number of children at work at once.
        idle_s: seconds after which an idle child ends.
    """

    def __init__(self, most: int, idle_s: float) -> None:
        self._most, self._idle_s = most, idle_s
        self._changed = threading.Condition()
        self._idle: list[_Child] = []
        self._working: set[_Child] = set()
        self._reaper: threading.Thread | None = None
        self.starter = _Starter()

    @contextmanager
    def child(self, *, is_new: bool = False) -> Iterator[_Child]:
        """Lend a child, and end it afterwards unless it is ready for another request."""
        child = self._taken(is_new=is_new)
        is_ready = False
        try:
            yield child
            is_ready = True
        except InputError:
            is_ready = True
            raise
        finally:
            self._give_back(child, is_ready=is_ready)

    def end(self) -> None:
        """End all children, also those at work."""
        with self._changed:
            for child in (*self._idle, *self._working):
                child.end()
            self._idle.clear()
            self._changed.notify_all()

    def _taken(self, *, is_new: bool) -> _Child:
        with self._changed:
            self._changed.wait_for(lambda: len(self._working) < self._most)
            while self._idle and not is_new:
                # The most recently used one, so that surplus children become idle and end.
                child = self._idle.pop()
                if child.is_alive:
                    break
                child.end()
            else:
                child = _Child()
            self._working.add(child)
            return child

    def _give_back(self, child: _Child, *, is_ready: bool) -> None:
        is_ready = is_ready and child.is_alive
        if not is_ready:
            child.end()
        with self._changed:
            self._working.discard(child)
            if is_ready:
                child.idle_since = time.monotonic()
                self._idle.append(child)
                if self._reaper is None:
                    self._reaper = threading.Thread(target=self._reap, daemon=True)
                    self._reaper.start()
            self._changed.notify_all()

    def _reap(self) -> None:
        """End children that have been idle for too long, as long as there are idle ones."""
        with self._changed:
            while self._idle:
                # The first is idle longest.
                remaining = self._idle[0].idle_since + self._idle_s - time.monotonic()
                if remaining > 0:
                    self._changed.wait(remaining)
                else:
                    self._idle.pop(0).end()
            self._reaper = None


_pool = _Pool(_MOST_CHILDREN, _IDLE_S)


@atexit.register
def _end_children() -> None:
    _pool.end()


def _forget_children() -> None:
    """Leave the children to the process that this one was forked from."""
    global _pool
    _pool = _Pool(_MOST_CHILDREN, _IDLE_S)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_children)


def _exactly(stream: IO[bytes], count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise EOFError
    return data
