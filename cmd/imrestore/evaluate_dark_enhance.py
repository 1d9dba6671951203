"""`imrestore evaluate dark-enhance`: how good a learned image signal processor is."""

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imrestore.exits import ExitCode, say
from imrestore.options import NetworkOptions, with_options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrestore.scores import Row
    from restore.tasks.evaluate import Failure
    from restore.tasks.evaluate_dark import DarkScore

__all__ = ["dark_enhance"]


@with_options
def dark_enhance(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="Folder of clean pictures in colour.", show_default=False
        ),
    ],
    network: NetworkOptions,
    *,
    ratio: Annotated[
        str, typer.Option(metavar="N[,N...]", help="How many times too dark they are made.")
    ] = "100,250,300",
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, help="Seed of camera and noise of the first picture.")
    ] = 0,
    recursive: Annotated[
        bool, typer.Option("-r", "--recursive", help="Take the pictures in subfolders too.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Only the first N pictures.", show_default="all"),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON record per picture, and one of the means."),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="Show no progress; print errors only.")
    ] = False,
) -> None:
    """Measure on clean pictures that are turned into dark RAW files of a camera not trained on.

    Beside the network stand LibRaw's demosaicking with the same gain and, where OpenCV is
    installed (pip install '.[compare]'), the same followed by non-local means.

    Exit codes: 0 all measured; 1 some pictures could not be, the others are; 2 wrong usage.

    \b
    Examples:
      imrestore evaluate dark-enhance kodak24/
      imrestore evaluate dark-enhance kodak24/ --model night.safetensors --ratio 100,250 --json
    """  # noqa: D301 (the escape is Typer's mark for lines to be kept)
    from imrestore.scores import ScoreReport
    from restore.engine.inputs import pictures_in
    from restore.tasks.dark_enhance import DarkEnhancer
    from restore.tasks.evaluate_dark import (
        NON_LOCAL_MEANS,
        PROTOCOL,
        evaluate_dark_enhancer,
        methods,
    )

    ratios = _ratios(ratio)
    paths = pictures_in(folder, recursive=recursive)[:limit]
    enhancer = DarkEnhancer(
        network.model, device=network.device, precision=network.precision, tile=network.tile
    )
    if NON_LOCAL_MEANS not in methods() and not quiet:
        say("no non-local means to compare with: OpenCV is not installed")
    headings = [f"x{number:g} {method}" for number in ratios for method in methods()]
    with ScoreReport(paths, headings, as_json=as_json, quiet=quiet) as report:
        for row in _rows(evaluate_dark_enhancer(enhancer, paths, ratios, seed=seed)):
            report.add(row)
        report.finish({"seed": seed, "protocol": PROTOCOL})
    raise typer.Exit(ExitCode.SOME_FAILED if report.failed else ExitCode.DONE)


def _rows(results: "Iterator[DarkScore | Failure]") -> "Iterator[Row]":
    """Gather the scores of each picture."""
    from imrestore.scores import Row
    from restore.tasks.evaluate import Failure

    for path, group in groupby(results, key=lambda result: result.path):
        scores: list[dict[str, float]] = []
        run: dict[str, str] = {}
        error = None
        for result in group:
            if isinstance(result, Failure):
                error = result.reason
                continue
            scores.append(
                {
                    "ratio": result.ratio,
                    "psnr": result.psnr,
                    "ssim": result.ssim,
                    "seconds": result.seconds,
                }
            )
            if result.record:
                run = {key: str(result.record[key]) for key in ("model", "device", "precision")}
        yield Row(path=path, scores=scores, error=error, run=run)


def _ratios(text: str) -> list[float]:
    from restore.errors import UsageError

    try:
        ratios = [float(part) for part in text.split(",")]
    except ValueError:
        ratios = []
    if not ratios or not all(1 <= ratio <= 10_000 for ratio in ratios):
        raise UsageError(f"--ratio {text}: give numbers from 1 to 10000, as in 100,250,300")
    return list(dict.fromkeys(ratios))
