"""`imrestore evaluate dark-enhance`: how good a learned image signal processor is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imrestore.evaluate.scores import (
    ScoreOptions,
    Scores,
    number_list,
    report_scores,
    scored_pictures,
)
from imrestore.expansion import with_decoding_options, with_options
from imrestore.options import NetworkOptions, without_effect
from restore.checks import LARGEST_SEED

if TYPE_CHECKING:
    from restore.dark.evaluate import DarkScore, PairScore
    from restore.dark.runner import DarkEnhancer

__all__ = ["dark_enhance"]


@with_decoding_options
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
        str | None,
        typer.Option(
            metavar="N[,N...]",
            help="Factors by which the pictures are darkened.",
            show_default="100,250,300",
        ),
    ] = None,
    xtrans: Annotated[
        bool, typer.Option("--xtrans", help="Measure on X-Trans sensors instead of Bayer ones.")
    ] = False,
    seed: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            max=LARGEST_SEED,
            help="Seed of camera and noise of the first picture.",
            show_default="0",
        ),
    ] = None,
    options: ScoreOptions,
) -> None:
    """Measure on clean pictures, turned into dark RAW files of a camera that training never saw.

    The network is compared with LibRaw's demosaicking at the same gain and, where OpenCV is
    installed (pip install '.[compare]'), with the same followed by non-local means.

    Exit codes: 0 all measured; 1 some pictures could not be, the others are; 2 wrong usage.

    \b
    Examples:
      imrestore evaluate dark-enhance kodak24/
      imrestore evaluate dark-enhance kodak24/ --model night.safetensors --ratio 100,250 --json
      imrestore evaluate dark-enhance kodak24/ --xtrans
      imrestore evaluate dark-enhance --pairs SID/Sony_test_list.txt --model sony.safetensors
    """  # noqa: D301 (the escape is Typer's mark for lines to be kept)
    from restore.dark.runner import DarkEnhancer
    from restore.errors import UsageError

    if (folder is None) == (pairs is None):
        raise UsageError("give a folder of clean pictures, or --pairs with a list, not both")
    why = pairs is not None and "pairs are measured as they were captured"
    without_effect(
        ratio=ratio is not None and why, xtrans=xtrans and why, seed=seed is not None and why
    )
    ratios = _ratios("100,250,300" if ratio is None else ratio)
    enhancer = DarkEnhancer(
        network.model, device=network.device, precision=network.precision, tile=network.tile
    )
    if folder is not None:
        scores = _on_clean(enhancer, folder, ratios, seed or 0, options, xtrans=xtrans)
    elif pairs is not None:
        scores = _on_pairs(enhancer, pairs, options)
    report_scores(scores, options)


def _on_clean(
    enhancer: "DarkEnhancer",
    folder: Path,
    ratios: list[float],
    seed: int,
    options: ScoreOptions,
    *,
    xtrans: bool,
) -> Scores:
    from restore.dark.evaluate import (
        NON_LOCAL_MEANS,
        PROTOCOL,
        evaluate_dark_enhancer,
        methods,
    )

    paths = options.pictures_in(folder)
    scores = evaluate_dark_enhancer(enhancer, paths, ratios, seed=seed, xtrans=xtrans)
    has_all = NON_LOCAL_MEANS in methods()
    return Scores(
        scored=scored_pictures(scores, _figures),
        pictures=paths,
        headings=[f"x{number:g} {method}" for number in ratios for method in methods()],
        conditions={"seed": seed, "xtrans": xtrans, "protocol": PROTOCOL},
        remark="" if has_all else "no non-local means to compare with: OpenCV is not installed",
    )


def _on_pairs(enhancer: "DarkEnhancer", list_path: Path, options: ScoreOptions) -> Scores:
    from restore.dark.data import read_pairs
    from restore.dark.evaluate import PAIRS_PROTOCOL, evaluate_pairs

    pairs = read_pairs(list_path)[: options.limit]
    return Scores(
        scored=scored_pictures(evaluate_pairs(enhancer, pairs), _figures),
        pictures=[pair.short for pair in pairs],
        headings=["network"],
        conditions={"protocol": PAIRS_PROTOCOL},
    )


def _figures(score: "DarkScore | PairScore") -> dict[str, float | str]:
    return {
        "method": getattr(score, "method", "network"),
        "ratio": score.ratio,
        "psnr": score.psnr,
        "ssim": score.ssim,
        "seconds": score.seconds,
    }


def _ratios(text: str) -> list[float]:
    advice = f"--ratio {text}: give numbers from 1 to 10000, as in 100,250,300"
    return number_list(text, low=1, high=10_000, advice=advice)
