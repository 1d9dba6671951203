"""A table, or JSON records, of the scores of pictures."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from imrestore.bar import WithBar
from imrestore.exits import visible

__all__ = ["Row", "ScoreReport"]

_LONGEST_NAME = 40
_CELL = "{psnr:8.2f} {ssim:7.4f}"


@dataclass(frozen=True, kw_only=True)
class Row:
    """The scores of one picture, or the reason why there are none.

    Attributes:
        path: the picture.
        scores: a mapping for every column; each has psnr (dB) and ssim, and perhaps words that say
            what it is of.
        error: one line, if it failed.
        run: what computed them: model, device, precision.
    """

    path: Path
    scores: Sequence[Mapping[str, float | str]]
    error: str | None = None
    run: Mapping[str, str] = field(default_factory=dict)


class ScoreReport(WithBar):
    """Prints scores to standard output as they come, and errors and a bar to standard error.

    Args:
        pictures: what will be scored, for the width of the table and the length of the bar.
        headings: one for every score of a picture.
        as_json: print records in place of a table.
        quiet: show no bar.
    """

    def __init__(
        self, pictures: Sequence[Path], headings: Sequence[str], *, as_json: bool, quiet: bool
    ) -> None:
        super().__init__(len(pictures), quiet=quiet)
        names = [visible(path.name) for path in pictures]
        self._width = max(len("mean of ") + 6, min(_LONGEST_NAME, max(map(len, names))))
        self._headings, self._as_json = headings, as_json
        self._done: list[Row] = []
        self._errors = 0
        self._has_head = False

    @property
    def failed(self) -> int:
        """Pictures without scores so far."""
        return self._errors

    def add(self, row: Row) -> None:
        """Print the scores of one picture."""
        if row.error is None:
            self._done.append(row)
        else:
            self._errors += 1
            self.bar.write(visible(f"imrestore: {row.error}"), file=sys.stderr)
        if self._as_json:
            outcome = {"scores": list(row.scores)} if row.error is None else {"error": row.error}
            status = "done" if row.error is None else "failed"
            self._print_record({"source": str(row.path), "status": status, **outcome})
        elif row.error is None:
            self._print_line(row.path.name, row.scores)
        self.bar.update()

    def finish(self, conditions: Mapping[str, object]) -> None:
        """Print the means and under which conditions the scores came about."""
        self.bar.close()
        means = _means([row.scores for row in self._done])
        run = {
            key: " and ".join(sorted({row.run[key] for row in self._done}))
            for key in (self._done[0].run if self._done else ())
        }
        counts = {"pictures": len(self._done), "failed": self._errors}
        if self._as_json:
            self._print_record({"mean": means, **counts, **run, **conditions})
        elif self._done:
            self._print_line(f"mean of {len(self._done)}", means)
            if all("psnr_noisy" in mean for mean in means):
                before = ", ".join(f"{mean['psnr_noisy']:.2f}" for mean in means)
                self._print(f"PSNR before: {before} dB")
            for key, value in (run | dict(conditions)).items():
                self._print(f"{key.replace('_', ' ')}: {_words(value)}")

    def _print_line(self, name: str, scores: Sequence[Mapping[str, float | str]]) -> None:
        if not self._has_head:
            self._has_head = True
            columns = "".join(f"  {heading:>16}" for heading in self._headings)
            self._print(" " * self._width + columns)
            columns = "".join(f"  {'PSNR':>8} {'SSIM':>7}" for _ in self._headings)
            self._print(f"{'picture':<{self._width}}{columns}")
        cells = "".join("  " + _CELL.format(**score) for score in scores)
        self._print(f"{_shortened(visible(name), self._width):<{self._width}}{cells}")

    def _print_record(self, record: Mapping[str, object]) -> None:
        self._print(json.dumps(_finite(record), default=str))

    def _print(self, line: str) -> None:
        self.bar.write(line, file=sys.stdout)
        sys.stdout.flush()


def _means(
    pictures: Sequence[Sequence[Mapping[str, float | str]]],
) -> list[dict[str, float | str]]:
    """Return the mean of each column's numbers, and its words, which are all the same."""
    return [
        {key: _mean([score[key] for score in column]) for key in column[0]}
        for column in zip(*pictures, strict=True)
    ]


def _mean(values: Sequence[float | str]) -> float | str:
    numbers = [value for value in values if not isinstance(value, str)]
    return sum(numbers) / len(numbers) if numbers else values[0]


def _shortened(name: str, width: int) -> str:
    return name if len(name) <= width else f"{name[: width - 3]}..."


def _words(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _finite(value: object) -> object:
    """Return ``value`` with null for infinities, which JSON does not have."""
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list) else value
