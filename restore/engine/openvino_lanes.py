"""Networks run by OpenVINO on x86 processors."""

import os
import platform
import sys
import threading
import warnings
from errno import ENOSPC
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restore.engine.cache import ExportedNetwork, load_network, store_network
from restore.engine.lane import Model, TileTooLarge, Traits, is_out_of_memory, traits_of
from restore.engine.placement import Placement, choose_precision
from restore.scratch import scratch_folder

__all__ = [
    "OpenVinoLane",
    "can_serve",
    "openvino_lanes",
    "serving_lanes",
]

_MOST_LANES = 2

_GPU_DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""Device files of the Nvidia and AMD drivers, and of both under WSL."""


def can_serve(device: str) -> bool:
    """Whether OpenVINO is installed and the right choice for ``device`` on this machine."""
    if platform.machine() not in ("x86_64", "AMD64") or find_spec("openvino") is None:
        return False
    if device == "auto":
        return sys.platform == "linux" and not _may_have_gpu()
    return device == "cpu"


def _may_have_gpu() -> bool:
    """Whether a GPU driver is present and its GPUs visible; asking PyTorch would take seconds."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return False
    return any(map(os.path.exists, _GPU_DRIVERS))


class OpenVinoLane:
    """Runs one network in one inference request on the CPU; see ``Lane``.

    Args:
        compiled: compiled network, which its lanes share.
        traits: properties of the network.
        precision: number format that it was compiled for.
    """

    engine = "openvino"
    device = "cpu"
    # Larger tiles take more memory, smaller ones spend more on halos; measured from 256 to 1280.
    auto_tile = 1024

    def __init__(self, compiled: Any, traits: Traits, precision: str) -> None:
        self.traits, self.precision = traits, precision
        self._inputs = len(compiled.inputs)
        self._request = compiled.create_infer_request()
        self._busy = threading.Lock()

    def __call__(self, *inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the network's output for one tile."""
        contiguous = [np.ascontiguousarray(each) for each in inputs[: self._inputs]]
        with self._busy:
            try:
                self._request.infer(contiguous, share_inputs=True)
            except (MemoryError, RuntimeError) as error:
                if is_out_of_memory(error):
                    raise TileTooLarge(str(error)) from error
                raise
            result: NDArray[np.float32] = self._request.get_output_tensor(0).data.copy()
        return result


def openvino_lanes(model: Model, precision: str, *, method: str = "forward") -> list[OpenVinoLane]:
    """Return the lanes of a network: two in parallel, each on half of the processor's cores.

    At the end of each layer the threads of a lane wait for the slowest one; meanwhile the other
    lane works.

    Args:
        model: network to run.
        precision: fp32 or bf16.
        method: name of the network's method to call.

    Raises:
        WeightsError: the tensors do not fit the architecture.
        OutputError: the temporary folder is full, which an export needs.
    """
    threads = _threads()
    lanes = min(_MOST_LANES, threads)
    options: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[precision],
        "NUM_STREAMS": lanes,
        "INFERENCE_NUM_THREADS": threads,
        # A pinned thread would wait while a decoding thread occupies its core.
        "ENABLE_CPU_PINNING": False,
        # It would keep the code made for every shape it has seen: 2 MB each, of thousands. A shape
        # that follows itself needs none of it, and making it anew takes milliseconds.
        "CPU_RUNTIME_CACHE_CAPACITY": 0,
    }
    version = str(_openvino().__version__)
    name = model.fingerprint(version if method == "forward" else f"{version} {method}")
    exported = load_network(name) if name else None
    compiled = _compiled_if_sound(exported, options, method) if exported else None
    if exported is None or compiled is None:
        exported = _export(model, method)
        compiled = _compiled(exported, options)
        if name:
            store_network(name, exported)
    return [OpenVinoLane(compiled, exported.traits, precision) for _ in range(lanes)]


def serving_lanes(
    model: Model, placement: Placement, *, method: str = "forward"
) -> list[OpenVinoLane]:
    """Return lanes where OpenVINO is the right choice, else an empty list.

    In bf16 OpenVINO rounds every layer. The measured loss holds if they predict only the noise;
    other networks have layers that must stay in float32.

    Args:
        model: network to run.
        placement: device, precision and tile size.
        method: name of the network's method to call.

    Raises:
        UsageError: no such precision.
        WeightsError: the tensors do not fit the architecture.
        OutputError: as ``openvino_lanes``.
    """
    if model.only_pytorch or not can_serve(placement.device):
        return []
    fast = ("bf16",) if _has_fast_bf16() else ()
    chosen = choose_precision(placement.precision, fast, model.precision_loss_db)
    if chosen == "fp32" or (chosen in fast and model.is_residual):
        return openvino_lanes(model, chosen, method=method)
    return []


def _threads() -> int:
    told = os.environ.get("OMP_NUM_THREADS", "")
    if told.isdecimal() and len(told) < 10 and int(told) > 0:
        return int(told)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _openvino() -> Any:
    import openvino

    return openvino


@cache
def _core() -> Any:
    return _openvino().Core()


def _has_fast_bf16() -> bool:
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _compiled(exported: ExportedNetwork, options: dict[str, Any]) -> Any:
    core = _core()
    tensors = np.frombuffer(exported.tensors, np.uint8)
    graph = core.read_model(model=exported.graph, weights=_openvino().Tensor(tensors))
    return core.compile_model(graph, "CPU", options)


def _compiled_if_sound(
    exported: ExportedNetwork, options: dict[str, Any], method: str
) -> Any | None:
    """Return a compiled cache entry, None if OpenVINO cannot make sense of it."""
    try:
        compiled = _compiled(exported, options)
    except (RuntimeError, TypeError, ValueError) as error:
        if is_out_of_memory(error):
            raise
        return None
    shapes = [each.get_partial_shape() for each in (*compiled.inputs, *compiled.outputs)]
    ranks = [len(shape) if shape.rank.is_static else None for shape in shapes]
    if ranks not in ([4, 4], [4, 1, 4]):
        return None
    channels = shapes[-1][1]
    # Other methods than forward have outputs of their own.
    is_fit = (
        channels.is_dynamic
        or channels.get_length() == exported.traits.channels
        or method != "forward"
    )
    return compiled if is_fit else None


def _export(model: Model, method: str) -> ExportedNetwork:
    """Trace the network with PyTorch; height and width, or the number of windows, stay dynamic."""
    import torch

    network: Any = model.build()
    traits = traits_of(network)
    side = traits.window or 2 * traits.multiple * -(-32 // (2 * traits.multiple))
    planes = getattr(network.config, "planes", traits.channels)
    inputs = [torch.zeros(1, planes, side, side)]
    if getattr(network.config, "noise_map", False):
        inputs.append(torch.zeros(1))
    shapes = [list(each.shape) for each in inputs]
    shapes[0] = [-1, planes, side, side] if traits.window else [1, planes, -1, -1]
    graph, tensors = _traced(_called(network, method), tuple(inputs), shapes)
    return ExportedNetwork(traits, graph, tensors)


def _called(network: Any, method: str) -> Any:
    """Return a module that calls a method of ``network``: modules are traced by ``forward``."""
    if method == "forward":
        return network
    from torch import Tensor, nn

    class Called(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, picture: Tensor) -> Tensor:
            result: Tensor = getattr(self.network, method)(picture)
            return result

    return Called().eval()


def _traced(network: Any, inputs: tuple[Any, ...], shapes: list[list[int]]) -> tuple[bytes, bytes]:
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    openvino = _openvino()
    # Not openvino.convert_model, which sends telemetry.
    frontend = FrontEndManager().load_by_framework("pytorch")
    with warnings.catch_warnings():
        # The tracer mistakes our shape checks for branches on data, and tracing is deprecated.
        warnings.simplefilter("ignore")
        decoder = TorchScriptPythonDecoder(network, example_input=inputs)
        model = frontend.convert(frontend.load(decoder))
    model.reshape({i: openvino.PartialShape(shape) for i, shape in enumerate(shapes)})
    with scratch_folder() as folder:
        path = folder / "network.xml"
        try:
            openvino.serialize(model, path, path.with_suffix(".bin"))
        except RuntimeError as error:
            raise OSError(ENOSPC, "no room for the network", str(folder)) from error
        return path.read_bytes(), path.with_suffix(".bin").read_bytes()
