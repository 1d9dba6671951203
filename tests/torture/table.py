"""What became of everything that was tried, as one table."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["SLOW_SECONDS", "Result", "Table", "Verdict"]

SLOW_SECONDS = 10.0


class Verdict(StrEnum):
    """What became of one file or run; the first two are as they should be."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    CRASH = "crash"
    SLOW = "slow"
    TRACEBACK = "traceback"
    WRONG = "wrong"


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of one file or run.

    Attributes:
        verdict: ``ACCEPTED`` for a file that was read, and for a run that kept all promises.
        why: Reason in one line.
        megabytes: Memory that it took at its peak, beyond what was taken before.
    """

    verdict: Verdict
    why: str = ""
    megabytes: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether it is as it should be."""
        return self.verdict in (Verdict.ACCEPTED, Verdict.REFUSED)


@dataclass
class _Row:
    counts: Counter[Verdict] = field(default_factory=Counter)
    megabytes: float = 0.0

    def add(self, counts: Counter[Verdict], megabytes: float) -> None:
        self.counts += counts
        self.megabytes = max(self.megabytes, megabytes)

    def cells(self, name: str) -> list[str]:
        numbers = [self.counts.total(), *(self.counts[verdict] for verdict in Verdict)]
        return [name, *(f"{number:,}" for number in numbers), f"{self.megabytes:,.0f}"]


class Table:
    """Counts results, a row for each kind of input."""

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}

    def add(self, row: str, result: Result) -> None:
        """Count one result."""
        self._rows.setdefault(row, _Row()).add(Counter([result.verdict]), result.megabytes)

    @property
    def holds(self) -> bool:
        """Whether all is as it should be."""
        good = (Verdict.ACCEPTED, Verdict.REFUSED)
        return not any(
            n for row in self._rows.values() for v, n in row.counts.items() if v not in good
        )

    def __str__(self) -> str:
        """Return the table in Markdown."""
        total = _Row()
        for row in self._rows.values():
            total.add(row.counts, row.megabytes)
        head = ["", "inputs", "accepted", "refused in one line", "crashes"]
        head += [f"> {SLOW_SECONDS:g} s", "tracebacks", "wrong", "largest memory (MB)"]
        rows = [row.cells(name) for name, row in sorted(self._rows.items())] + [total.cells("all")]
        lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)
