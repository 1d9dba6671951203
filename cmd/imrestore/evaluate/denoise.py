"""`imrestore evaluate denoise`: how good denoisers, or a folder of finished outputs, are."""

from pathlib import Path
from typing import Annotated

import typer

from imrestore.checks import without_effect
from imrestore.evaluate.contenders import ContenderOptions
from imrestore.evaluate.coverage import report_coverage
from imrestore.evaluate.scores import ScoreOptions, number_list, report_scores
from imrestore.expansion import with_decoding_options, with_options
from restore.checks import LARGEST_SEED

__all__ = ["denoise"]

_SIGMAS = "15,25,50"
_SPEEDS = "100,800,6400,25600"


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
            show_default=_SPEEDS,
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
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            max=LARGEST_SEED,
            help="Seed of the noise of the first picture.",
            show_default="0",
        ),
    ] = None,
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
            help="Keep what was restored as PNG of 16 bits, in a folder for each condition; "
            "nothing is replaced.",
            show_default=False,
        ),
    ] = None,
    options: ScoreOptions,
) -> None:
    """Measure a denoiser on clean pictures with added noise or on pairs, or finished outputs.

    Several networks are compared in one table, on the same noise, with a row for each, also with
    --coverage; --json has every picture.

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
        xtrans=xtrans and not raw and "--raw alone has sensors",
        camera=camera is not None and not raw and "--raw alone has cameras",
    )
    from restore.engine.placement import Placement

    source, place = options.source(folder), Placement(**network.placement)
    if raw:
        from restore.api.evaluations.measurement import refuse_beside
        from restore.api.evaluations.mosaic import denoise_raw

        finished: dict[str, object] = {"sigma": sigma, "jpeg": jpeg, "noisy": noisy, "gray": gray}
        finished |= {"reference": reference, "metrics": metrics, "save": save}
        finished["coverage"] = coverage
        refuse_beside("raw", finished, "whose files have the noise of a sensor")
        measurement = denoise_raw(
            source,
            network.models,
            place,
            iso=number_list("iso", iso),
            xtrans=xtrans,
            camera=camera,
            estimate_sigma=estimate_sigma,
            seed=0 if seed is None else seed,
        )
    else:
        from restore.api.evaluations.denoise import denoise as of_pictures

        measurement = of_pictures(
            source,
            network.models,
            place,
            sigma=number_list("sigma", sigma),
            jpeg=number_list("jpeg", jpeg),
            noisy=noisy,
            reference=reference,
            coverage=coverage,
            metrics=metrics,
            save=save,
            gray=gray,
            estimate_sigma=estimate_sigma,
            seed=seed,
        )
    if coverage:
        report_coverage(measurement, options)
    report_scores(measurement, options)
