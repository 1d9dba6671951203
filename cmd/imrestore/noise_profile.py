"""`imrestore noise-profile`: the noise of a camera, measured in its RAW files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imrestore.expansion import with_decoding_options, with_options
from imrestore.output import print_line, print_table, say

if TYPE_CHECKING:
    from restore.noise.measured_camera import IsoNoise, MeasuredCamera

__all__ = ["noise_profile"]


@with_decoding_options
@with_options
def noise_profile(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RAW...",
            help="RAW files of one camera, and folders of them.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE.json",
            help="File to write; a plot goes beside it, FILE.png.",
            show_default=False,
        ),
    ],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the output if it exists.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the content of the file instead of a table.")
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print errors only.")] = False,
) -> None:
    """Measure a camera: shot and read noise by ISO speed, row noise, black, hot photosites.

    Best are two flat frames of one exposure (an evenly lit surface, out of focus) in dim and in
    bright light, and two dark ones (the cap on) at each ISO speed. What a file shows is found by
    itself. Speeds of which there are ordinary files only are estimated. The plot is the photon
    transfer curve: noise against light.

    `denoise --noise-profile`, `train denoise --raw --camera`, `train dark-enhance --camera` and
    `evaluate` take the file.

    \b
    Examples:
      imrestore noise-profile flats/ darks/ -o camera.json
      imrestore noise-profile IMG_01*.CR3 -o camera.json
      imrestore denoise card/ -o clean/ --noise-profile camera.json
    """  # noqa: D301 (the escape is Typer's mark for lines to be kept)
    from restore.batch.inputs import find_pictures
    from restore.errors import UsageError
    from restore.files import check_name, write_atomically
    from restore.image.raw import RAW_SUFFIXES
    from restore.noise.frame_kinds import FrameKind
    from restore.noise.photon_transfer import measure_camera
    from restore.noise.photon_transfer_plot import plotted

    if output.suffix != ".json":
        raise UsageError(f"{output}: give a name that ends with .json")
    plot = output.with_suffix(".png")
    for path in (output, plot):
        check_name(path)
        if path.exists() and not overwrite:
            raise UsageError(f"{path}: exists already; use --overwrite to replace it")

    def tell(line: str) -> None:
        if not quiet:
            say(line)

    search = find_pictures(
        list(map(str, inputs)), recursive=False, output=None, suffixes=RAW_SUFFIXES, warn=tell
    )
    paths = [one.source for one in search.found if one.source is not None]
    for line in (*search.closed, *filter(None, [search.left_out])):
        tell(line)
    if not paths:
        raise UsageError(f"no RAW files in {', '.join(map(str, inputs))}")
    for name in search.empty:
        tell(f"{name}: holds no RAW files")
    found = measure_camera(paths, tell)
    counts = [list(found.kinds.values()).count(kind) for kind in FrameKind]
    tell("{} dark frames, {} flat frames, {} ordinary files".format(*counts))
    write_atomically(plot, plotted(found), overwrite=overwrite)
    write_atomically(output, found.camera.to_json().encode(), overwrite=overwrite)
    if as_json:
        print(found.camera.to_json(), end="")
        return
    print_line(_summary(found.camera))
    print_table([_HEADINGS, *map(_row, found.camera.speeds)], ">" * len(_HEADINGS))


_HEADINGS = ("ISO", "a (green)", "b (green)", "rows", "flat", "dark", "ordinary")


def _row(speed: "IsoNoise") -> tuple[str, ...]:
    numbers = (speed.a[1], speed.b[1], speed.row)
    counts = (speed.flat, speed.dark, speed.scenes)
    return (f"{speed.iso:g}", *(f"{each:.4g}" for each in numbers), *map(str, counts))


def _summary(camera: "MeasuredCamera") -> str:
    black = "/".join(dict.fromkeys(f"{level:g}" for level in camera.black_level))
    prnu = "" if camera.prnu is None else f", PRNU {camera.prnu:.2%}"
    return (
        f"{camera.name}: black {black}, white {camera.white_level:g}{prnu}, "
        f"{len(camera.hot):,} defective photosites"
    )
