"""`imrestore evaluate denoise`: how good a denoiser, or a folder of finished outputs, is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

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
    from restore.denoise.evaluate import Distortion, OutputScore, Score
    from restore.image.picture import Picture
    from restore.mosaic.evaluate import MosaicScore

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
    network: NetworkOptions,
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
    if raw:
        others = {"--metrics": metrics, "--save": save}
        _refuse_beside_raw({**given, "--reference": reference, "--gray": gray or None, **others})
        scores = _of_mosaics(
            folder,
            network,
            _speeds(iso or _SPEEDS),
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
        if noisy is not None:
            trials = _captured(folder, noisy, recursive=options.recursive, gray=gray)
        elif jpeg is not None:
            trials = _compressed(jpeg)
        else:
            trials = _gaussian(_levels(sigma or _SIGMAS), seed, known=not estimate_sigma)
        kept = None if save is None else _Kept(folder, save)
        scores = _of_network(folder, network, trials, options, gray=gray, names=metrics, kept=kept)
    report_scores(scores, options)


@dataclass(frozen=True, kw_only=True)
class _Trials:
    """The ways in which pictures are degraded, a heading for each, and what the figures mean."""

    trials: Sequence["Distortion"]
    headings: list[str]
    conditions: dict[str, object]
    told: float | Literal["auto"] = "auto"


def _gaussian(sigmas: list[float], seed: int, *, known: bool) -> _Trials:
    from restore.denoise.evaluate import GAUSSIAN_PROTOCOL, GaussianNoise

    return _Trials(
        trials=[GaussianNoise(sigma=sigma, seed=seed, known=known) for sigma in sigmas],
        headings=[f"sigma {sigma:g}" for sigma in sigmas],
        conditions={"seed": seed, "sigma_known": known, "protocol": GAUSSIAN_PROTOCOL},
        told=sigmas[0] if known else "auto",
    )


def _compressed(text: str) -> _Trials:
    from restore.denoise.evaluate import JPEG_PROTOCOL, JpegCompression
    from restore.errors import UsageError

    parts = text.split(",")
    if not all(part.isdecimal() and len(part) <= 3 and 1 <= int(part) <= 100 for part in parts):
        raise UsageError(f"--jpeg {text}: give qualities from 1 to 100, as in 10,20,30,40")
    qualities = list(dict.fromkeys(map(int, parts)))
    return _Trials(
        trials=[JpegCompression(quality) for quality in qualities],
        headings=[f"quality {quality}" for quality in qualities],
        conditions={"protocol": JPEG_PROTOCOL},
    )


def _captured(folder: Path, noisy: Path, *, recursive: bool, gray: bool) -> _Trials:
    from restore.denoise.evaluate import CAPTURED_PROTOCOL, CapturedNoise

    return _Trials(
        trials=[CapturedNoise(folder, noisy, recursive=recursive, gray=gray)],
        headings=["as captured"],
        conditions={"protocol": CAPTURED_PROTOCOL},
    )


def _of_network(
    folder: Path,
    network: NetworkOptions,
    trials: _Trials,
    options: ScoreOptions,
    *,
    gray: bool,
    names: str | None,
    kept: "_Kept | None",
) -> Scores:
    from restore.denoise.evaluate import evaluate_denoiser
    from restore.denoise.perceptual import Perceptual
    from restore.denoise.runner import Denoiser

    paths = options.pictures_in(folder)
    measure = None if names is None else Perceptual(names.split(","))
    denoiser = Denoiser(
        network.model,
        device=network.device,
        precision=network.precision,
        tile=network.tile,
        sigma=trials.told,
    )
    return Scores(
        scored=scored_pictures(
            evaluate_denoiser(
                denoiser,
                paths,
                trials.trials,
                gray=gray,
                measure=measure,
                save=kept or (lambda *_: None),
            ),
            _figures,
        ),
        pictures=paths,
        headings=trials.headings,
        conditions={"gray": gray, **trials.conditions},
    )


def _of_mosaics(
    folder: Path,
    network: NetworkOptions,
    speeds: list[float],
    seed: int,
    options: ScoreOptions,
    *,
    side: int,
    known: bool,
    camera: Path | None,
) -> Scores:
    from restore.denoise.runner import Denoiser
    from restore.image.picture import Picture
    from restore.mosaic.evaluate import METHODS, PROTOCOL, evaluate_mosaic_denoiser
    from restore.mosaic.runner import MosaicDenoiser
    from restore.noise.measured_camera import read_camera

    taken_by = None if camera is None else read_camera(camera)
    paths = options.pictures_in(folder)
    denoiser = MosaicDenoiser(
        network.model, device=network.device, precision=network.precision, tile=network.tile
    )
    finished = Denoiser(device=network.device, tile=network.tile)
    results = evaluate_mosaic_denoiser(
        denoiser,
        lambda pixels: finished(Picture(pixels=pixels)).picture.pixels,
        paths,
        speeds,
        seed=seed,
        side=side,
        known=known,
        camera=taken_by,
    )
    return Scores(
        scored=scored_pictures(results, _mosaic_figures),
        pictures=paths,
        headings=METHODS,
        rows=[f"ISO {speed:g}" for speed in speeds],
        conditions={
            "seed": seed,
            "sensor": "X-Trans" if side == 6 else "Bayer",
            "profile_known": known,
            **({"camera": taken_by.name} if taken_by else {}),
            "protocol": PROTOCOL,
        },
    )


def _of_outputs(folder: Path, reference: Path, options: ScoreOptions, *, gray: bool) -> Scores:
    from restore.denoise.evaluate import OUTPUT_PROTOCOL, score_outputs

    results = score_outputs(folder, reference, recursive=options.recursive, gray=gray)
    return Scores(
        scored=islice(scored_pictures(results, _output_figures), options.limit),
        pictures=options.pictures_in(folder),
        headings=["outputs"],
        conditions={"gray": gray, "protocol": OUTPUT_PROTOCOL},
    )


def _figures(score: "Score") -> dict[str, float]:
    return {
        **score.condition,
        "sigma_given": float(score.record.get("sigma_told", score.record["sigma"])),
        "psnr_noisy": score.psnr_noisy,
        "psnr": score.psnr,
        "ssim": score.ssim,
        **score.others,
        "seconds": score.seconds,
    }


@dataclass(frozen=True)
class _Kept:
    """Writes what was restored.

    Attributes:
        clean: Folder of the clean pictures.
        folder: Where to write, in the tree of ``clean``.
    """

    clean: Path
    folder: Path

    def __post_init__(self) -> None:
        from restore.errors import UsageError

        if self.folder.resolve() == self.clean.resolve():
            raise UsageError(f"--save {self.folder}: is the folder of the clean pictures")

    def __call__(self, picture: "Picture", path: Path, condition: Mapping[str, float]) -> None:
        from restore.files import write_atomically
        from restore.image.codecs import ImageFormat
        from restore.image.encode import encode

        name = "-".join(f"{key}-{value:g}" for key, value in condition.items()) or "as-captured"
        output = (self.folder / name / path.relative_to(self.clean)).with_suffix(".png")
        output.parent.mkdir(parents=True, exist_ok=True)
        plain = picture.with_pixels(picture.pixels, is_float=False, bit_depth=16)
        write_atomically(output, encode(plain, ImageFormat.PNG), overwrite=True)


def _output_figures(score: "OutputScore") -> dict[str, float]:
    return {"psnr": score.psnr, "ssim": score.ssim}


def _mosaic_figures(score: "MosaicScore") -> dict[str, float | str]:
    of_mosaic = {} if score.psnr_mosaic is None else {"psnr_mosaic": score.psnr_mosaic}
    return {
        "method": score.method,
        "iso": score.iso,
        "psnr": score.psnr,
        "ssim": score.ssim,
        **of_mosaic,
        "seconds": score.seconds,
    }


def _speeds(text: str) -> list[float]:
    advice = f"--iso {text}: give ISO speeds from 100 to 102400, as in {_SPEEDS}"
    return number_list(text, low=100, high=102_400, advice=advice)


def _refuse_beside_raw(given: Mapping[str, object]) -> None:
    from restore.errors import UsageError

    for option in (option for option, value in given.items() if value is not None):
        raise UsageError(f"{option} is not for --raw, whose files have the noise of a sensor")


def _levels(text: str) -> list[float]:
    advice = f"--sigma {text}: give noise levels from 0 to 255, as in {_SIGMAS}"
    return number_list(text, low=0, high=255, advice=advice)


def _refuse_contradictions(
    network: NetworkOptions,
    reference: Path | None,
    given: Mapping[str, object],
    *,
    estimate_sigma: bool,
) -> None:
    from restore.errors import UsageError

    degrading = [option for option, value in given.items() if value is not None]
    if reference is not None and (network != NetworkOptions() or degrading or estimate_sigma):
        raise UsageError(
            "--reference compares finished outputs: no network runs and no noise is added, so "
            "leave out the options for them"
        )
    if len(degrading) > 1:
        raise UsageError(f"{' and '.join(degrading)} contradict each other")
