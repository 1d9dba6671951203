"""`imrestore evaluate denoise --coverage`: whether the bounds of error maps hold."""

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from imrestore.evaluate.scores import ScoreOptions
from imrestore.exits import ExitCode
from imrestore.options import NetworkOptions
from imrestore.output import ProgressBar, json_of, print_line, print_table

if TYPE_CHECKING:
    from restore.denoise.coverage import Coverage

__all__ = ["report_coverage"]

_TEXTURES = ("flat", "edge", "fine", "all")
_HEADINGS = ("noise", "pictures", *_TEXTURES, "PSNR", "expected", "off by", "SURE")


def report_coverage(
    folder: Path,
    network: NetworkOptions,
    sigmas: Sequence[float],
    seed: int,
    options: ScoreOptions,
    *,
    gray: bool,
    known: bool,
) -> NoReturn:
    """Evaluate, print a row for each kind and level of noise, and leave with the exit code.

    Raises:
        typer.Exit: always.
    """
    from restore.denoise.coverage import COVERAGE_PROTOCOL, error_map_scores
    from restore.denoise.runner import Denoiser
    from restore.image.metrics import Failure

    paths = options.pictures_in(folder)
    denoiser = Denoiser(
        network.model,
        **network.placement,
        sigma=sigmas[0] if known else "auto",
    )
    rows: dict[str, list[Coverage]] = {}
    failed = 0
    seen: set[Path] = set()
    with ProgressBar(len(paths), quiet=options.quiet) as report:
        for score in error_map_scores(
            denoiser, paths, sigmas=sigmas, seed=seed, gray=gray, known=known
        ):
            if score.path not in seen:
                seen.add(score.path)
                report.bar.update()
            if isinstance(score, Failure):
                failed += 1
                report.say(score.reason)
                continue
            rows.setdefault(score.noise, []).append(score)
            if options.json:
                print_line(json_of(_record_of(score), digits=4))
    conditions = {"seed": seed, "gray": gray, "sigma_known": known, "protocol": COVERAGE_PROTOCOL}
    order = sorted(rows, key=lambda name: _rank(name, rows[name]))
    if options.json:
        for name in order:
            print_line(json_of({"noise": name, **_mean_of(rows[name])}, digits=4))
        print_line(json_of({"pictures": len(seen) - failed, "failed": failed, **conditions}))
    elif rows:
        cells = [_cells(name, _mean_of(rows[name])) for name in order]
        print_table([_HEADINGS, *cells], "<" + ">" * (len(_HEADINGS) - 1))
        print_line("Percent of pixels whose error is below the bound of 90 %; PSNR in dB")
        for key, value in conditions.items():
            print_line(f"{key.replace('_', ' ')}: {value}")
    raise typer.Exit(ExitCode.SOME_FAILED if failed else ExitCode.DONE)


def _rank(name: str, scores: "Sequence[Coverage]") -> tuple[bool, str, float]:
    """Return the place of a row: white noise first, and weak noise before strong."""
    kind = name.partition(", ")[0]
    return kind != "white", kind, min(score.level for score in scores)


def _record_of(score: "Coverage") -> dict[str, object]:
    return {
        "source": str(score.path),
        "model": score.model,
        "noise": score.noise,
        "level": score.level,
        "psnr": score.psnr,
        "expected_psnr": score.expected,
        "sure_psnr": score.by_sure,
        "coverage": score.tally.coverage,
        "coverage_by_clean": score.by_clean.coverage,
    }


def _mean_of(scores: "Sequence[Coverage]") -> dict[str, object]:
    """Return the figures of a row; coverage is that of all its pixels together."""
    count = len(scores)
    tally = reduce(add, (score.tally for score in scores))
    by_clean = reduce(add, (score.by_clean for score in scores))
    sure = [score.by_sure for score in scores if score.by_sure is not None]
    return {
        "pictures": count,
        "coverage": tally.coverage,
        "coverage_by_clean": by_clean.coverage,
        "psnr": sum(score.psnr for score in scores) / count,
        "expected_psnr": sum(score.expected for score in scores) / count,
        "off_by": sum(abs(score.expected - score.psnr) for score in scores) / count,
        "sure_psnr": sum(sure) / count if sure else None,
    }


def _cells(name: str, mean: Mapping[str, object]) -> list[str]:
    coverage = mean["coverage"]
    assert isinstance(coverage, Mapping)
    shares = [f"{100 * coverage[each]:.1f}" if each in coverage else "-" for each in _TEXTURES]
    sure = mean["sure_psnr"]
    return [
        name,
        str(mean["pictures"]),
        *shares,
        *(f"{mean[key]:.2f}" for key in ("psnr", "expected_psnr", "off_by")),
        f"{sure:.2f}" if sure is not None else "-",
    ]
