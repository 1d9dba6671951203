"""``restore.convert`` and ``restore.export_onnx``: weight files from and for other programs."""

from collections.abc import Callable
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from restore.arguments import argument
from restore.errors import UsageError, WeightsError
from restore.files import write_atomically
from restore.hdr.optics.psf import load_psf, resized
from restore.tasks import load, task_called
from restore.weights.convert.convert import Converted
from restore.weights.convert.convert import convert as convert_checkpoint
from restore.weights.export import OnnxNetwork, to_onnx
from restore.weights.file import find, licence_of
from restore.weights.foreign import known_to_spandrel
from restore.weights.measure import measured, storage_dtype
from restore.weights.store import Weights, check_new_file, save_weights

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["convert", "export_onnx"]


def convert(
    file: str | PathLike[str],
    output: str | PathLike[str] | None = None,
    *,
    psf: str | PathLike[str] | None = None,
    member: str | None = None,
    dtype: str = "auto",
    overwrite: bool = False,
    found: Callable[[Converted], None] = lambda _: None,
) -> Converted:
    """Convert a published checkpoint as ``imrestore weights convert`` does.

    Its layout is recognised by its content; no code in it is run. What a denoiser predicts is tried
    out on clean pictures with noise.

    Args:
        file: the checkpoint: .pth, .pt, .safetensors, .mat or .npz.
        output: weight file to write; None to write none.
        psf: file of the point spread function that an HDR network was trained with.
        member: which network of a file that holds several: its name, or the noise level.
        dtype: how the tensors are stored: auto, float32, float16 or bfloat16.
        overwrite: replace the output if it is there.
        found: called with what was recognised, before the loss of half precision is measured,
            which takes a while.

    Returns:
        The weights, ready for ``Denoiser``, the layout, and how well a denoiser restores.

    Raises:
        WeightsError: an unknown or hostile file, or a denoiser that improves no picture.
        UsageError: arguments that do not fit the file.
        OutputExists: the output is there and may not be replaced.
        OutputError: the output cannot be written.

    >>> import tempfile
    >>> import restore, torch
    >>> blur, same = (torch.nn.Conv2d(1, 1, 3, padding=1) for _ in range(2))
    >>> _ = blur.weight.data.fill_(1 / 9), blur.bias.data.zero_()
    >>> _ = torch.nn.init.dirac_(same.weight), same.bias.data.zero_()
    >>> published = torch.nn.Sequential(blur, torch.nn.ReLU(), same)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     torch.save(published.state_dict(), f"{folder}/published.pth")
    ...     converted = restore.convert(f"{folder}/published.pth", dtype="float32")
    >>> converted.layout, converted.tried.way.role
    ('PyTorch DnCNN, 2 layers, gray, batch norm merged', 'picture')
    """
    source, target = Path(file), None if output is None else Path(output)
    inputs = [source] if psf is None else [source, Path(psf)]
    if target is not None:
        check_new_file(target, overwrite=overwrite, inputs=inputs)
    stored = None if dtype == "auto" else storage_dtype(dtype)
    square = None if psf is None else _squared(Path(psf))
    try:
        converted = convert_checkpoint(source, psf=square, member=member)
    except WeightsError:
        if (kind := known_to_spandrel(source)) is None:
            raise
        raise UsageError(
            f"{source}: a {kind}, which is run as it is: give it as {argument('model')} without "
            "converting it"
        ) from None
    found(converted)
    weights = measured(converted.weights, task_called(converted.weights.task), stored=stored)
    if target is not None:
        save_weights(weights, target, overwrite=overwrite)
    return replace(converted, weights=weights)


def _squared(path: Path) -> "Tensor":
    psf = load_psf(path)
    return resized(psf, max(psf.shape[1:]))


def export_onnx(
    model: str | PathLike[str] | Weights, output: str | PathLike[str], *, overwrite: bool = False
) -> OnnxNetwork:
    """Write a network as an ONNX file, as ``imrestore weights export`` does.

    Needs the packages of ``imrestore[onnx]``. Where onnxruntime is installed, its results are
    compared with those of PyTorch before the file is written.

    Args:
        model: name or file of weights, or ``Weights``.
        output: ONNX file to write.
        overwrite: replace the output if it is there.

    Returns:
        The bytes of the file, what was exported, and the largest difference from PyTorch.

    Raises:
        UsageError: a package is missing, or the name of the output does not end in .onnx.
        WeightsError: unknown weights, or results that differ from PyTorch's.
        OutputExists: the output is there and may not be replaced.
        OutputError: the output cannot be written.

    >>> import tempfile
    >>> import restore
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     exported = restore.export_onnx("dncnn-gray", f"{folder}/dncnn-gray.onnx")
    >>> exported.graph.outputs, exported.graph.multiple
    (('result',), 1)
    """
    target = Path(output)
    check_new_file(target, overwrite=overwrite, suffix=".onnx")
    if isinstance(model, Weights):
        weights, licence = model, ""
    else:
        path = find(Path(model) if isinstance(model, PathLike) else model)
        weights, licence = load(path), licence_of(path)
    network = to_onnx(weights, task_called(weights.task), licence=licence)
    write_atomically(target, network.data, overwrite=overwrite)
    return network
