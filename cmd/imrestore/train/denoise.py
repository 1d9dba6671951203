"""`imrestore train denoise`: a denoiser from clean pictures, or from pairs."""

from pathlib import Path
from typing import Annotated

import typer

from imrestore.checks import without_effect
from imrestore.expansion import with_decoding_options, with_options
from imrestore.options import complete
from imrestore.train.denoise_variants import train_error, train_noisy, train_raw
from imrestore.train.options import TrainingOptions, layer_widths, number_range
from imrestore.train.supervision import train_supervised

__all__ = ["denoise"]


@with_decoding_options
@with_options
def denoise(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="DIR", help="Folders (trees) of clean pictures.", show_default=False
        ),
    ] = None,
    *,
    training: TrainingOptions,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw",
            help="Train for the mosaics of RAW files: the pictures are turned into those of random "
            "cameras of every filter, from ISO 100 to 25600.",
        ),
    ] = False,
    camera: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json",
            help="With --raw: the noise of this camera, as `imrestore noise-profile` measured it, "
            "in place of random ones.",
            show_default=False,
        ),
    ] = None,
    pairs: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="NOISY CLEAN",
            help="Train on two folders with the same file names instead of adding noise to DIR.",
            show_default=False,
        ),
    ] = None,
    noisy: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="Train on noisy pictures alone, without clean ones: of one kind, gray or colour, "
            "8 or 16 bits or floating point. May be given several times.",
            show_default=False,
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            metavar="auto|downscaled|neighbours|blind-spot|bursts",
            help="How --noisy learns: auto takes bursts where folders hold several frames of one "
            "scene, else downscaled; where noise cannot be measured or is unlike Gaussian noise, "
            "neighbours if it is white and blind-spot if it is correlated.",
            show_default="auto",
        ),
    ] = None,
    pair_names: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="NOISY CLEAN",
            help="Names of --pairs without suffix, with {} for what both have in common, as in "
            "'{}_NOISY' '{}_GT'; / stands for a folder. Both folders may be the same.",
            show_default="{} {}",
        ),
    ] = None,
    validation: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder (tree) of pictures to validate on, at most eight; for --pairs, one with "
            "the folders noisy and clean in it, or with the names of --pair-names.",
            show_default="some of the pictures, which are not trained on",
        ),
    ] = None,
    split: Annotated[
        str,
        typer.Option(
            metavar="picture|folder",
            help="What is held out for validation: pictures, or whole folders, each a scene.",
            autocompletion=complete("picture", "folder"),
        ),
    ] = "picture",
    noise: Annotated[
        list[str] | None,
        typer.Option(
            metavar="awgn|camera|grain|impulse|speckle|stripes|drawn|jpeg:Q",
            help="Noise to add: white Gaussian of a level in --sigma; a camera's, from its sensor "
            "through demosaicking and development to JPEG; the grain of film and scans; "
            "impulses, such as hot pixels; speckle, which multiplies; stripes along rows or "
            "columns; drawn text, patterns and stars, most of them clean; JPEG of quality Q or "
            "LOW-HIGH. Give it several times to mix.",
            show_default="awgn",
        ),
    ] = None,
    sigma: Annotated[
        str | None,
        typer.Option(
            metavar="LOW:HIGH", help="Range of noise levels of awgn, of 255.", show_default="0:55"
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="dncnn|resunet|ffdnet|drunet",
            help="Network; an ffdnet or drunet only with --from.",
            show_default="resunet, or that of --from",
        ),
    ] = None,
    gray: Annotated[
        bool | None,
        typer.Option(
            "--gray/--color",
            help="Train for gray or for colour pictures.",
            show_default="color; an ffdnet or drunet as in --from",
        ),
    ] = None,
    depth: Annotated[
        int | None,
        typer.Option(help="Layers of a DnCNN.", show_default="20, or as in --from"),
    ] = None,
    width: Annotated[
        str | None,
        typer.Option(
            metavar="N[,N...]",
            help="Feature channels: one number for a DnCNN (64), one per level for a ResUNet "
            "(32,64,128,128).",
            show_default=False,
        ),
    ] = None,
    batch_norm: Annotated[
        bool, typer.Option("--batch-norm", help="Train a DnCNN with batch normalisation.")
    ] = False,
    blind: Annotated[
        bool, typer.Option("--blind", help="Train a ResUNet without the noise level as an input.")
    ] = False,
    start_from: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="NAME|FILE",
            help="Start from these weights, converted ones too; a shallower DnCNN grows to "
            "--depth, and --raw takes the levels of a ResUNet.",
            show_default=False,
        ),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Distil these weights: learn their results instead of the clean pictures.",
            show_default=False,
        ),
    ] = None,
    error_of: Annotated[
        list[str] | None,
        typer.Option(
            "--error-of",
            metavar="NAME|FILE",
            help="Train no denoiser, but the network of --error-map, on the errors that this one "
            "makes; DIR has clean pictures in colour. With --from and --steps 0, only calibrate "
            "those weights anew. May be given several times.",
            show_default=False,
        ),
    ] = None,
    patch: Annotated[
        int | None,
        typer.Option(
            metavar="PX",
            help="Side of the crops (dncnn, ffdnet: 48, others: 64, --noisy: 96, --raw and "
            "--error-of: 128).",
            show_default=False,
        ),
    ] = None,
    loss: Annotated[str, typer.Option(metavar="l1|l2|psnr", help="What is minimised.")] = "l1",
) -> None:
    """Train a denoiser: on clean pictures with added noise, on pairs, or on noisy pictures.

    NAME.history.csv and .png beside the output show the progress; NAME.best.safetensors holds the
    best weights so far. A checkpoint is written every two minutes and when the run is stopped
    (Ctrl-C, SIGTERM, SIGHUP, Slurm's SIGUSR1); --resume continues from it. On several GPUs or
    machines, start it with `torchrun --nproc-per-node N -m imrestore train ...`, or give --cluster.

    \b
    Examples:
      imrestore train denoise photos/ -o mine.safetensors --time 2h
      imrestore train denoise photos/ -o mine.safetensors --time 2h --cluster auto --workers 4
      imrestore train denoise photos/ -o gray.safetensors --gray --model dncnn --sigma 25:25
      imrestore train denoise photos/ -o real.safetensors --noise camera --blind --time 8h
      imrestore train denoise --pairs noisy/ clean/ -o camera.safetensors --steps 20000
      imrestore train denoise photos/ -o errors.safetensors --error-of mine.safetensors --time 30m
      imrestore train denoise --noisy stack/ -o microscope.safetensors --time 1h
      imrestore train denoise --pairs SIDD/ SIDD/ --pair-names 'NOISY{}' 'GT{}' -o phone.safetensors --time 8h
      imrestore train denoise photos/ -o mine.safetensors --from converted.safetensors --time 1h
      imrestore train denoise --raw photos/ -o raw.safetensors --from resunet-color --time 8h
      imrestore train denoise --raw photos/ -o mine.safetensors --from raw --camera camera.json --time 20m
    """  # noqa: D301, E501 (the escape is Typer's mark for lines to be kept)
    from restore.denoise.pairs import PairNames
    from restore.denoise.recipe import DenoiseRecipe
    from restore.denoise.train import train_denoiser
    from restore.errors import UsageError
    from restore.training.holding_out import Held
    from restore.weights.file import read_weight_file

    given = {
        "--pairs": pairs is not None,
        "--pair-names": pair_names is not None,
        "--validation": validation is not None,
        "--split": split != "picture",
        "--noise": noise is not None,
        "--sigma": sigma is not None,
        "--model": model is not None,
        "--depth": depth is not None,
        "--batch-norm": batch_norm,
        "--teacher": teacher is not None,
        "--loss": loss != "l1",
    }
    if error_of:
        fixed = {
            **{name: given[name] for name in given if name not in ("--noise", "--sigma")},
            "--raw": raw,
            "--noisy": bool(noisy),
            "--method": method is not None,
            "--gray" if gray else "--color": gray is not None,
            "--blind": blind,
            "--camera": camera is not None,
        }
        train_error(
            folders or [], training, fixed, error_of, noise, sigma, width, patch, start_from
        )
        return
    if raw:
        given |= {"--noisy": bool(noisy), "--method": method is not None}
        given |= {"--gray" if gray else "--color": gray is not None, "--blind": blind}
        train_raw(folders or [], training, given, width, patch, start_from, camera)
        return
    if camera is not None:
        raise UsageError("--camera is for --raw; --noise camera takes random cameras")
    if noisy:
        if folders:
            raise UsageError("give folders of clean pictures, or --noisy with noisy ones, not both")
        train_noisy(
            noisy,
            training,
            given,
            method or "auto",
            width,
            patch,
            start_from,
            gray=gray,
            blind=blind,
        )
        return
    if method is not None:
        raise UsageError("--method is for --noisy DIR, training on noisy pictures alone")
    kinds = noise or ["awgn"]
    start = None if start_from is None else read_weight_file(start_from)
    of_network = {
        "model": model,
        "channels": None if gray is None else 1 if gray else 3,
        "depth": depth,
        "patch": patch,
    }
    recipe = DenoiseRecipe.filled(
        {
            **{name: value for name, value in of_network.items() if value is not None},
            "widths": layer_widths(width, "32,64,128,128"),
            "batch_norm": batch_norm,
            "blind": blind,
            "noise": kinds,
            "sigma": number_range("--sigma", "0:55" if sigma is None else sigma, "0:55"),
            "loss": loss,
            **training.schedule_values(),
        },
        start,
    )
    model = recipe.model
    is_fixed = model in ("ffdnet", "drunet")
    if not training.resume:  # the checkpoint has options that passed this check
        without_effect(
            depth=depth is not None and model != "dncnn" and "only a DnCNN has one; give --width",
            batch_norm=batch_norm and model != "dncnn" and "only a DnCNN can have it",
            blind=blind and model != "resunet" and "only for a ResUNet is there a choice",
            width=width is not None and is_fixed and "it is that of --from",
            pair_names=pair_names and not pairs and "only --pairs have names",
            noise=noise and pairs and "pairs have their own",
            sigma=sigma and (pairs or "awgn" not in kinds) and "it is the level of --noise awgn",
        )
    held = Held.of(validation, split)
    train_supervised(
        training,
        recipe,
        lambda **supervision: train_denoiser(
            recipe,
            training.output,
            clean=folders or [],
            pairs=pairs,
            pair_names=None if pair_names is None else PairNames(*pair_names),
            held=held,
            start_from=start_from,
            teacher=teacher,
            **supervision,
        ),
    )
