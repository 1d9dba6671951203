"""`imrestore evaluate denoise --coverage`: whether the bounds of error maps hold."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from imrestore.evaluate.scores import ScoreOptions, in_words
from imrestore.exits import ExitCode
from imrestore.output import ProgressBar, json_of, print_line, print_table

if TYPE_CHECKING:
    from restore.api.evaluations.measurement import Measurement

__all__ = ["report_coverage"]

_TEXTURES = ("flat", "edge", "fine", "all")
_HEADINGS = ("noise", "model", "pictures", *_TEXTURES, "PSNR", "expected", "off by", "SURE")


def report_coverage(measurement: "Measurement", options: ScoreOptions) -> NoReturn:
    """Evaluate, print a row for each noise and network, and leave with the exit code.

    Raises:
        typer.Exit: always.
    """
    from restore.image.metrics import Failure

    scores = []
    failed = 0
    seen: set[Path] = set()
    with ProgressBar(len(measurement.pictures), quiet=options.quiet) as report:
        for score in measurement.results:
            if score.path not in seen:
                seen.add(score.path)
                report.bar.update()
            if isinstance(score, Failure):
                failed += 1
                report.say(score.reason)
                continue
            scores.append(score)
            if options.json:
                print_line(json_of({"source": str(score.path), **score.figures}, digits=4))
    rows = measurement.summary(scores)
    if options.json:
        for row in rows:
            print_line(json_of(row, digits=4))
        counts = {"pictures": len(seen) - failed, "failed": failed}
        print_line(json_of({**counts, **measurement.conditions}))
    elif rows:
        # The name of a single network would say nothing in each row.
        shown = [name for name in _HEADINGS if name != "model" or len(measurement.models) > 1]
        cells = [[_cells(row)[name] for name in shown] for row in rows]
        aligned = "".join("<" if name in ("noise", "model") else ">" for name in shown)
        print_table([shown, *cells], aligned)
        print_line("Percent of pixels whose error is below the bound of 90 %; PSNR in dB")
        if len(measurement.models) == 1:
            print_line(f"model: {measurement.models[0]}")
        for key, value in measurement.conditions.items():
            print_line(f"{key.replace('_', ' ')}: {in_words(value)}")
    raise typer.Exit(ExitCode.SOME_FAILED if failed else ExitCode.DONE)


def _cells(row: Mapping[str, Any]) -> dict[str, str]:
    coverage, sure = row["coverage"], row["sure_psnr"]
    return {
        "noise": row["noise"],
        "model": row["model"],
        "pictures": str(row["pictures"]),
        **{each: f"{100 * coverage[each]:.1f}" if each in coverage else "-" for each in _TEXTURES},
        "PSNR": f"{row['psnr']:.2f}",
        "expected": f"{row['expected_psnr']:.2f}",
        "off by": f"{row['off_by']:.2f}",
        "SURE": "-" if sure is None else f"{sure:.2f}",
    }
