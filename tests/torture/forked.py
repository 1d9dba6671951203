"""The command in a fork of a process that has imported everything: it starts in no time."""

import gc
import importlib
import io
import multiprocessing
import os
import pkgutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

__all__ = ["Ended", "Forked", "import_everything"]

_MOST_SECONDS = 200.0


def import_everything() -> None:
    """Import what any command may import later, and start no thread."""
    import imrestore
    import restore

    for package in (restore, imrestore):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    for name in (
        *("imrestore.__main__", "torch._dynamo", "torch.utils.tensorboard", "openvino"),
        *("tqdm", "OpenEXR", "imagecodecs", "PIL.AvifImagePlugin"),
    ):
        try:
            importlib.import_module(name)
        except ImportError:  # an extra
            continue
    _draw_something()
    for child in multiprocessing.active_children():  # forks cannot wait for them
        child.join()
    gc.freeze()  # what is shared with forks stays shared


def _draw_something() -> None:
    """Have Matplotlib find its fonts."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    figure.subplots().set_xlabel("step")
    FigureCanvasAgg(figure).print_png(io.BytesIO())


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended.

    Attributes:
        code: Exit code, or the negative number of the signal that ended it; None if it had to be
            ended because it took too long.
        messages: What it wrote to standard error.
        seconds: How long it ran.
    """

    code: int | None
    messages: str
    seconds: float

    @property
    def is_clean(self) -> bool:
        """Whether no traceback was printed, and no bug admitted."""
        return "Traceback" not in self.messages and "imrestore: a bug" not in self.messages


class Forked:
    """A running command.

    Args:
        arguments: its arguments.
        place: its current folder.
        engine: engine that runs networks.
        logs: folder for what it prints.
        prepare: called in its process before it begins.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        place: Path,
        logs: Path,
        engine: str,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        self._messages = logs / "messages"
        self._started = time.monotonic()
        sys.stdout.flush()
        sys.stderr.flush()
        self._pid = os.fork()
        if not self._pid:
            self._become(arguments, place, engine, prepare)

    def signal(self, number: int) -> None:
        """Send a signal; the process may have ended already, but was not waited for."""
        os.kill(self._pid, number)

    def wait(self, seconds: float = _MOST_SECONDS) -> bool:
        """Wait for its end at most so long, and return whether it has come."""
        until = time.monotonic() + seconds
        while os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if time.monotonic() > until:
                return False
            time.sleep(0.002)
        return True

    def ended(self) -> Ended:
        """Wait for its end, bring it about where it does not come, and return how it ended."""
        in_time = self.wait()
        seconds = time.monotonic() - self._started
        if not in_time:
            self.signal(signal.SIGKILL)
        _, status = os.waitpid(self._pid, 0)
        code = os.waitstatus_to_exitcode(status)
        messages = self._messages.read_text(errors="replace")
        return Ended(code=code if in_time else None, messages=messages, seconds=seconds)

    def _become(
        self, arguments: Sequence[str], place: Path, engine: str, prepare: Callable[[], None]
    ) -> NoReturn:
        with open(self._messages, "wb") as messages, open(os.devnull, "r+b") as nothing:
            os.dup2(nothing.fileno(), 0)
            os.dup2(nothing.fileno(), 1)
            os.dup2(messages.fileno(), 2)
        os.chdir(place)
        os.environ |= {
            "XDG_CACHE_HOME": str(place / "cache"),
            "IMRESTORE_ENGINE": engine,
            "SOURCE_DATE_EPOCH": "1000000000",
        }
        sys.argv = ["imrestore", *arguments]
        prepare()
        from imrestore.__main__ import main

        main()  # its SystemExit ends this process as it ends any other
        raise AssertionError("main returned")
