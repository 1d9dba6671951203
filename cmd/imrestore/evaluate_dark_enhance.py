"""`imrestore evaluate dark-enhance`: how good a learned image signal processor is."""

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imrestore.exits import ExitCode, say
from imrestore.options import NetworkOptions, with_options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrestore.scores import Row
    from restore.tasks.dark_enhance import DarkEnhancer
    from restore.tasks.evaluate import Failure
    from restore.tasks.evaluate_dark import DarkScore
    from restore.tasks.evaluate_raw_pairs import PairScore

__all__ = ["dark_enhance"]


@with_options
def dark_enhance(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR", help="Folder of clean pictures in colour.", show_default=False
        ),
    ] = None,
    *,
    network: NetworkOptions,
    pairs: Annotated[
        Path | None,
        typer.Option(
            metavar="LIST",
            help="Measure on the pairs of a list instead: lines with a short and a long RAW file "
            "(the lists of SID), in the protocol of Learning to See in the Dark.",
            show_default=False,
        ),
    ] = None,
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
      imrestore evaluate dark-enhance --pairs SID/Sony_test_list.txt --model sony.safetensors
    """  # noqa: D301 (the escape is Typer's mark for lines to be kept)
    from imrestore.scores import ScoreReport
    from restore.errors import UsageError
    from restore.tasks.dark_enhance import DarkEnhancer

    if (folder is None) == (pairs is None):
        raise UsageError("give a folder of clean pictures, or --pairs with a list, not both")
    ratios = _ratios(ratio)
    enhancer = DarkEnhancer(
        network.model, device=network.device, precision=network.precision, tile=network.tile
    )
    if folder is not None:
        measured = _on_clean(enhancer, folder, ratios, seed, recursive=recursive, limit=limit)
    elif pairs is not None:
        measured = _on_pairs(enhancer, pairs, limit)
    if measured.remark and not quiet:
        say(measured.remark)
    with ScoreReport(measured.paths, measured.headings, as_json=as_json, quiet=quiet) as report:
        for row in _rows(measured.results):
            report.add(row)
        report.finish(measured.conditions)
    raise typer.Exit(ExitCode.SOME_FAILED if report.failed else ExitCode.DONE)


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """What is measured: scores, a heading for each of a picture's, and what the figures mean."""

    results: "Iterator[DarkScore | PairScore | Failure]"
    paths: list[Path]
    headings: list[str]
    conditions: dict[str, object]
    remark: str = ""


def _on_clean(
    enhancer: "DarkEnhancer",
    folder: Path,
    ratios: list[float],
    seed: int,
    *,
    recursive: bool,
    limit: int | None,
) -> _Measured:
    from restore.engine.inputs import pictures_in
    from restore.tasks.evaluate_dark import (
        NON_LOCAL_MEANS,
        PROTOCOL,
        evaluate_dark_enhancer,
        methods,
    )

    paths = pictures_in(folder, recursive=recursive)[:limit]
    has_all = NON_LOCAL_MEANS in methods()
    return _Measured(
        results=evaluate_dark_enhancer(enhancer, paths, ratios, seed=seed),
        paths=paths,
        headings=[f"x{number:g} {method}" for number in ratios for method in methods()],
        conditions={"seed": seed, "protocol": PROTOCOL},
        remark="" if has_all else "no non-local means to compare with: OpenCV is not installed",
    )


def _on_pairs(enhancer: "DarkEnhancer", list_path: Path, limit: int | None) -> _Measured:
    from restore.engine.raw_pairs import read_pairs
    from restore.tasks.evaluate_raw_pairs import PAIRS_PROTOCOL, evaluate_pairs

    pairs = read_pairs(list_path)[:limit]
    return _Measured(
        results=evaluate_pairs(enhancer, pairs),
        paths=[pair.short for pair in pairs],
        headings=["network"],
        conditions={"protocol": PAIRS_PROTOCOL},
    )


def _rows(results: "Iterator[DarkScore | PairScore | Failure]") -> "Iterator[Row]":
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
