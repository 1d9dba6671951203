"""`imrestore evaluate hdr`: how well networks recover saturated highlights, side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from imrestore.evaluate.hdr_tables import (
    Result,
    mean_of,
    print_captures,
    print_scenes,
    record_of,
)
from imrestore.evaluate.scores import Quiet, Recursive
from imrestore.exits import ExitCode
from imrestore.expansion import with_decoding_options, with_options
from imrestore.output import ProgressBar, json_of

__all__ = ["hdr"]

_TWIN = "hdr-single"
_SATURATED, _SIZE, _VIEWS, _BITS, _NITS = 1.5, 320, 4, 8, 4000.0


@with_decoding_options
@with_options
def hdr(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]", help="Folder of HDR pictures and panoramas.", show_default=False
        ),
    ] = None,
    *,
    captures: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Measure on real captures instead: a folder for each scene, with "
            "wPSF_0_stop.png, the capture through the element, and a bracket without it, "
            "woutPSF_X_stop.png with X in stops; linear.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Weights to measure; give it several times to compare.",
            show_default="hdr-optics",
        ),
    ] = None,
    twin: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE|none",
            help="A network without optics to compare them with.",
        ),
    ] = _TWIN,
    saturated: Annotated[
        float, typer.Option(metavar="PERCENT", help="Share of the pixels above the sensor's white.")
    ] = _SATURATED,
    size: Annotated[
        int,
        typer.Option(
            metavar="PX", min=32, max=4096, help="Side of the scenes cut from the pictures."
        ),
    ] = _SIZE,
    views: Annotated[
        int, typer.Option(metavar="N", min=1, max=1000, help="Views into each panorama.")
    ] = _VIEWS,
    bits: Annotated[int, typer.Option(metavar="8|10|12", help="Bit depth of the sensor.")] = _BITS,
    read_noise: Annotated[
        float,
        typer.Option(
            metavar="S", min=0, help="Standard deviation of the read noise, where white is 1."
        ),
    ] = 0.0,
    capture_errors: Annotated[
        bool,
        typer.Option(
            "--capture-errors",
            help="Let lens and camera err as in `imrestore train hdr --capture-errors`, and add "
            "shot noise.",
        ),
    ] = False,
    peak_luminance: Annotated[
        float,
        typer.Option(
            metavar="NITS",
            min=1,
            max=1_000_000,
            help="Luminance of 64 times white for PU21, in cd/m2.",
        ),
    ] = _NITS,
    device: Annotated[
        str, typer.Option(metavar="auto|cpu|cuda[:N|:all]|mps", help="Where the networks run.")
    ] = "auto",
    precision: Annotated[
        str, typer.Option(metavar="auto|fp32|fp16|bf16", help="Number format of the networks.")
    ] = "fp32",
    recursive: Recursive = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON record per scene and network, and means.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Measure networks for high dynamic range on scenes of known radiance.

    Scenes are exposed so that a share of their pixels saturates, and each network sees them
    through the element in its weights. The figures are PSNR of radiance, of mu-law and of PU21
    values, over all pixels and over those that saturated, and the error in stops there, next to
    those of the network without optics and of the exposure itself. With --captures, real captures
    are compared with merged brackets.

    Exit codes: 0 all measured; 1 some pictures could not be, the others are; 2 wrong usage.

    \b
    Examples:
      imrestore evaluate hdr panoramas/
      imrestore evaluate hdr panoramas/ --model hdr-measured --model published.safetensors
      imrestore evaluate hdr panoramas/ --model mine.safetensors --twin plain.safetensors --json
      imrestore evaluate hdr --captures captures/ --model hdr-measured
    """  # noqa: D301 (the escape is Typer's mark for lines to be kept)
    from restore.api.evaluations.hdr import hdr as of_networks
    from restore.api.evaluations.measurement import Source
    from restore.engine.placement import Placement
    from restore.errors import UsageError
    from restore.hdr.evaluate import NOTHING
    from restore.image.metrics import Failure

    if not 0 < saturated < 100:
        raise UsageError(f"--saturated {saturated:g}: give a percentage between 0 and 100")
    scenes = {
        "saturated": (saturated / 100, _SATURATED / 100),
        "size": (size, _SIZE),
        "views": (views, _VIEWS),
        "bits": (bits, _BITS),
        "read_noise": (read_noise, 0.0),
        "capture_errors": (capture_errors, False),
        "peak_nits": (peak_luminance, _NITS),
    }
    measurement = of_networks(
        Source(folder=folder, recursive=recursive),
        [*(model or ["auto"]), *([] if twin == "none" else [twin])],
        Placement(device=device, precision=precision),
        captures=captures,
        **{name: value for name, (value, usual) in scenes.items() if value != usual},
    )
    results: list[Result] = []
    has_failed = False
    with ProgressBar(None, quiet=quiet or as_json) as shown:
        for result in measurement.results:
            if isinstance(result, Failure):
                has_failed = True
                shown.say(result.reason)
                continue
            results.append(result)
            shown.bar.update(result.model == NOTHING)
            if as_json:
                print(json_of(record_of(result), digits=4), flush=True)
    if results:
        _finish(results, measurement.conditions, as_json=as_json)
    raise typer.Exit(ExitCode.SOME_FAILED if has_failed else ExitCode.DONE)


def _finish(results: Sequence[Result], stated: Mapping[str, object], *, as_json: bool) -> None:
    from restore.hdr.captures import CaptureResult

    models = list(dict.fromkeys(one.model for one in results))
    means = {name: mean_of([one for one in results if one.model == name]) for name in models}
    scenes = sum(one.model == models[0] for one in results)
    if as_json:
        plain = {name: mean.described() for name, mean in means.items()}
        conditions = {name: value for name, value in stated.items() if name != "protocol"}
        described = {"conditions": conditions} if conditions else {}
        summary = {"mean": plain, "scenes": scenes, **described, "protocol": stated["protocol"]}
        print(json_of(summary, digits=4))
        return
    of_captures = [one for one in results if isinstance(one, CaptureResult)]
    if of_captures:
        print_captures(of_captures, means)
    else:
        print_scenes(means)
    print(f"scenes: {scenes}")
    print(f"protocol: {stated['protocol']}")
