"""`imrestore evaluate denoise`: how good a denoiser, or a folder of finished outputs, is."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imrestore.exits import ExitCode
from imrestore.options import NetworkOptions, with_options

if TYPE_CHECKING:
    from imrestore.scores import Row
    from restore.tasks.evaluate import Failure, OutputScore, Score

__all__ = ["denoise"]

_SIGMAS = "15,25,50"


@dataclass(frozen=True, kw_only=True)
class _Evaluation:
    """What is measured: a row per picture, a heading per score, and what the figures mean."""

    rows: "Iterator[Row]"
    pictures: list[Path]
    headings: list[str]
    conditions: dict[str, object]


@with_options
def denoise(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Folder of clean pictures; with --reference, of finished outputs.",
            show_default=False,
        ),
    ],
    network: NetworkOptions,
    *,
    sigma: Annotated[
        str | None,
        typer.Option(metavar="N[,N...]", help="Noise levels to add, of 255.", show_default=_SIGMAS),
    ] = None,
    estimate_sigma: Annotated[
        bool,
        typer.Option(
            "--estimate-sigma",
            help="Give the network the estimated noise level in place of the true one.",
        ),
    ] = False,
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, help="Seed of the noise of the first picture.")
    ] = 0,
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of clean pictures: the pictures in the first folder are compared with "
            "those of the same name here, and no network runs.",
            show_default=False,
        ),
    ] = None,
    gray: Annotated[
        bool, typer.Option("--gray", help="Turn colour pictures into 8-bit luma first.")
    ] = False,
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
    """Measure a denoiser on clean pictures, to which noise is added, or finished outputs.

    Exit codes: 0 all measured; 1 some pictures could not be, the others are; 2 wrong usage.

    \b
    Examples:
      imrestore evaluate denoise kodak24/ --model dncnn-color --sigma 15,25,50
      imrestore evaluate denoise bsd68/ --model dncnn-gray --sigma 25 --json
      imrestore evaluate denoise cbsd68/ --model resunet-gray --gray --estimate-sigma
      imrestore evaluate denoise outputs/ --reference clean/
    """  # noqa: D301 (the escape is Typer's mark for lines to be kept)
    from imrestore.scores import ScoreReport

    if reference is None:
        evaluation = _of_network(
            folder,
            network,
            sigmas=_levels(sigma or _SIGMAS),
            known_sigma=not estimate_sigma,
            seed=seed,
            gray=gray,
            recursive=recursive,
            limit=limit,
        )
    else:
        _refuse_network_options(network, sigma=sigma, estimate_sigma=estimate_sigma)
        evaluation = _of_outputs(folder, reference, gray=gray, recursive=recursive, limit=limit)
    with ScoreReport(
        evaluation.pictures, evaluation.headings, as_json=as_json, quiet=quiet
    ) as report:
        for row in evaluation.rows:
            report.add(row)
        report.finish(evaluation.conditions)
    raise typer.Exit(ExitCode.SOME_FAILED if report.failed else ExitCode.DONE)


def _of_network(
    folder: Path,
    network: NetworkOptions,
    *,
    sigmas: list[float],
    known_sigma: bool,
    seed: int,
    gray: bool,
    recursive: bool,
    limit: int | None,
) -> _Evaluation:
    from restore.engine.inputs import pictures_in
    from restore.tasks.denoise import Denoiser
    from restore.tasks.evaluate import PROTOCOL, evaluate_denoiser

    paths = pictures_in(folder, recursive=recursive)[:limit]
    denoiser = Denoiser(
        network.model, device=network.device, precision=network.precision, tile=network.tile
    )
    results = evaluate_denoiser(
        denoiser, paths, sigmas, seed=seed, known_sigma=known_sigma, gray=gray
    )
    return _Evaluation(
        rows=_rows(results),
        pictures=paths,
        headings=[f"sigma {sigma:g}" for sigma in sigmas],
        conditions={
            "seed": seed,
            "sigma_known": known_sigma,
            "gray": gray,
            "protocol": PROTOCOL,
        },
    )


def _of_outputs(
    folder: Path, reference: Path, *, gray: bool, recursive: bool, limit: int | None
) -> _Evaluation:
    from restore.engine.inputs import pictures_in
    from restore.tasks.evaluate import OUTPUT_PROTOCOL, score_outputs

    results = score_outputs(folder, reference, recursive=recursive, gray=gray)
    return _Evaluation(
        rows=islice(_rows(results), limit),
        pictures=pictures_in(folder, recursive=recursive)[:limit],
        headings=["outputs"],
        conditions={"gray": gray, "protocol": OUTPUT_PROTOCOL},
    )


def _rows(results: "Iterator[Score | OutputScore | Failure]") -> "Iterator[Row]":
    """Gather the scores of each picture."""
    from imrestore.scores import Row
    from restore.tasks.evaluate import Failure, Score

    for path, group in groupby(results, key=lambda result: result.path):
        scores: list[dict[str, float]] = []
        run: dict[str, str] = {}
        error = None
        for result in group:
            if isinstance(result, Failure):
                error = result.reason
            elif isinstance(result, Score):
                scores.append(
                    {
                        "sigma": result.sigma,
                        "sigma_given": float(result.record["sigma"]),
                        "psnr_noisy": result.psnr_noisy,
                        "psnr": result.psnr,
                        "ssim": result.ssim,
                        "seconds": result.seconds,
                    }
                )
                run = {key: str(result.record[key]) for key in ("model", "device", "precision")}
            else:
                scores.append({"psnr": result.psnr, "ssim": result.ssim})
        yield Row(path=path, scores=scores, error=error, run=run)


def _levels(text: str) -> list[float]:
    from restore.errors import UsageError

    try:
        levels = [float(part) for part in text.split(",")]
    except ValueError:
        levels = []
    if not levels or not all(0 <= level <= 255 for level in levels):
        raise UsageError(f"--sigma {text}: give noise levels from 0 to 255, as in {_SIGMAS}")
    return list(dict.fromkeys(levels))


def _refuse_network_options(
    network: NetworkOptions, *, sigma: str | None, estimate_sigma: bool
) -> None:
    from restore.errors import UsageError

    if network != NetworkOptions() or sigma is not None or estimate_sigma:
        raise UsageError(
            "--reference compares finished outputs: no network runs and no noise is added, so "
            "leave out the options for them"
        )
