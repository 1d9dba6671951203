"""What ``restore.evaluate`` returns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from restore.errors import UsageError

__all__ = ["Evaluation", "Row"]

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Scores, as ``imrestore evaluate --json`` prints them.

    Attributes:
        scores: one mapping for each score, such as ``pandas.DataFrame`` takes: ``path``, ``model``,
            what distinguishes the trial (``sigma``, ``iso``, ``method``...) and the figures.
        failures: a sentence about each picture that could not be measured.
        conditions: under which conditions the figures came about, and their protocol.
        summary: rows of a table that is no mean over pictures: of ``coverage``, the shares of all
            pixels for each noise; of anomaly, what each threshold detects.

    >>> import restore
    >>> measured = restore.Evaluation(
    ...     scores=[{"path": name, "model": "a", "psnr": psnr} for name, psnr in (("x", 30), ("y", 32))],
    ...     failures=[],
    ...     conditions={},
    ... )
    >>> measured.means("model")
    [{'model': 'a', 'psnr': 31.0}]
    """  # noqa: E501 (an example)

    scores: Sequence[Row]
    failures: Sequence[str]
    conditions: Row
    summary: Sequence[Row] = ()

    def means(self, *keys: str) -> list[dict[str, Any]]:
        """Return the means of all numbers over the pictures, for each value of ``keys``.

        A number that some of the scores lack, as ``psnr_mosaic`` of one method, is left out.

        Raises:
            UsageError: no score has such a key.
        """
        for key in keys:
            if not any(key in score for score in self.scores):
                raise UsageError(f"{key!r}: no score has it")
        groups: dict[tuple[Any, ...], list[Row]] = {}
        for score in self.scores:
            groups.setdefault(tuple(score.get(key) for key in keys), []).append(score)
        return [
            dict(zip(keys, values, strict=True)) | _means(rows, set(keys))
            for values, rows in groups.items()
        ]


def _means(rows: Sequence[Row], without: set[str]) -> dict[str, float]:
    numbers = [
        key
        for key in rows[0]
        if key not in without and all(_is_number(row.get(key)) for row in rows)
    ]
    return {key: sum(row[key] for row in rows) / len(rows) for key in numbers}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
