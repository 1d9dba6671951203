"""Lists of short and long exposures of the same scenes, as Learning to See in the Dark has them."""

import re
from dataclasses import dataclass
from pathlib import Path

from restore.errors import UsageError

__all__ = ["RawPair", "read_pairs"]

_MOST_RATIO = 300.0
_SECONDS = re.compile(r"_(\d+(?:\.\d+)?)s\.\w+$")


@dataclass(frozen=True)
class RawPair:
    """A dark exposure and a bright one.

    Attributes:
        short, long: RAW files.
        ratio: of their exposure times, at most 300, as in the paper.
    """

    short: Path
    long: Path
    ratio: float


def read_pairs(path: Path) -> list[RawPair]:
    """Read a list: a line for each pair with the short and the long file, and what else there is.

    Paths are relative to the list. Exposure times stand in the names, as in ``00001_00_0.1s.ARW``.

    Raises:
        UsageError: no such file, nothing in it, or a line that makes no sense.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as a list of pairs: {error}") from error
    pairs = [_pair(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not pairs:
        raise UsageError(f"{path}: holds no pairs")
    return pairs


def _pair(path: Path, number: int, line: str) -> RawPair:
    short, long, *_ = [*line.split(), "", ""]
    times = [_SECONDS.search(name) for name in (short, long)]
    seconds = [float(match[1]) for match in times if match]
    if len(seconds) != 2 or min(seconds) <= 0:
        raise UsageError(
            f"{path}, line {number}: give a short and a long RAW file with their exposure times in "
            "their names, as in night_0.1s.ARW night_10s.ARW"
        )
    folder = path.parent
    return RawPair(folder / short, folder / long, min(seconds[1] / seconds[0], _MOST_RATIO))
