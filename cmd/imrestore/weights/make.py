"""`imrestore weights convert`, `export`, `round` and `measure`: writing weight files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imrestore.expansion import with_decoding_options, with_options
from imrestore.options import complete
from imrestore.output import json_of, print_line, say
from imrestore.weights.show import Json, Name, described, print_losses

if TYPE_CHECKING:
    from restore.weights.convert.convert import Converted
    from restore.weights.convert.tryout import Tried
    from restore.weights.export import Graph

__all__ = ["convert", "export", "measure", "round_weights"]

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


@with_decoding_options
@with_options
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
    member: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|SIGMA",
            help="Which network of a file that holds several: its name, or, of the 25 of IRCNN, "
            "the noise level that it is for.",
            show_default=False,
        ),
    ] = None,
    dtype: Annotated[
        str,
        typer.Option(
            metavar="auto|float32|float16|bfloat16",
            help="How the tensors are stored; auto takes float16 where that costs less than "
            "0.005 dB at every level.",
            autocompletion=complete("auto", "float32", "float16", "bfloat16"),
        ),
    ] = "auto",
    overwrite: _Overwrite = False,
) -> None:
    """Convert a published checkpoint; its layout is recognised by its content.

    Supported are DnCNN (KAIR, SaoYan, cszn, deepinv), IRCNN, FDnCNN and FFDNet (KAIR, cszn), DRUNet
    (KAIR, deepinv), PyTorch ports of Learning to See in the Dark, PMRID, and the HDR network of
    Metzler et al. (.npz). No code in a file is run: anything other than tensors is refused; of
    TorchScript archives only the tensors are read. Of averaged and plain weights the averaged ones
    are taken. MATLAB 7.3 files need the package h5py.

    Whether a denoiser predicts the noise or the picture, its sign, the scale of its values and the
    order of its colours are tried out on clean pictures with noise; a network that restores none is
    refused.

    \b
    Examples:
      imrestore weights convert dncnn_25.pth -o dncnn-25.safetensors
      imrestore denoise photo.jpg -o clean.jpg --model dncnn-25.safetensors
      imrestore weights convert ircnn_color.pth -o ircnn-25.safetensors --member 25
      imrestore weights convert model.npz -o published.safetensors --psf measured_psf.npz
    """  # noqa: D301
    import restore

    def found(converted: "Converted") -> None:
        print_line(f"{file.name}: {converted.layout}")
        if converted.remark:
            say(f"{file.name}: {converted.remark}")
        if converted.tried:
            _print_tried(file.name, converted.tried)
        say("measuring the loss of half precision; this takes a while for large networks")

    weights = restore.convert(
        file, output, psf=psf, member=member, dtype=dtype, overwrite=overwrite, found=found
    ).weights
    print_losses(weights.precision_loss_db)
    print_line(f"{output}: {described(weights)}")


def _print_tried(name: str, tried: "Tried") -> None:
    """Print what a network restores, and say so where its layout would have misled."""
    figures = ", ".join(
        f"{before:.2f} to {after:.2f} dB at {level}"
        for level, (before, after, _) in tried.psnr_db.items()
    )
    print_line(f"{name}: {tried.way}; restores clean pictures with {tried.noise} noise: {figures}")
    if tried.way != tried.of_layout:
        level, _, after, as_laid_out = tried.best
        say(
            f"{name}: its layout would say that it {tried.of_layout}; so read it reaches "
            f"{as_laid_out:.2f} instead of {after:.2f} dB at {level}"
        )


@with_options
def export(
    name: Name,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="FILE.onnx", help="ONNX file to write.", show_default=False
        ),
    ],
    overwrite: _Overwrite = False,
) -> None:
    """Export a network to an ONNX file, for other programs.

    The file is in float32 and takes pictures of any size, whose edges it mirrors where the network
    needs that, or, for mosaics, with sides that are multiples of a number that is printed. The axes
    are named batch, height and width; the metadata state task, network, range, multiple, licence.
    Its inputs are "picture" (B, C, H, W), in [0, 1] for denoisers, and
    "sigma" (B), in [0, 1], if the network takes the noise level. Of a detector the file holds the
    whole inspection: "picture" in [0, 1], "map" (B, H, W) and "score" (B), which says defective
    above the threshold in the metadata. Where onnxruntime is installed,
    its results are compared with those of PyTorch before the file is written. Needs the packages
    of imrestore[onnx].

    \b
    Examples:
      imrestore weights export resunet-color -o resunet-color.onnx
      imrestore weights export mine.safetensors -o mine.onnx --overwrite
    """  # noqa: D301
    import restore

    network = restore.export_onnx(name, output, overwrite=overwrite)
    for remark in network.graph.remarks:
        say(f"{output}: {remark}")
    checked = (
        "not checked, since onnxruntime is not installed"
        if network.difference is None
        else f"at most {network.difference:.0e} from PyTorch"
    )
    print_line(f"{output}: {described(network.weights)}; {_sides(network.graph)}; {checked}")


def _sides(graph: "Graph") -> str:
    """Return which pictures a graph takes."""
    if graph.size:
        return f"pictures of {graph.size[1]}x{graph.size[0]} pixels"
    if graph.multiple > 1:
        return f"pictures with sides that are multiples of {graph.multiple}"
    return "pictures of any size"


@with_decoding_options
@with_options
def round_weights(
    name: Name,
    pictures: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Folder of clean pictures, typical inputs of the network.",
            show_default=False,
        ),
    ],
    output: _Output,
    overwrite: _Overwrite = False,
) -> None:
    """Round weights to bfloat16 at little loss, and measure that loss.

    Later weights compensate for the rounding errors of earlier ones (GPTQ). Where the processor or
    GPU computes in bfloat16, networks that lose too much there run several times as fast
    afterwards; in float32 they change by some thousandths of a dB. At most 24 of the pictures are
    used. Transposed convolutions with overlapping kernels are left unchanged.

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
    say("rounding, and measuring the loss of half precision; this takes a while")
    task = task_called(weights.task)
    paths = pictures_in(pictures, recursive=False)
    rounded = measured(with_bf16_kernels(weights, task, paths), task)
    change = measure_change(weights, rounded, task)
    save_weights(rounded, output, overwrite=overwrite)
    print_losses(rounded.precision_loss_db | {"fp32, against the weights before": change})
    print_line(f"{output}: {described(rounded)}")


@with_decoding_options
@with_options
def measure(
    name: Name,
    pictures: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of clean pictures, whose central 192x192 pixels are used.",
            show_default="four crops that come with imrestore",
        ),
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Store the losses in the weight file.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Measure the loss of half precision in dB of PSNR, at several noise levels.

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
        print(json_of(record))
    else:
        print_losses(losses)
