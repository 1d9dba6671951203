"""`imrestore weights`: look at, check, convert, export, round and measure weight files."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imrestore.description import (
    described,
    print_line,
    print_losses,
    print_overview,
    print_record,
    record_of,
)
from imrestore.exits import ExitCode, say

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="List, show, verify, convert, export, round and measure weights.",
)

_Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME|FILE",
        help="A name from `imrestore weights list`, or a .safetensors file.",
        show_default=False,
    ),
]
_Output = Annotated[
    Path,
    typer.Option(
        "-o",
        "--output",
        metavar="NAME.safetensors",
        help="Weight file to write.",
        show_default=False,
    ),
]
_Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@app.command("list")
def list_weights(as_json: _Json = False) -> None:
    """List the weights that come with imrestore.

    \b
    Examples:
      imrestore weights list
      imrestore weights list --json
    """  # noqa: D301 (the escape is Typer's mark for lines to be kept)
    from restore.tasks import load
    from restore.weights.file import find, shipped

    records = [record_of(path, load(path)) for path in map(find, shipped())]
    if as_json:
        for record in records:
            print(json.dumps(record))
        return
    print_overview(records)


@app.command()
def show(name: _Name, as_json: _Json = False) -> None:
    """Show what weights are: config, origin, and what half precision costs them.

    \b
    Examples:
      imrestore weights show dncnn-color
      imrestore weights show mine.safetensors --json
    """  # noqa: D301
    from restore.tasks import load
    from restore.weights.file import find

    path = find(name)
    record = record_of(path, load(path))
    if as_json:
        print(json.dumps(record))
        return
    print_record(record)


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
    from restore.errors import WeightsError
    from restore.tasks import load, task_called
    from restore.weights.file import shipped
    from restore.weights.verify import verify as verify_weights

    failed = False
    for one in shipped() if name is None else [name]:
        try:
            weights = load(one)
            verify_weights(weights, task_called(weights.task))
        except WeightsError as error:
            failed = True
            print_line(f"FAILED {error}")
        else:
            print_line(f"ok {weights.name}: {described(weights)}")
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
    output: _Output,
    psf: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Point spread function that an HDR network was trained with: .npz, .npy, EXR.",
            show_default=False,
        ),
    ] = None,
    overwrite: _Overwrite = False,
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
    from restore.tasks import task_called
    from restore.weights.convert.convert import convert as convert_checkpoint
    from restore.weights.measure import measured
    from restore.weights.store import check_new_file, save_weights

    inputs = [file] if psf is None else [file, psf]
    check_new_file(output, overwrite=overwrite, inputs=inputs)
    converted = convert_checkpoint(file, psf=None if psf is None else _squared(psf))
    print_line(f"{file.name}: {converted.layout}")
    say("measuring what half precision costs; this takes a while for large networks")
    weights = measured(converted.weights, task_called(converted.weights.task))
    save_weights(weights, output, overwrite=overwrite)
    print_losses(weights.precision_loss_db)
    print_line(f"{output}: {described(weights)}")


def _squared(path: Path) -> "Tensor":
    from restore.hdr.optics.psf_file import load_psf, resized

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
    overwrite: _Overwrite = False,
) -> None:
    """Write a network as an ONNX file, for other programs.

    It is in float32 and takes pictures of any size, or with sides that are multiples of a number
    that is printed: "picture" (B, C, H, W), for denoisers in [0, 1], and "sigma" (B), in [0, 1],
    where the network is told the noise level. Where onnxruntime is installed its results are
    compared with those of PyTorch before the file is written. Needs the packages of
    imrestore[onnx].

    \b
    Examples:
      imrestore weights export resunet-color -o resunet-color.onnx
      imrestore weights export mine.safetensors -o mine.onnx --overwrite
    """  # noqa: D301
    from restore.files import write_atomically
    from restore.tasks import load, task_called
    from restore.weights.export import to_onnx
    from restore.weights.store import check_new_file

    check_new_file(output, overwrite=overwrite, suffix=".onnx")
    weights = load(name)
    network = to_onnx(weights, task_called(weights.task))
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
    print_line(f"{output}: {described(weights)}; {sides}; {checked}")


@app.command("round")
def round_weights(
    name: _Name,
    pictures: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Folder of clean pictures, which show what the network sees.",
            show_default=False,
        ),
    ],
    output: _Output,
    overwrite: _Overwrite = False,
) -> None:
    """Round weights to bfloat16 so that the network hardly notices, and measure what it costs.

    What rounding takes from one number the next ones make up for (GPTQ). Where the processor or GPU
    computes in bfloat16, networks that lose too much there run several times as fast afterwards;
    in float32 they stay as good as they were, to some thousandths of a dB. At most 24 of the
    pictures are used. Transposed convolutions whose kernels overlap are left as they are.

    \b
    Examples:
      imrestore weights round published.safetensors photos/ -o rounded.safetensors
      imrestore denoise photo.jpg -o clean.jpg --model rounded.safetensors
    """  # noqa: D301
    from restore.batch.inputs import pictures_in
    from restore.tasks import load, task_called
    from restore.weights.file import find
    from restore.weights.gptq import with_bf16_kernels
    from restore.weights.measure import measure_change, measured
    from restore.weights.store import check_new_file, save_weights

    path = find(name)
    check_new_file(output, overwrite=overwrite, inputs=[path])
    weights = load(path)
    say("rounding, and measuring what half precision costs; this takes a while")
    task = task_called(weights.task)
    paths = pictures_in(pictures, recursive=False)
    rounded = measured(with_bf16_kernels(weights, task, paths), task)
    change = measure_change(weights, rounded, task)
    save_weights(rounded, output, overwrite=overwrite)
    print_losses(rounded.precision_loss_db | {"fp32, against the weights before": change})
    print_line(f"{output}: {described(rounded)}")


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

    from restore.batch.inputs import pictures_in
    from restore.tasks import load, task_called
    from restore.weights.file import find
    from restore.weights.measure import measure_precision_loss
    from restore.weights.measurement import crops_for, measurement_of
    from restore.weights.store import save_weights

    path = find(name)
    weights = load(path)
    task = task_called(weights.task)
    measurement_of(weights, task)
    paths = None if pictures is None else pictures_in(pictures, recursive=False)
    crops = crops_for(weights, task, weights.build(), paths)
    losses = measure_precision_loss(weights, task, crops)
    if write:
        save_weights(replace(weights, precision_loss_db=losses), path, overwrite=True)
    if as_json:
        record = {"name": weights.name, "pictures": len(crops), "precision_loss_db": losses}
        print(json.dumps(record))
    else:
        print_losses(losses)
