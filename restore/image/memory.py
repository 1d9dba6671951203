"""How much memory there is: of the machine, of the container, and of the process."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

__all__ = ["available_bytes"]

_ROOT = Path("/")
_ASSUMED_SHARE = 2
"""Divisor of the whole memory where nothing says how much of it is free, as on macOS."""


def available_bytes(root: Path = _ROOT) -> int | None:
    """Return how many bytes this process can still take without anybody being killed for them.

    The least of what the kernel calls available, what is left of every control group around this
    process (versions 1 and 2; file caches count as free), and what is left of its own address
    space where that is limited (``ulimit -v``).

    Args:
        root: Folder that holds ``proc`` and ``sys``.

    Returns:
        None where nothing is known, as on Windows.
    """
    known = [*_of_machine(root), *_of_groups(root), *_of_process(root)]
    return max(0, min(known)) if known else None


def _of_machine(root: Path) -> Iterator[int]:
    available = _fields(root / "proc/meminfo").get("MemAvailable:")
    if available is not None:
        yield 1024 * available
        return
    for name, share in (("SC_AVPHYS_PAGES", 1), ("SC_PHYS_PAGES", _ASSUMED_SHARE)):
        with suppress(AttributeError, ValueError, OSError):
            pages = os.sysconf(name)
            if pages > 0:
                yield pages * os.sysconf("SC_PAGE_SIZE") // share
                return


def _of_groups(root: Path) -> Iterator[int]:
    """Yield what is left of each group with a limit, from the process's own to the outermost."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if not controllers:
            base, limit, used = root / "sys/fs/cgroup", "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            base = root / "sys/fs/cgroup/memory"
            limit, used = "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        # In a container the path may be the host's, and the container's own group lie at the base.
        own = PurePosixPath(path.lstrip("/"))
        for each in (own, *own.parents):
            left = _left_of_group(base / each, limit, used)
            if left is not None:
                yield left


def _left_of_group(group: Path, limit: str, used: str) -> int | None:
    try:
        most, now = int(_text(group / limit)), int(_text(group / used))
    except ValueError:  # no such group, or no limit: "max"
        return None
    kept = _fields(group / "memory.stat")
    # Version 1 has the sums over its subgroups under names of their own.
    caches = sum(
        kept.get(f"total_{name}", kept.get(name, 0)) for name in ("inactive_file", "active_file")
    )
    return most - now + caches


def _of_process(root: Path) -> Iterator[int]:
    with suppress(ImportError, ValueError, OSError):
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        pages = _text(root / "proc/self/statm").split()[:1]
        if limit != resource.RLIM_INFINITY and pages:
            yield limit - int(pages[0]) * os.sysconf("SC_PAGE_SIZE")


def _fields(path: Path) -> dict[str, int]:
    """Return the numbers of a file that has a name and a number on each line."""
    pairs = (line.split()[:2] for line in _text(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
