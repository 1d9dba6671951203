"""`imrestore train dark-enhance`: a learned image signal processor from clean pictures."""

from pathlib import Path
from typing import Annotated

import typer

from imrestore.checks import without_effect
from imrestore.expansion import with_decoding_options, with_options
from imrestore.train.options import TrainingOptions, layer_widths, number_range
from imrestore.train.supervision import train_supervised

__all__ = ["dark_enhance"]


@with_decoding_options
@with_options
def dark_enhance(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="DIR",
            help="Folders (trees) of clean pictures, also in linear light (.exr, .hdr).",
            show_default=False,
        ),
    ] = None,
    *,
    training: TrainingOptions,
    pairs: Annotated[
        Path | None,
        typer.Option(
            metavar="LIST",
            help="Train on the pairs of a list instead: lines with a short and a long RAW file, "
            "relative to the list, their exposure times in the names (the lists of SID).",
            show_default=False,
        ),
    ] = None,
    camera: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json",
            help="The noise of this camera, as `imrestore noise-profile` measured it, in place of "
            "that of four.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            help="Network: isp-resunet, for all sensors, or isp-unet, that of SID, for one kind."
        ),
    ] = "isp-resunet",
    head: Annotated[
        str,
        typer.Option(
            metavar="camera|srgb",
            help="What comes out: camera colours, for any camera; or, from an isp-unet with "
            "--pairs, the finished pictures of one camera, as in the paper.",
        ),
    ] = "camera",
    ratio: Annotated[
        str | None,
        typer.Option(
            metavar="LOW:HIGH",
            help="Range of amplifications to train for.",
            show_default="1:300",
        ),
    ] = None,
    xtrans: Annotated[
        bool,
        typer.Option("--xtrans", help="Train an isp-unet for X-Trans sensors, not for Bayer ones."),
    ] = False,
    width: Annotated[
        str | None,
        typer.Option(
            metavar="N[,N...]",
            help="Feature channels: one per level for an isp-resunet (32,64,128,128), that of the "
            "first level for an isp-unet (32).",
            show_default=False,
        ),
    ] = None,
    start_from: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="NAME|FILE",
            help="Start from these weights; an isp-resunet can start from a colour denoiser.",
            show_default=False,
        ),
    ] = None,
    patch: Annotated[
        int,
        typer.Option(
            metavar="PX",
            help="Side of the crops, a multiple of 8 (isp-unet: of 32, or 48 with --xtrans).",
        ),
    ] = 192,
    loss: Annotated[str, typer.Option(metavar="l1|l2|psnr", help="What is minimised.")] = "l1",
) -> None:
    """Train a learned image signal processor for dark RAW files, on clean pictures alone.

    Clean pictures are turned into the RAW files of random cameras and darkened, with the noise
    that was measured on real sensors in the dark; no pairs of exposures are needed. Where there are
    pairs, as in the data set of Learning to See in the Dark (SID), --pairs trains on them.
    Files beside the output, --resume and torchrun are as in `imrestore train denoise`.

    \b
    Examples:
      imrestore train dark-enhance photos/ -o night.safetensors --time 8h
      imrestore train dark-enhance photos/ -o night.safetensors --from resunet-color --time 2h
      imrestore train dark-enhance photos/ panoramas/ -o x.safetensors --ratio 20:300 --time 8h
      imrestore train dark-enhance --pairs SID/Sony_train_list.txt -o sony.safetensors --model isp-unet --head srgb --time 2d
    """  # noqa: D301, E501 (the escape is Typer's mark for lines to be kept)
    from restore.dark.recipe import DarkRecipe
    from restore.dark.train import train_dark_enhancer
    from restore.noise.measured_camera import read_camera

    if not training.resume:  # the checkpoint has options that passed this check
        without_effect(
            ratio=ratio is not None and pairs and "pairs have their own",
            camera=camera is not None and pairs and "pairs have their own noise",
        )
    recipe = DarkRecipe(
        model=model,
        xtrans=xtrans,
        widths=layer_widths(width, "32,64,128,128"),
        head=head,
        ratio=number_range("--ratio", "1:300" if ratio is None else ratio, "1:300"),
        patch=patch,
        loss=loss,
        **training.schedule_values(),
    )
    train_supervised(
        training,
        recipe,
        lambda **supervision: train_dark_enhancer(
            recipe,
            training.output,
            clean=folders or [],
            pairs=pairs,
            start_from=start_from,
            camera=None if camera is None else read_camera(camera),
            **supervision,
        ),
    )
