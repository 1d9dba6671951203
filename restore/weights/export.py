"""Export to ONNX for pictures of any size, checked against PyTorch."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from restore.errors import UsageError, WeightsError
from restore.weights.store import Weights
from restore.weights.task import Task

__all__ = ["AnySize", "Graph", "OnnxNetwork", "to_onnx"]

_TOLERANCE = 1e-4
_OPSET = 18
_NO_LICENCE = "not stated; that of the data and of the source of the weights"
# Batch, height and width in units of 8 pixels or more; they differ from those of the trace.
_CHECKED = ((1, 5, 9), (3, 8, 4))


@dataclass(frozen=True, kw_only=True)
class Graph:
    """What is exported of weights.

    Attributes:
        module: maps pictures ``(B, C, H, W)``, and the noise level ``(B,)`` where the network is
            told it, to its outputs.
        outputs: names of the outputs.
        multiple: height and width must be multiples of this.
        size: the only height and width that it takes, or None.
        least: the least height and width that it takes.
        metadata: what is stored in the file beside the graph.
        remarks: sentences for whoever uses the file.
    """

    module: nn.Module
    outputs: tuple[str, ...] = ("result",)
    multiple: int = 1
    size: tuple[int, int] | None = None
    least: tuple[int, int] = (1, 1)
    metadata: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


class AnySize(nn.Module):
    """Runs a network on pictures of any size: mirrors their edges, and cuts the result.

    Rows are added below and columns on the right, as the engine does.

    Args:
        network: network whose results are of the size of its first input.
        multiple: what its height and width must be multiples of.
    """

    def __init__(self, network: nn.Module, multiple: int) -> None:
        super().__init__()
        self.network = network
        self.multiple = multiple

    def forward(self, picture: Tensor, sigma: Tensor | None = None) -> Tensor:
        """Return the network's result for ``(B, C, H, W)``, and ``(B,)`` if it takes that."""
        height, width = picture.shape[2:]
        if self.multiple > 1:
            rows, columns = (_mirrored(side, self.multiple) for side in (height, width))
            picture = picture.index_select(2, rows).index_select(3, columns)
        result: Tensor = self.network(*(each for each in (picture, sigma) if each is not None))
        return result[:, :, :height, :width]


def _mirrored(side: int, multiple: int) -> Tensor:
    """Return the indices of a side that is mirrored to reach a multiple."""
    forth = torch.arange(side)
    # As often as a side of one pixel needs; ONNX has no remainder by a size.
    there_and_back = torch.cat([forth, forth.flip(0)] * -(-multiple // 2))
    reached = (side + multiple - 1) // multiple * multiple
    return there_and_back.index_select(0, torch.arange(reached))


@dataclass(frozen=True)
class OnnxNetwork:
    """An exported ONNX file and the result of its check.

    Attributes:
        data: bytes of the file.
        weights: weights that it was made of.
        graph: what was exported.
        difference: largest absolute difference from PyTorch's results on random pictures, or None
            if onnxruntime is not installed.
    """

    data: bytes
    weights: Weights
    graph: Graph
    difference: float | None


def to_onnx(weights: Weights, task: Task, *, licence: str = "") -> OnnxNetwork:
    """Return ``weights`` as an ONNX file in float32.

    Its first input is ``picture``, ``(B, C, H, W)`` as the network's ``forward`` takes it; networks
    that are told the noise level have a second one, ``sigma``, ``(B,)`` in [0, 1]. The output is
    ``result``, unless the task exports another ``Graph``. The axes batch, height and width are
    dynamic. The metadata name task, network, multiple and licence.

    Args:
        weights: weights to export.
        task: their task.
        licence: licence of the weights; empty if it is not known.

    Raises:
        UsageError: the package onnx or onnxscript is not installed.
        WeightsError: the tensors do not fit the architecture, they lack what the task exports, or
            the file's results differ from PyTorch's.
    """
    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"ONNX files need the package {' and '.join(missing)}: pip install 'imrestore[onnx]'"
        )
    graph = task.graph_of(weights)
    unit = max(graph.multiple, 8)
    pictures = [
        _inputs(weights, (batch, *(graph.size or _sides(graph, unit, height, width))), seed)
        for seed, (batch, height, width) in enumerate([(2, 6, 7), *_CHECKED])
    ]
    data = _exported(weights, graph, pictures[0], licence or _NO_LICENCE)
    difference = _difference(data, graph, pictures[1:])
    if difference is not None and not difference <= _TOLERANCE:
        raise WeightsError(
            f"{weights.name}: as ONNX it differs from PyTorch by {difference:.1e}; not written"
        )
    return OnnxNetwork(data, weights, graph, difference)


def _sides(graph: Graph, unit: int, height: int, width: int) -> tuple[int, int]:
    """Return a height and a width in the graph's terms from those in units."""
    # Where any size will do, one that is no multiple of anything.
    odd = 3 if graph.multiple == 1 else 0
    least = [-(-side // unit) * unit for side in graph.least]
    return max(unit * height, least[0]) + odd, max(unit * width, least[1]) + odd


def _inputs(weights: Weights, shape: tuple[int, int, int], seed: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    batch, height, width = shape
    picture = torch.rand(batch, weights.planes, height, width, generator=generator)
    sigma = torch.rand(batch, generator=generator) / 5
    return (picture, sigma) if weights.takes_sigma else (picture,)


def _exported(weights: Weights, graph: Graph, inputs: tuple[Tensor, ...], licence: str) -> bytes:
    sides = {} if graph.size else {2: "height", 3: "width"}
    shapes = tuple({0: "batch", **(sides if each.ndim == 4 else {})} for each in inputs)
    with _quiet(), torch.inference_mode():
        program = torch.onnx.export(
            graph.module,
            inputs,
            dynamo=True,
            input_names=["picture", "sigma"][: len(inputs)],
            output_names=list(graph.outputs),
            dynamic_shapes=shapes,
            opset_version=_OPSET,
            verbose=False,
        )
    if program is None:
        raise WeightsError(f"{weights.name}: PyTorch returned no ONNX file")
    model: Any = program.model_proto
    model.producer_name = "imrestore"
    model.doc_string = f"{weights.name}: {weights.architecture} for {weights.task}"
    if isinstance(graph.module, AnySize):  # else the exporter names sides by their arithmetic
        for side, name in sides.items():
            model.graph.output[0].type.tensor_type.shape.dim[side].dim_param = name
    stated = {
        "task": weights.task,
        "network": weights.architecture,
        "multiple": str(graph.multiple),
        "licence": licence,
    }
    for key, value in {**stated, **graph.metadata}.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
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


def _difference(data: bytes, graph: Graph, pictures: list[tuple[Tensor, ...]]) -> float | None:
    if find_spec("onnxruntime") is None:
        return None
    import onnxruntime

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    largest = 0.0
    for inputs in pictures:
        fed = {name: each.numpy() for name, each in zip(names, inputs, strict=True)}
        with torch.inference_mode():
            expected = graph.module(*inputs)
        if isinstance(expected, Tensor):
            expected = (expected,)
        for result, wanted in zip(session.run(None, fed), expected, strict=True):
            if result.shape != wanted.shape:
                return float("inf")
            gap: NDArray[np.float32] = np.abs(result - wanted.numpy())
            # NaN must not pass for a small difference.
            largest = max(largest, float(np.nan_to_num(gap, nan=np.inf).max()))
    return largest
