"""Work in processes of its own, and what that cost."""

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Cost", "in_a_process", "run"]


@dataclass(frozen=True)
class Cost:
    """What a command took, and what it printed to standard output."""

    cpu_s: float
    wall_s: float
    peak_mb: float
    printed: str


def run(command: Sequence[str], environment: Mapping[str, str] = os.environ) -> Cost:
    """Run a command to its end.

    Raises:
        SystemExit: it failed.
    """
    started = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"failed: {' '.join(command)}")
    wall_s = time.perf_counter() - started
    return Cost(usage.ru_utime + usage.ru_stime, wall_s, usage.ru_maxrss / 1024, printed)


def in_a_process(function: Callable[..., None], *arguments: object) -> None:
    """Call ``function`` elsewhere: Linux counts the peak memory of a parent as its children's.

    Raises:
        SystemExit: it failed.
    """
    process = multiprocessing.get_context("spawn").Process(target=function, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(f"failed: {function.__name__}")
