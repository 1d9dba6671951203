"""Export to ONNX for pictures of any size, checked against PyTorch."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from restore.errors import UsageError, WeightsError
from restore.weights.store import Weights
from restore.weights.task import Task

__all__ = ["OnnxNetwork", "to_onnx"]

_TOLERANCE = 1e-4
_OPSET = 18
# Batch, height and width in units of the network's multiple; they differ from the trace's.
_CHECKED = ((1, 5, 9), (3, 8, 4))


@dataclass(frozen=True)
class OnnxNetwork:
    """An exported ONNX file and the result of its check.

    Attributes:
        data: bytes of the file.
        multiple: height and width of pictures must be multiples of this; 0 where they are fixed.
        difference: largest absolute difference from PyTorch's results on random pictures, or None
            if onnxruntime is not installed.
    """

    data: bytes
    multiple: int
    difference: float | None


class _Method(nn.Module):
    """Exposes a method of a network as ``forward``, which exporters call."""

    def __init__(self, network: nn.Module, method: str) -> None:
        super().__init__()
        self.network, self.method = network, method

    def forward(self, picture: Tensor) -> Tensor:
        result: Tensor = getattr(self.network, self.method)(picture)
        return result


def to_onnx(weights: Weights, task: Task) -> OnnxNetwork:
    """Return ``weights`` as an ONNX file in float32.

    Its first input is ``picture``, ``(B, C, H, W)`` as the network's ``forward`` takes it; networks
    that are told the noise level have a second one, ``sigma``, ``(B,)`` in [0, 1]. The output is
    ``result``. Batch, height and width are dynamic; windowed autoencoders have a fixed height and
    width.

    Raises:
        UsageError: the package onnx or onnxscript is not installed.
        WeightsError: the tensors do not fit the architecture, or the file's results differ from
            PyTorch's.
    """
    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"ONNX files need the package {' and '.join(missing)}: pip install 'imrestore[onnx]'"
        )
    network: Any = weights.build()
    module = network if task.method == "forward" else _Method(network, task.method)
    window = int(getattr(network, "window", 0))
    sizes = [(2, 6, 7), *_CHECKED]
    multiple = 0 if window else int(network.multiple)
    unit = max(multiple, 8)
    pictures = [
        _inputs(weights, (b, window, window) if window else (b, unit * h, unit * w), seed)
        for seed, (b, h, w) in enumerate(sizes)
    ]
    data = _exported(weights, module, pictures[0], is_fixed=window > 0)
    difference = _difference(data, module, pictures[1:])
    if difference is not None and not difference <= _TOLERANCE:
        raise WeightsError(
            f"{weights.name}: as ONNX it differs from PyTorch by {difference:.1e}; not written"
        )
    return OnnxNetwork(data, multiple, difference)


def _inputs(weights: Weights, shape: tuple[int, int, int], seed: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    batch, height, width = shape
    picture = torch.rand(batch, weights.planes, height, width, generator=generator)
    sigma = torch.rand(batch, generator=generator) / 5
    return (picture, sigma) if weights.takes_sigma else (picture,)


def _exported(
    weights: Weights, module: nn.Module, inputs: tuple[Tensor, ...], *, is_fixed: bool
) -> bytes:
    open_sides = () if is_fixed else (2, 3)
    dynamic = torch.export.Dim.DYNAMIC
    shapes = tuple(
        dict.fromkeys((0, *open_sides) if each.ndim == 4 else (0,), dynamic) for each in inputs
    )
    with _quiet(), torch.inference_mode():
        program = torch.onnx.export(
            module,
            inputs,
            dynamo=True,
            input_names=["picture", "sigma"][: len(inputs)],
            output_names=["result"],
            dynamic_shapes=shapes,
            opset_version=_OPSET,
            verbose=False,
        )
    if program is None:
        raise WeightsError(f"{weights.name}: PyTorch returned no ONNX file")
    model: Any = program.model_proto
    model.producer_name = "imrestore"
    model.doc_string = f"{weights.name}: {weights.architecture} for {weights.task}"
    return bytes(model.SerializeToString())


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the exporter's warnings about packages that we do not use."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _difference(data: bytes, module: nn.Module, pictures: list[tuple[Tensor, ...]]) -> float | None:
    if find_spec("onnxruntime") is None:
        return None
    import onnxruntime

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    largest = 0.0
    for inputs in pictures:
        fed = {name: each.numpy() for name, each in zip(names, inputs, strict=True)}
        result: NDArray[np.float32] = session.run(None, fed)[0]
        with torch.inference_mode():
            expected = module(*inputs).numpy()
        if result.shape != expected.shape:
            return float("inf")
        # NaN must not pass for a small difference.
        largest = max(largest, float(np.nan_to_num(np.abs(result - expected), nan=np.inf).max()))
    return largest
