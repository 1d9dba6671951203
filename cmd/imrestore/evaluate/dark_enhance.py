"""`imrestore evaluate dark-enhance`: how good a learned image signal processor is."""

from pathlib import Path
from typing import Annotated

import typer

from imrestore.evaluate.scores import ScoreOptions, number_list, report_scores
from imrestore.expansion import with_decoding_options, with_options
from imrestore.options import NetworkOptions
from restore.checks import LARGEST_SEED

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
    from restore.api.evaluations.dark import dark_enhance as of_enhancer
    from restore.engine.placement import Placement

    measurement = of_enhancer(
        options.source(folder),
        [network.model],
        Placement(**network.placement),
        pairs=pairs,
        ratio=number_list("ratio", ratio),
        iso=number_list("iso", iso),
        sensor=sensor,
        camera=camera,
        seed=seed,
    )
    report_scores(measurement, options)
