"""Scores of restored pictures: which are measured, and their table or JSON records."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from imrestore.exits import ExitCode
from imrestore.output import ProgressBar, json_of, say, table_line, visible

if TYPE_CHECKING:
    from restore.api.evaluations.measurement import Measurement, Source
    from restore.image.metrics import Failure

__all__ = [
    "Quiet",
    "Recursive",
    "ScoreOptions",
    "ScoredPicture",
    "in_words",
    "number_list",
    "report_scores",
]

_LONGEST_NAME = 40
_SCORE_WIDTH = 16
_SCORE_HEADING = f"{'PSNR':>8} {'SSIM':>7}"
_SCORE = "{psnr:8.2f} {ssim:7.4f}"

Recursive = Annotated[
    bool, typer.Option("-r", "--recursive", help="Take the pictures in subfolders too.")
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Show no progress; print errors only.")]


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """Which pictures of a folder are measured, and how their scores are printed."""

    recursive: Recursive = False
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Only the first N pictures.", show_default="all"),
    ] = None
    json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON record per picture, and one of the means."),
    ] = False
    quiet: Quiet = False

    def source(self, folder: Path | None) -> "Source":
        """Return which pictures are measured."""
        from restore.api.evaluations.measurement import Source

        def tell(line: str) -> None:
            if not self.quiet:
                say(line)

        return Source(folder=folder, recursive=self.recursive, limit=self.limit, warn=tell)


@dataclass(frozen=True, kw_only=True)
class ScoredPicture:
    """The scores of one picture, or the reason why there are none.

    Attributes:
        path: The picture.
        scores: One mapping for every column, with psnr (dB), ssim, and further numbers or words
            that describe the trial.
        error: One line if the picture failed.
        runs: What computed the scores: model, device and precision, by the name of the network if
            there are several.
    """

    path: Path
    scores: Sequence[Mapping[str, float | str]]
    error: str | None = None
    runs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def report_scores(scores: "Measurement", options: ScoreOptions) -> NoReturn:
    """Print scores as they come, and leave with the exit code of the evaluation.

    Raises:
        typer.Exit: always.
    """
    if scores.remark and not options.quiet:
        say(scores.remark)
    with _Report(scores, as_json=options.json, quiet=options.quiet) as report:
        for picture in _scored_pictures(scores.results):
            report.add(picture)
        report.finish(scores.conditions)
    raise typer.Exit(ExitCode.SOME_FAILED if report.failed else ExitCode.DONE)


def _scored_pictures(results: "Iterator[Any | Failure]") -> Iterator[ScoredPicture]:
    """Gather the scores of each picture.

    Args:
        results: Scores, whose ``figures`` are reported, and failures; those of one picture follow
            each other.
    """
    from restore.image.metrics import Failure

    for path, group in groupby(results, key=lambda result: result.path):
        scores: list[Mapping[str, float | str]] = []
        runs: dict[str, Mapping[str, str]] = {}
        error = None
        for result in group:
            if isinstance(result, Failure):
                error = result.reason
                continue
            scores.append(result.figures)
            # Only the result of a network has a record.
            if record := getattr(result, "record", None):
                run = {key: str(record[key]) for key in ("model", "device", "precision")}
                runs[getattr(result, "model", "")] = run
        yield ScoredPicture(path=path, scores=scores, error=error, runs=runs)


def number_list(name: str, text: str | None) -> list[float] | None:
    """Return the numbers of a list ``N,N,...`` as an option takes it; None for none.

    Args:
        name: Name of the argument that the option is for.
        text: The list.

    Raises:
        UsageError: something else is in it.
    """
    from restore.arguments import argument
    from restore.errors import UsageError

    if text is None:
        return None
    try:
        return [int(part) if part.isdecimal() else float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"{argument(name)} {text}: give numbers, as in 10,20,30") from None


class _Report(ProgressBar):
    """Prints scores to standard output as they come, and errors and a bar to standard error."""

    def __init__(self, scores: "Measurement", *, as_json: bool, quiet: bool) -> None:
        super().__init__(len(scores.pictures), quiet=quiet)
        names = scores.rows or [visible(path.name) for path in scores.pictures]
        name_width = max(len("mean of ") + 6, min(_LONGEST_NAME, max(map(len, names))))
        self._widths = [name_width, *(_SCORE_WIDTH for _ in scores.headings)]
        self._headings, self._rows, self._as_json = scores.headings, scores.rows, as_json
        self._done: list[ScoredPicture] = []
        self.failed = 0
        self._has_head = False

    def add(self, picture: ScoredPicture) -> None:
        """Print the scores of one picture."""
        if picture.error is None:
            self._done.append(picture)
        else:
            self.failed += 1
            self.say(picture.error)
        if self._as_json:
            outcome: dict[str, object] = (
                {"status": "done", "scores": picture.scores}
                if picture.error is None
                else {"status": "failed", "error": picture.error}
            )
            self._print_record({"source": str(picture.path), **outcome})
        elif picture.error is None and not self._rows:
            self._print_scores(picture.path.name, picture.scores)
        self.bar.update()

    def finish(self, conditions: Mapping[str, object]) -> None:
        """Print the means, and under which conditions the scores came about."""
        self.bar.close()
        means = _means([picture.scores for picture in self._done])
        run = self._run()
        counts = {"pictures": len(self._done), "failed": self.failed}
        if self._as_json:
            self._print_record({"mean": means, **counts, **run, **conditions})
        elif self._done:
            columns = len(self._headings)
            rows = {
                row: means[columns * index : columns * (index + 1)]
                for index, row in enumerate(self._rows or [f"mean of {len(self._done)}"])
            }
            for row, scores in rows.items():
                self._print_scores(row, scores)
            if all("psnr_noisy" in mean for mean in means):
                before = ", ".join(f"{mean['psnr_noisy']:.2f}" for mean in means[:columns])
                self._print(f"PSNR before: {before} dB")
            for key in ("lpips", "dists", "niqe"):
                for row, scores in rows.items():
                    if all(key in score for score in scores):
                        values = ", ".join(f"{score[key]:.4f}" for score in scores)
                        of_row = f" of {visible(row)}" if len(rows) > 1 else ""
                        self._print(f"{key.upper()}{of_row} (lower is better): {values}")
            for key, value in (run | dict(conditions)).items():
                self._print(f"{key.replace('_', ' ')}: {in_words(value)}")

    def _run(self) -> dict[str, object]:
        """Return what computed the scores, of several networks by name where they differ."""
        names = list(dict.fromkeys(name for picture in self._done for name in picture.runs))
        of_each: dict[str, dict[str, str]] = {}
        for name in names:
            runs = [picture.runs[name] for picture in self._done if name in picture.runs]
            for key in runs[0]:
                values = " and ".join(sorted({run[key] for run in runs}))
                of_each.setdefault(key, {})[name] = values
        return {
            key: next(iter(values.values())) if len({*values.values()}) == 1 else values
            for key, values in of_each.items()
        }

    def _print_scores(self, name: str, scores: Sequence[Mapping[str, float | str]]) -> None:
        if not self._has_head:
            self._has_head = True
            self._print_cells("", self._headings)
            what = f"mean of {len(self._done)}" if self._rows else "picture"
            self._print_cells(what, [_SCORE_HEADING for _ in self._headings])
        self._print_cells(visible(name), [_SCORE.format(**score) for score in scores])

    def _print_cells(self, name: str, cells: Sequence[str]) -> None:
        width = self._widths[0]
        shown = name if len(name) <= width else f"{name[: width - 3]}..."
        self._print(table_line([shown, *cells], self._widths, "<" + ">" * len(cells)))

    def _print_record(self, record: Mapping[str, object]) -> None:
        self._print(json_of(record, digits=6))

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


def in_words(value: object) -> str:
    """Return a condition of an evaluation as tables state it."""
    if isinstance(value, dict):
        return ", ".join(f"{visible(name)} {each}" for name, each in value.items())
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
