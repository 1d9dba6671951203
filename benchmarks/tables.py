"""Tables in Markdown."""

import statistics
from collections.abc import Iterable, Sequence

__all__ = ["spread", "table"]


def spread(values: Sequence[float], form: str = ".2f") -> str:
    """Return the median of ``values``, and the least and greatest where they differ."""
    least, middle, most = (
        f"{each:{form}}" for each in (min(values), statistics.median(values), max(values))
    )
    return middle if least == most else f"{middle} ({least}-{most})"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells under a head."""
    lines = [_line(head), "|" + "---|" * len(head), *map(_line, rows)]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
