"""What the evaluations of restored pictures share: their options, and how scores are reported."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from imrestore.evaluate.table import Row, ScoreReport
from imrestore.exits import ExitCode, say

if TYPE_CHECKING:
    from restore.image.metrics import Failure

__all__ = [
    "Evaluation",
    "EvaluationOptions",
    "Quiet",
    "Recursive",
    "numbers",
    "report_scores",
    "rows_of",
]

Recursive = Annotated[
    bool, typer.Option("-r", "--recursive", help="Take the pictures in subfolders too.")
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Show no progress; print errors only.")]


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """Which pictures of a folder are measured, and how that is told."""

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

    def pictures_in(self, folder: Path) -> list[Path]:
        """Return the pictures that are measured.

        Raises:
            UsageError: there are none.
        """
        from restore.batch.inputs import pictures_in

        return pictures_in(folder, recursive=self.recursive)[: self.limit]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What is measured.

    Attributes:
        rows: one per picture, made when they are asked for.
        pictures: what is measured.
        headings: one per score of a picture.
        conditions: what the figures mean.
        remark: to be told before, if anything.
    """

    rows: Iterator[Row]
    pictures: Sequence[Path]
    headings: Sequence[str]
    conditions: Mapping[str, object]
    remark: str = ""


def report_scores(evaluation: Evaluation, options: EvaluationOptions) -> NoReturn:
    """Print the scores as they come and leave with the exit code that they come to.

    Raises:
        typer.Exit: always.
    """
    if evaluation.remark and not options.quiet:
        say(evaluation.remark)
    with ScoreReport(
        evaluation.pictures, evaluation.headings, as_json=options.json, quiet=options.quiet
    ) as report:
        for row in evaluation.rows:
            report.add(row)
        report.finish(evaluation.conditions)
    raise typer.Exit(ExitCode.SOME_FAILED if report.failed else ExitCode.DONE)


def rows_of(
    results: "Iterator[Any | Failure]", figures: Callable[[Any], Mapping[str, float | str]]
) -> Iterator[Row]:
    """Gather the scores of each picture.

    Args:
        results: scores and failures, those of one picture after each other.
        figures: what is told of a score.
    """
    from restore.image.metrics import Failure

    for path, group in groupby(results, key=lambda result: result.path):
        scores: list[Mapping[str, float | str]] = []
        run: dict[str, str] = {}
        error = None
        for result in group:
            if isinstance(result, Failure):
                error = result.reason
                continue
            scores.append(figures(result))
            # Only what a network made has a record.
            if record := getattr(result, "record", None):
                run = {key: str(record[key]) for key in ("model", "device", "precision")}
        yield Row(path=path, scores=scores, error=error, run=run)


def numbers(text: str, *, low: float, high: float, advice: str) -> list[float]:
    """Return the numbers of a list ``N,N,...``, each once.

    Raises:
        UsageError: there is none, or one that is no number from ``low`` to ``high``; it says
            ``advice``.
    """
    from restore.errors import UsageError

    try:
        given = [float(part) for part in text.split(",")]
    except ValueError:
        given = []
    if not given or not all(low <= number <= high for number in given):
        raise UsageError(advice)
    return list(dict.fromkeys(given))
