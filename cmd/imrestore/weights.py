"""`imrestore weights`: look at, check, convert, export and measure weight files."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imrestore.exits import ExitCode, say, visible

if TYPE_CHECKING:
    from torch import Tensor

    from restore.weights import Weights

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="List, show, verify, convert, export and measure weights.",
)

_Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME|FILE",
        help="A name from `imrestore weights list`, or a .safetensors file.",
        show_default=False,
    ),
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@app.command("list")
def list_weights(as_json: _Json = False) -> None:
    """List the weights that come with imrestore.

    \b
    Examples:
      imrestore weights list
      imrestore weights list --json
    """  # noqa: D301 (the escape is Typer's mark for lines to be kept)
    from restore.weights import find, load, shipped

    records = [_record(path, load(path)) for path in map(find, shipped())]
    if as_json:
        for record in records:
            print(json.dumps(record))
        return
    rows = [
        [
            str(record["name"]),
            str(record["task"]),
            str(record["architecture"]),
            str(record["channels"]),
            f"{record['parameters']:,}",
            f"{record['bytes'] / 1e6:.1f} MB",
            str(record["noise"]),
        ]
        for record in records
    ]
    headings = ["name", "task", "network", "channels", "parameters", "size", "noise"]
    _print_table(headings, rows)


@app.command()
def show(name: _Name, as_json: _Json = False) -> None:
    """Show what weights are: config, origin, and what half precision costs them.

    \b
    Examples:
      imrestore weights show dncnn-color
      imrestore weights show mine.safetensors --json
    """  # noqa: D301
    from restore.weights import find, load

    path = find(name)
    record = _record(path, load(path))
    if as_json:
        print(json.dumps(record))
        return
    _print_losses(record.pop("precision_loss_db"))
    lines = list(_flat(record))
    width = max(len(key) for key, _ in lines)
    for key, value in lines:
        print(f"{visible(key):<{width}}  {visible(value)}")


@app.command()
def verify(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME|FILE]",
            help="A name from `imrestore weights list`, or a .safetensors file.",
            show_default="all that come with imrestore",
        ),
    ] = None,
) -> None:
    """Check that weights are whole and that their network runs; one line for each.

    Exit codes: 0 all are sound; 1 one is not.

    \b
    Examples:
      imrestore weights verify
      imrestore weights verify mine.safetensors
    """  # noqa: D301
    from restore.engine.verify import verify as verify_weights
    from restore.errors import WeightsError
    from restore.weights import shipped

    failed = False
    for one in shipped() if name is None else [name]:
        try:
            weights = verify_weights(one)
        except WeightsError as error:
            failed = True
            _print(f"FAILED {error}")
        else:
            _print(f"ok {weights.name}: {_describe(weights)}")
    raise typer.Exit(ExitCode.SOME_FAILED if failed else ExitCode.DONE)


@app.command()
def convert(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="The foreign checkpoint: .pth, .pt, .safetensors, .mat or .npz.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="NAME.safetensors",
            help="Weight file to write.",
            show_default=False,
        ),
    ],
    psf: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Point spread function that an HDR network was trained with: .npz, .npy, EXR.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the output if it exists.")
    ] = False,
) -> None:
    """Convert a published checkpoint, whose layout is recognised by its content.

    Read are DnCNN (KAIR, SaoYan, cszn, deepinv), FDnCNN and FFDNet (KAIR, cszn), DRUNet (KAIR,
    deepinv), PyTorch ports of Learning to See in the Dark, and the HDR network of Metzler et al.
    (.npz). No code in a file is run: whatever is more than tensors is refused. MATLAB 7.3 files
    need the package h5py.

    \b
    Examples:
      imrestore weights convert dncnn_25.pth -o dncnn-25.safetensors
      imrestore denoise photo.jpg -o clean.jpg --model dncnn-25.safetensors
      imrestore weights convert model.npz -o published.safetensors --psf measured_psf.npz
    """  # noqa: D301
    from restore.convert import convert as convert_checkpoint
    from restore.engine.precision import measured
    from restore.weights import check_new_file, save_weights

    check_new_file(output, overwrite=overwrite)
    converted = convert_checkpoint(file, psf=None if psf is None else _squared(psf))
    _print(f"{file.name}: {converted.layout}")
    say("measuring what half precision costs; this takes a while for large networks")
    weights = measured(converted.weights)
    save_weights(weights, output, overwrite=overwrite)
    _print_losses(weights.precision_loss_db)
    _print(f"{output}: {_describe(weights)}")


def _squared(path: Path) -> "Tensor":
    from restore.optics.psf_file import load_psf, resized

    psf = load_psf(path)
    return resized(psf, max(psf.shape[1:]))


@app.command()
def export(
    name: _Name,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="FILE.onnx", help="ONNX file to write.", show_default=False
        ),
    ],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the output if it exists.")
    ] = False,
) -> None:
    """Write a network as an ONNX file, for other programs.

    It is in float32 and takes pictures of any size: "picture" (B, C, H, W), for denoisers in
    [0, 1], and "sigma" (B), in [0, 1], where the network is told the noise level. Where onnxruntime
    is installed its results are compared with those of PyTorch before the file is written. Needs
    the packages of imrestore[onnx].

    \b
    Examples:
      imrestore weights export resunet-color -o resunet-color.onnx
      imrestore weights export mine.safetensors -o mine.onnx --overwrite
    """  # noqa: D301
    from restore.engine.onnx_export import to_onnx
    from restore.files import write_atomically
    from restore.weights import check_new_file, load

    check_new_file(output, overwrite=overwrite, suffix=".onnx")
    weights = load(name)
    network = to_onnx(weights)
    write_atomically(output, network.data, overwrite=overwrite)
    sides = {
        0: "pictures of one size",
        1: "pictures of any size",
    }.get(network.multiple, f"pictures with sides that are multiples of {network.multiple}")
    checked = (
        "not checked, since onnxruntime is not installed"
        if network.difference is None
        else f"at most {network.difference:.0e} from PyTorch"
    )
    _print(f"{output}: {_describe(weights)}; {sides}; {checked}")


@app.command()
def measure(
    name: _Name,
    pictures: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of clean pictures, of which the centres (192x192 pixels) are used.",
            show_default="four crops that come with imrestore",
        ),
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Store the losses in the weight file.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Measure what half precision costs in dB of PSNR, at several levels of noise.

    --precision auto takes fp16 or bf16 only where the stored loss is at most 0.02 dB.

    \b
    Examples:
      imrestore weights measure dncnn-color
      imrestore weights measure mine.safetensors --pictures kodak24/ --write
    """  # noqa: D301
    from dataclasses import replace

    from restore.engine.measuring import pictures_for
    from restore.engine.precision import measure_precision_loss
    from restore.errors import UsageError
    from restore.weights import build, find, load, save_weights

    path = find(name)
    weights = load(path)
    if weights.task == "anomaly":
        raise UsageError(f"{name}: only what restores pictures has a loss; this finds anomalies")
    crops = pictures_for(weights, build(weights), pictures)
    losses = measure_precision_loss(weights, crops)
    if write:
        save_weights(replace(weights, precision_loss_db=losses), path, overwrite=True)
    if as_json:
        record = {"name": weights.name, "pictures": len(crops), "precision_loss_db": losses}
        print(json.dumps(record))
    else:
        _print_losses(losses)


def _record(path: Path, weights: "Weights") -> dict[str, Any]:
    """Return what is known about weights, as plain values."""
    from dataclasses import asdict

    card = path.with_suffix(".md")
    return {
        "name": weights.name,
        "file": str(path),
        "card": str(card) if card.is_file() else None,
        "task": weights.task,
        "architecture": weights.architecture,
        "config": asdict(weights.config),
        "channels": weights.channels,
        "parameters": weights.parameters,
        "stored": str(weights.stored_dtype).removeprefix("torch."),
        "bytes": path.stat().st_size,
        "noise": _noise(weights),
        "provenance": weights.provenance,
        "precision_loss_db": weights.precision_loss_db,
    }


def _noise(weights: "Weights") -> str:
    """Return the noise that weights are for, as far as the file says."""
    recipe, data = weights.provenance.get("recipe"), weights.provenance.get("data")
    if isinstance(data, dict) and "pairs" in data:
        return "as in its pairs"
    if isinstance(recipe, dict) and isinstance(recipe.get("ratio"), list):
        return f"in the dark, ratio {'-'.join(f'{ratio:g}' for ratio in recipe['ratio'])}"
    if isinstance(recipe, dict) and isinstance(recipe.get("sigma"), list):
        gaussian = f"Gaussian, sigma {'-'.join(f'{level:g}' for level in recipe['sigma'])}"
        kinds = recipe.get("noise", ["awgn"])
        return ", ".join(gaussian if kind == "awgn" else str(kind) for kind in kinds)
    return "Gaussian, sigma given" if weights.takes_sigma else "not said"


def _describe(weights: "Weights") -> str:
    """Return a network in a few words."""
    kind = "gray" if weights.channels == 1 else "color"
    stored = str(weights.stored_dtype).removeprefix("torch.")
    return f"{weights.architecture}, {kind}, {weights.parameters:,} parameters, stored as {stored}"


def _print_losses(losses: Mapping[str, Mapping[str, float]]) -> None:
    """Print a line per precision and a column per noise level."""
    if not losses:
        _print("loss against float32: not measured")
        return
    levels = list(dict.fromkeys(level for by_level in losses.values() for level in by_level))
    rows = [
        [precision, *(f"{by_level[level]:z.4f}" if level in by_level else "" for level in levels)]
        for precision, by_level in losses.items()
    ]
    headings = (f"sigma {level}" if _is_number(level) else level for level in levels)
    _print_table(["loss in dB", *headings], rows)


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal()


def _print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns; those of numbers stand to the right."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    numeric = [bool(rows) and rows[0][i][:1].isdigit() for i in range(len(headings))]
    for row in (headings, *rows):
        cells = (
            cell.rjust(width) if is_number else cell.ljust(width)
            for cell, width, is_number in zip(row, widths, numeric, strict=True)
        )
        print("  ".join(cells).rstrip())


def _flat(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the values of nested mappings under dotted names."""
    for key, value in record.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", "-" if value is None else str(value)


def _print(line: str) -> None:
    print(visible(line))
