"""`imrestore evaluate hdr`: how well networks recover saturated highlights, side by side."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imrestore.evaluate.scores import Quiet, Recursive
from imrestore.exits import ExitCode
from imrestore.expansion import with_decoding_options, with_options
from imrestore.output import ProgressBar, json_of, print_table, visible

if TYPE_CHECKING:
    from restore.hdr.evaluate import Conditions, Contender, HdrResult

__all__ = ["hdr"]

_MEASURES = ("linear", "mu", "pu21")
_TWIN = "hdr-single"


@with_decoding_options
@with_options
def hdr(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="Folder of HDR pictures and panoramas.", show_default=False
        ),
    ],
    *,
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
    ] = 1.5,
    size: Annotated[
        int,
        typer.Option(
            metavar="PX", min=32, max=4096, help="Side of the scenes cut from the pictures."
        ),
    ] = 320,
    views: Annotated[
        int, typer.Option(metavar="N", min=1, max=1000, help="Views into each panorama.")
    ] = 4,
    bits: Annotated[int, typer.Option(metavar="8|10|12", help="Bit depth of the sensor.")] = 8,
    read_noise: Annotated[
        float,
        typer.Option(
            metavar="S", min=0, help="Standard deviation of the read noise, where white is 1."
        ),
    ] = 0.0,
    peak_luminance: Annotated[
        float,
        typer.Option(
            metavar="NITS",
            min=1,
            max=1_000_000,
            help="Luminance of 64 times white for PU21, in cd/m2.",
        ),
    ] = 4000.0,
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
    values, over all pixels and over those that saturated, next to those of the network without
    optics and of the exposure itself.

    Exit codes: 0 all measured; 1 some pictures could not be, the others are; 2 wrong usage.

    \b
    Examples:
      imrestore evaluate hdr panoramas/
      imrestore evaluate hdr panoramas/ --model hdr-measured --model published.safetensors
      imrestore evaluate hdr panoramas/ --model mine.safetensors --twin plain.safetensors --json
    """  # noqa: D301 (the escape is Typer's mark for lines to be kept)
    from restore.batch.inputs import pictures_in
    from restore.errors import UsageError
    from restore.hdr.evaluate import (
        NOTHING,
        Conditions,
        Contender,
        HdrFailure,
        evaluate_hdr,
        protocol,
    )

    if not 0 < saturated < 100:
        raise UsageError(f"--saturated {saturated:g}: give a percentage between 0 and 100")
    conditions = Conditions(
        size=size,
        views=views,
        saturated=saturated / 100,
        bits=bits,
        read_noise=read_noise,
        peak_nits=peak_luminance,
    )
    names = [*(model or ["hdr-optics"]), *([] if twin == "none" else [twin])]
    contenders = [
        Contender(name, device=device, precision=precision, tile="auto")
        for name in dict.fromkeys(names)
    ]
    results: list[HdrResult] = []
    has_failed = False
    paths = pictures_in(folder, recursive=recursive)
    with ProgressBar(None, quiet=quiet or as_json) as shown:
        for result in evaluate_hdr(contenders, paths, conditions):
            if isinstance(result, HdrFailure):
                has_failed = True
                shown.say(result.reason)
                continue
            results.append(result)
            shown.bar.update(result.model == NOTHING)
            if as_json:
                print(json_of(_record(result), digits=4), flush=True)
    _finish(results, contenders, conditions, protocol(conditions), as_json=as_json)
    raise typer.Exit(ExitCode.SOME_FAILED if has_failed else ExitCode.DONE)


def _finish(
    results: "Sequence[HdrResult]",
    contenders: "Sequence[Contender]",
    conditions: "Conditions",
    protocol: str,
    *,
    as_json: bool,
) -> None:
    from restore.hdr.evaluate import NOTHING

    if not results:
        return
    means = {
        name: _means([one for one in results if one.model == name])
        for name in (NOTHING, *(contender.name for contender in contenders))
    }
    scenes = sum(one.model == NOTHING for one in results)
    if as_json:
        described = {"scenes": scenes, "conditions": asdict(conditions), "protocol": protocol}
        print(json_of({"mean": means, **described}, digits=4))
        return
    _print_means(means)
    print(f"scenes: {scenes}")
    print(f"protocol: {protocol}")


def _print_means(means: Mapping[str, Mapping[str, float]]) -> None:
    heading = "".join(f"{name:>8} " for name in ("linear", "mu", "PU21")).rstrip()
    rows = [["", "all pixels", "saturated pixels"], ["PSNR in dB", heading, heading]]
    for name, mean in means.items():
        cells = [f"{mean[f'{group}_{measure}']:8.2f}" for group, measure in _columns()]
        rows.append([visible(name), " ".join(cells[:3]), " ".join(cells[3:])])
    print_table(rows, "<>>")


def _columns() -> list[tuple[str, str]]:
    return [(group, measure) for group in ("all", "saturated") for measure in _MEASURES]


def _means(results: "Sequence[HdrResult]") -> dict[str, float]:
    means = {}
    for group, measure in _columns():
        values = [getattr(getattr(one, group), measure) for one in results]
        finite = [value for value in values if math.isfinite(value)]
        means[f"{group}_{measure}"] = sum(finite) / len(finite) if finite else math.nan
    return means


def _record(result: "HdrResult") -> dict[str, object]:
    return {
        "source": str(result.path),
        "view": result.view,
        "model": result.model,
        "all": asdict(result.all),
        "saturated": asdict(result.saturated),
    }
