"""`imrestore train dark-enhance`: a learned image signal processor from clean pictures."""

from pathlib import Path
from typing import Annotated

import typer

from imrestore.options import with_options
from imrestore.training import TrainingOptions, number_range, supervised

__all__ = ["dark_enhance"]


@with_options
def dark_enhance(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR",
            help="Folders (trees) of clean pictures, also in linear light (.exr, .hdr).",
            show_default=False,
        ),
    ],
    *,
    training: TrainingOptions,
    ratio: Annotated[
        str,
        typer.Option(
            metavar="LOW:HIGH", help="Range of the amplification that dark pictures will need."
        ),
    ] = "50:300",
    xtrans: Annotated[
        bool, typer.Option("--xtrans", help="Train for X-Trans sensors instead of Bayer ones.")
    ] = False,
    width: Annotated[int, typer.Option(help="Feature channels of the first level.")] = 32,
    start_from: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="NAME|FILE", help="Begin with these weights.", show_default=False
        ),
    ] = None,
    patch: Annotated[
        int,
        typer.Option(metavar="PX", help="Side of the crops, a multiple of 32 (48 with --xtrans)."),
    ] = 192,
    loss: Annotated[str, typer.Option(metavar="l1|l2", help="What is minimised.")] = "l1",
) -> None:
    """Train a learned image signal processor for dark RAW files, on clean pictures alone.

    Clean pictures are turned into the RAW files of random cameras and darkened, with the noise
    that real sensors were measured to have in the dark; no pairs of exposures are needed. Files
    beside the output, --resume and torchrun are as in `imrestore train denoise`.

    \b
    Examples:
      imrestore train dark-enhance photos/ -o night.safetensors --time 8h
      imrestore train dark-enhance photos/ panoramas/ -o x.safetensors --xtrans --ratio 20:300 --time 8h
    """  # noqa: D301, E501 (the escape is Typer's mark for lines to be kept)
    from restore.training.dark import train_dark_enhancer
    from restore.training.recipes import DarkRecipe

    recipe = DarkRecipe(
        xtrans=xtrans,
        width=width,
        ratio=number_range("--ratio", ratio, "50:300"),
        patch=patch,
        loss=loss,
        **training.schedule_values(),
    )
    with supervised(training) as supervision:
        weights = train_dark_enhancer(
            recipe,
            training.output,
            clean=folders,
            start_from=start_from,
            settings=training.settings(),
            report=supervision.report,
            warn=supervision.tell,
            should_stop=supervision.should_stop,
        )
        supervision.tell(f"{training.output}: {weights.parameters:,} parameters")
