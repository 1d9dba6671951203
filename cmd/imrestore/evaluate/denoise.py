"""`imrestore evaluate denoise`: how good denoisers, or a folder of finished outputs, are."""

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from imrestore.checks import without_effect
from imrestore.evaluate.contenders import ContenderOptions
from imrestore.evaluate.coverage import report_coverage
from imrestore.evaluate.denoised import Kept, of_networks
from imrestore.evaluate.denoised_mosaics import SPEEDS, of_mosaics, refuse_beside_raw, speeds
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

__all__ = ["denoise"]

_SIGMAS = "15,25,50"
_COVERAGE_SIGMAS = "10,25,50"


@with_decoding_options
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
    network: ContenderOptions,
    *,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw",
            help="Turn the pictures into RAW files of a camera that training never saw, and "
            "measure how they develop when their mosaic is denoised first.",
        ),
    ] = False,
    iso: Annotated[
        str | None,
        typer.Option(
            metavar="N[,N...]",
            help="ISO speeds of the RAW files.",
            show_default=SPEEDS,
        ),
    ] = None,
    camera: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json",
            help="With --raw: the noise of this camera, as `imrestore noise-profile` measured it.",
            show_default=False,
        ),
    ] = None,
    xtrans: Annotated[
        bool, typer.Option("--xtrans", help="RAW files of X-Trans sensors instead of Bayer ones.")
    ] = False,
    sigma: Annotated[
        str | None,
        typer.Option(
            metavar="N[,N...]",
            help="Noise levels to add, where white is 255.",
            show_default=_SIGMAS,
        ),
    ] = None,
    jpeg: Annotated[
        str | None,
        typer.Option(
            metavar="Q[,Q...]",
            help="Compress as JPEG of these qualities instead of adding noise.",
            show_default=False,
        ),
    ] = None,
    noisy: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of noisy pictures with the same names, instead of added noise.",
            show_default=False,
        ),
    ] = None,
    estimate_sigma: Annotated[
        bool,
        typer.Option(
            "--estimate-sigma",
            help="Give the network the estimated noise level (with --raw, profile) in place of the "
            "true one.",
        ),
    ] = False,
    seed: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, max=LARGEST_SEED, help="Seed of the noise of the first picture."
        ),
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
    coverage: Annotated[
        bool,
        typer.Option(
            "--coverage",
            help="Measure error maps in place of results: which share of the errors lies below the "
            "bound of 90 %, by texture, for white noise of --sigma (10,25,50) and for that of "
            "cameras and grain; and the expected PSNR, beside Stein's estimate of it.",
        ),
    ] = False,
    gray: Annotated[
        bool, typer.Option("--gray", help="Turn colour pictures into 8-bit luma first.")
    ] = False,
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="lpips,dists,niqe",
            help="Measure these, too: needs the package pyiqa, or piq for the first two, and their "
            "weights on this machine; nothing is downloaded.",
            show_default=False,
        ),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keep what was restored as PNG of 16 bits, in a folder for each condition.",
            show_default=False,
        ),
    ] = None,
    options: ScoreOptions,
) -> None:
    """Measure a denoiser on clean pictures with added noise or on pairs, or finished outputs.

    Several networks are compared in one table, on the same noise, with a row for each; --json has
    every picture.

    With --raw, mosaics are denoised and developed by LibRaw; beside that stand the files developed
    untouched, and developed and then denoised as finished pictures.

    Exit codes: 0 all measured; 1 some pictures could not be, the others are; 2 wrong usage.

    \b
    Examples:
      imrestore evaluate denoise kodak24/ --model dncnn-color --sigma 15,25,50
      imrestore evaluate denoise bsd68/ --model dncnn-gray --sigma 25 --json
      imrestore evaluate denoise cbsd68/ --model resunet-gray --gray --estimate-sigma
      imrestore evaluate denoise classic5/ --model jpeg --jpeg 10,20,30,40
      imrestore evaluate denoise polyu/clean/ --noisy polyu/noisy/
      imrestore evaluate denoise kodak24/ --model nafnet_sidd.pth --save restored/
      imrestore evaluate denoise kodak24/ --model resunet-color --model nafnet_sidd.pth --sigma 25
      imrestore evaluate denoise kodak24/ --coverage
      imrestore evaluate denoise outputs/ --reference clean/
      imrestore evaluate denoise --raw kodak24/ --iso 100,6400 --xtrans
    """  # noqa: D301 (the escape is Typer's mark for lines to be kept)
    without_effect(
        iso=iso is not None and not raw and "--raw alone has ISO speeds",
        save=save is not None and reference is not None and "the outputs are there already",
        metrics=metrics is not None and reference is not None and "a network has to run for them",
        xtrans=xtrans and not raw and "--raw alone has sensors",
        camera=camera is not None and not raw and "--raw alone has cameras",
    )
    given = {"--sigma": sigma, "--jpeg": jpeg, "--noisy": noisy}
    if coverage:
        others = {"--jpeg": jpeg, "--noisy": noisy, "--reference": reference, "--raw": raw or None}
        _refuse_beside_coverage({**others, "--metrics": metrics, "--save": save})
        report_coverage(
            folder,
            _only(network.each),
            _levels(sigma or _COVERAGE_SIGMAS, least=1),
            seed,
            options,
            gray=gray,
            known=not estimate_sigma,
        )
    if raw:
        others = {"--metrics": metrics, "--save": save}
        refuse_beside_raw({**given, "--reference": reference, "--gray": gray or None, **others})
        scores = of_mosaics(
            folder,
            network,
            speeds(iso),
            seed,
            options,
            side=6 if xtrans else 2,
            known=not estimate_sigma,
            camera=camera,
        )
        report_scores(scores, options)
    _refuse_contradictions(network, reference, given, estimate_sigma=estimate_sigma)
    if reference is not None:
        scores = _of_outputs(folder, reference, options, gray=gray)
    else:
        from restore.denoise.trials import Trials

        if noisy is not None:
            trials = Trials.captured(folder, noisy, recursive=options.recursive, gray=gray)
        elif jpeg is not None:
            trials = Trials.compressed(_qualities(jpeg))
        else:
            trials = Trials.gaussian(_levels(sigma or _SIGMAS), seed=seed, known=not estimate_sigma)
        kept = None if save is None else Kept(folder, save)
        scores = of_networks(folder, network, trials, options, gray=gray, names=metrics, kept=kept)
    report_scores(scores, options)


def _of_outputs(folder: Path, reference: Path, options: ScoreOptions, *, gray: bool) -> Scores:
    from restore.denoise.evaluate import OUTPUT_PROTOCOL, score_outputs

    results = score_outputs(folder, reference, recursive=options.recursive, gray=gray)
    return Scores(
        scored=islice(scored_pictures(results), options.limit),
        pictures=options.pictures_in(folder),
        headings=["outputs"],
        conditions={"gray": gray, "protocol": OUTPUT_PROTOCOL},
    )


def _qualities(text: str) -> list[int]:
    from restore.errors import UsageError

    parts = text.split(",")
    if not all(part.isdecimal() and len(part) <= 3 and 1 <= int(part) <= 100 for part in parts):
        raise UsageError(f"--jpeg {text}: give qualities from 1 to 100, as in 10,20,30,40")
    return list(dict.fromkeys(map(int, parts)))


def _only(networks: Sequence[NetworkOptions]) -> NetworkOptions:
    from restore.errors import UsageError

    if len(networks) > 1:
        raise UsageError("--coverage measures one network; give --model once")
    return networks[0]


def _refuse_beside_coverage(given: Mapping[str, object]) -> None:
    from restore.errors import UsageError

    for option in (option for option, value in given.items() if value is not None):
        raise UsageError(f"{option} is not for --coverage, which adds noise of its own")


def _levels(text: str, *, least: int = 0) -> list[float]:
    advice = f"--sigma {text}: give noise levels from {least} to 255, as in {_SIGMAS}"
    return number_list(text, low=least, high=255, advice=advice)


def _refuse_contradictions(
    network: ContenderOptions,
    reference: Path | None,
    given: Mapping[str, object],
    *,
    estimate_sigma: bool,
) -> None:
    from restore.errors import UsageError

    degrading = [option for option, value in given.items() if value is not None]
    if reference is not None and (network != ContenderOptions() or degrading or estimate_sigma):
        raise UsageError(
            "--reference compares finished outputs: no network runs and no noise is added, so "
            "leave out the options for them"
        )
    if len(degrading) > 1:
        raise UsageError(f"{' and '.join(degrading)} contradict each other")
