"""Fails each call by which a run writes, one after the other, and looks at what comes of it."""

import ctypes
import errno
import mmap
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from kill import Site
from table import Result

__all__ = ["REASONS", "build", "count_writes", "fail_once"]

REASONS = {"ENOSPC": True, "EIO": False, "EACCES": False}
"""Names of errors -> whether all later calls fail, too."""

_NEVER = 1 << 62
_CODES = (0, 1, 2)


def build(folder: Path) -> Path | None:
    """Compile ``faults.c`` and return what is to be preloaded; None without a compiler."""
    compiler = shutil.which("cc")
    if compiler is None or not os.path.exists("/proc/self"):
        return None
    library = folder / "faults.so"
    source = Path(__file__).with_name("faults.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


def count_writes(site: Site) -> int:
    """Return how many calls of a run write something."""
    assert site.whole
    calls = _Calls()
    site.clear()
    site.start(prepare=calls.armed(site.place, _NEVER, errno.EIO, lasting=False)).ended()
    return calls.count


def fail_once(site: Site, number: int, reason: str) -> Result:
    """Fail the ``number``-th writing call of a run for ``reason``, and go on without failures.

    The run may notice and say so, or do without what could not be written.
    """
    assert site.whole
    site.clear()
    armed = _Calls().armed(site.place, number, getattr(errno, reason), lasting=REASONS[reason])
    return site.judged(site.start(prepare=armed).ended(), _CODES)


class _Calls:
    """A counter in memory that processes share, as children that are forked write it."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, ctypes.sizeof(ctypes.c_long))
        self._counter = ctypes.c_long.from_buffer(self._shared)

    @property
    def count(self) -> int:
        return self._counter.value

    def armed(self, place: Path, number: int, error: int, *, lasting: bool) -> Callable[[], None]:
        """Return what arms ``faults.c`` in the process that calls it."""

        def arm() -> None:
            ctypes.CDLL(None).arm_faults(
                os.fsencode(place),
                ctypes.c_long(number),
                ctypes.c_int(error),
                ctypes.c_int(lasting),
                ctypes.byref(self._counter),
            )

        return arm
