"""One process of a training on a Ray cluster: a command that is run where the cluster places it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

__all__ = ["Member", "Order", "run_tethered"]

_TETHERED = "from imrestore.train.member import run_tethered; run_tethered()"


@dataclass(frozen=True)
class Order:
    """What a member runs.

    Attributes:
        words: the words that call the command, as in ``("train", "denoise")``.
        recipe: its arguments and options; see ``recipe_of``.
        folder: the folder that relative paths start from.
        version: the version of this program that gives the order.
    """

    words: Sequence[str]
    recipe: str
    folder: str
    version: str


class Member:
    """A member of a team; ``stop`` may be called from another thread."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._process: subprocess.Popen[str] | None = None
        self._is_stopping, self._lock = False, threading.Lock()

    def begin(self) -> tuple[str, int]:
        """Return where the team may meet, if this member leads: the host, and a port that is free.

        Raises:
            UsageError: as ``go_to``.
        """
        from restore.batch.cluster_worker import go_to

        ray: Any = import_module("ray")
        go_to(self._order.folder, self._order.version)
        with socket.socket() as free:
            free.bind(("", 0))
            return str(ray.util.get_node_ip_address()), int(free.getsockname()[1])

    def work(self, team: Mapping[str, str]) -> Iterator[str | int]:
        """Run the command, and yield the lines that it prints and, at last, its exit code.

        Args:
            team: the variables by which ``assembled`` finds the others.
        """
        with tempfile.TemporaryDirectory() as folder:
            recipe = Path(folder) / "recipe.toml"
            recipe.write_text(self._order.recipe, encoding="utf-8")
            with self._lock:
                self._process = process = subprocess.Popen(
                    [sys.executable, "-c", _TETHERED, *self._order.words, "--config", str(recipe)],
                    env=os.environ | team,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                )
            if self._is_stopping:
                self.stop()
            with process:
                assert process.stdout  # a pipe
                for line in process.stdout:
                    yield line.rstrip("\n")
                yield process.wait()

    def stop(self) -> None:
        """Have the command write its checkpoint and end."""
        with self._lock:
            self._is_stopping = True
            if self._process:
                with contextlib.suppress(ProcessLookupError):
                    self._process.send_signal(signal.SIGTERM)


def run_tethered() -> None:
    """Run the command line of this process until it ends, or whoever started it does.

    Its recipe is all that counts: a default of --cluster would ask for a cluster again.
    """
    from imrestore.__main__ import main
    from imrestore.configuration import without_defaults

    def end_with_it() -> None:
        while os.read(0, 1):
            pass
        os._exit(128 + signal.SIGTERM)

    threading.Thread(target=end_with_it, daemon=True).start()
    with without_defaults():
        main()
