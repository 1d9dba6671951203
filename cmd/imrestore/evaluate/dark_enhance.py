"""`imrestore evaluate dark-enhance`: how good a learned image signal processor is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imrestore.checks import without_effect
from imrestore.evaluate.scores import (
    ScoreOptions,
    Scores,
    number_list,
    report_scores,
    scored_pictures,
)
from imrestore.expansion import with_decoding_options, with_options
from imrestore.options import NetworkOptions
from restore.checks import LARGEST_SEED

if TYPE_CHECKING:
    from restore.dark.evaluate import Exposure
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
            show_default="1,10,100,250,300",
        ),
    ] = None,
    iso: Annotated[
        str | None,
        typer.Option(
            metavar="N[,N...]",
            help="ISO speeds, from 100 to 25600: pictures that are not dark, with the noise of "
            "usual cameras. Without --ratio, only these are measured.",
            show_default=False,
        ),
    ] = None,
    camera: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json",
            help="The noise of this camera, as `imrestore noise-profile` measured it.",
            show_default=False,
        ),
    ] = None,
    sensor: Annotated[
        str | None,
        typer.Option(
            metavar="bayer|x-trans",
            help="Measure on one kind of sensor only.",
            show_default="all that the network is for",
        ),
    ] = None,
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

    A table has the means for every sensor, darkness and speed; --json has every picture.
    The network is compared with LibRaw's demosaicking at the same gain and, where OpenCV is
    installed (pip install '.[compare]'), with the same followed by non-local means.

    Exit codes: 0 all measured; 1 some pictures could not be, the others are; 2 wrong usage.

    \b
    Examples:
      imrestore evaluate dark-enhance kodak24/
      imrestore evaluate dark-enhance kodak24/ --model night.safetensors --ratio 100,250 --json
      imrestore evaluate dark-enhance kodak24/ --iso 100,400,1600,6400,25600 --sensor x-trans
      imrestore evaluate dark-enhance --pairs SID/Sony_test_list.txt --model sony.safetensors
    """  # noqa: D301 (the escape is Typer's mark for lines to be kept)
    from restore.dark.runner import DarkEnhancer
    from restore.errors import UsageError

    if (folder is None) == (pairs is None):
        raise UsageError("give a folder of clean pictures, or --pairs with a list, not both")
    why = pairs is not None and "pairs are measured as they were captured"
    without_effect(
        ratio=ratio is not None and why,
        iso=iso is not None and why,
        sensor=sensor is not None and why,
        seed=seed is not None and why,
        camera=camera is not None and why,
    )
    ratios, speeds = _ratios(ratio, iso), _speeds(iso)
    enhancer = DarkEnhancer(network.model, **network.placement)
    if folder is not None:
        exposures = _exposures(ratios, speeds, _periods(sensor, enhancer))
        scores = _on_clean(enhancer, folder, exposures, seed or 0, options, camera)
    elif pairs is not None:
        scores = _on_pairs(enhancer, pairs, options)
    report_scores(scores, options)


def _on_clean(
    enhancer: "DarkEnhancer",
    folder: Path,
    exposures: "list[Exposure]",
    seed: int,
    options: ScoreOptions,
    camera: Path | None,
) -> Scores:
    from restore.dark.evaluate import (
        NON_LOCAL_MEANS,
        PROTOCOL,
        evaluate_dark_enhancer,
        methods,
    )
    from restore.noise.measured_camera import read_camera

    taken_by = None if camera is None else read_camera(camera)
    paths = options.pictures_in(folder)
    scores = evaluate_dark_enhancer(enhancer, paths, exposures, seed=seed, camera=taken_by)
    has_all = NON_LOCAL_MEANS in methods()
    return Scores(
        scored=scored_pictures(scores),
        pictures=paths,
        headings=methods(),
        rows=[exposure.name for exposure in exposures],
        conditions={
            "seed": seed,
            **({"camera": taken_by.name} if taken_by else {}),
            "protocol": PROTOCOL,
        },
        remark="" if has_all else "no non-local means to compare with: OpenCV is not installed",
    )


def _on_pairs(enhancer: "DarkEnhancer", list_path: Path, options: ScoreOptions) -> Scores:
    from restore.dark.data import read_pairs
    from restore.dark.evaluate import PAIRS_PROTOCOL, evaluate_pairs

    pairs = read_pairs(list_path)[: options.limit]
    return Scores(
        scored=scored_pictures(evaluate_pairs(enhancer, pairs)),
        pictures=[pair.short for pair in pairs],
        headings=["network"],
        conditions={"protocol": PAIRS_PROTOCOL},
    )


def _exposures(
    ratios: list[float], speeds: list[float], periods: tuple[int, ...]
) -> "list[Exposure]":
    from restore.dark.evaluate import Exposure

    return [
        *(Exposure(side=side, ratio=ratio) for side in periods for ratio in ratios),
        *(Exposure(side=side, iso=speed) for side in periods for speed in speeds),
    ]


_PERIODS = {"bayer": 2, "x-trans": 6}


def _periods(sensor: str | None, enhancer: "DarkEnhancer") -> tuple[int, ...]:
    from restore.errors import UsageError

    if sensor is None:
        return enhancer.periods
    if sensor not in _PERIODS:
        raise UsageError(f"--sensor {sensor}: use {' or '.join(_PERIODS)}")
    return (_PERIODS[sensor],)


def _ratios(text: str | None, speeds: str | None) -> list[float]:
    if text is None and speeds is not None:
        return []
    text = "1,10,100,250,300" if text is None else text
    advice = f"--ratio {text}: give numbers from 1 to 10000, as in 100,250,300"
    return number_list(text, low=1, high=10_000, advice=advice)


def _speeds(text: str | None) -> list[float]:
    advice = f"--iso {text}: give numbers from 100 to 25600, as in 100,1600,25600"
    return [] if text is None else number_list(text, low=100, high=25_600, advice=advice)
