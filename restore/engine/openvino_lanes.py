"""Networks run by OpenVINO on x86 processors, and a cache of their converted graphs."""

import hashlib
import json
import os
import platform
import struct
import sys
import threading
import warnings
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restore.engine.lane import Model, TileTooLarge, Traits, is_out_of_memory, traits_of
from restore.engine.placement import Placement, choose_precision
from restore.errors import OutputError
from restore.files import remove_stale_parts, write_atomically

__all__ = [
    "ExportedNetwork",
    "OpenVinoLane",
    "cache_folder",
    "can_serve",
    "load_network",
    "openvino_lanes",
    "serving_lanes",
    "store_network",
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


def openvino_lanes(model: Model, precision: str) -> list[OpenVinoLane]:
    """Return the lanes of a network: two in parallel, each on half of the processor's cores.

    At the end of each layer the threads of a lane wait for the slowest one; meanwhile the other
    lane works.

    Args:
        model: network to run.
        precision: fp32 or bf16.

    Raises:
        WeightsError: the tensors do not fit the architecture.
    """
    exported = _exported(model)
    threads = _threads()
    lanes = min(_MOST_LANES, threads)
    options: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[precision],
        "NUM_STREAMS": lanes,
        "INFERENCE_NUM_THREADS": threads,
        # A pinned thread would wait while a decoding thread occupies its core.
        "ENABLE_CPU_PINNING": False,
    }
    core = _core()
    tensors = np.frombuffer(exported.tensors, np.uint8)
    model = core.read_model(model=exported.graph, weights=_openvino().Tensor(tensors))
    compiled = core.compile_model(model, "CPU", options)
    return [OpenVinoLane(compiled, exported.traits, precision) for _ in range(lanes)]


def serving_lanes(model: Model, placement: Placement) -> list[OpenVinoLane]:
    """Return lanes where OpenVINO is the right choice, else an empty list.

    In bf16 OpenVINO rounds every layer. The measured loss holds if they predict only the noise;
    other networks have layers that must stay in float32.

    Args:
        model: network to run.
        placement: device, precision and tile size.

    Raises:
        UsageError: no such precision.
        WeightsError: the tensors do not fit the architecture.
    """
    if not can_serve(placement.device):
        return []
    fast = ("bf16",) if _has_fast_bf16() else ()
    chosen = choose_precision(placement.precision, fast, model.precision_loss_db)
    if chosen == "fp32" or (chosen in fast and model.is_residual):
        return openvino_lanes(model, chosen)
    return []


def _threads() -> int:
    told = os.environ.get("OMP_NUM_THREADS", "")
    if told.isdecimal() and int(told) > 0:
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


@dataclass(frozen=True)
class ExportedNetwork:
    """A network in OpenVINO's own format.

    Attributes:
        traits: properties of the network.
        graph: layers, as XML.
        tensors: parameters, as the bytes of OpenVINO's ``.bin`` file.
    """

    traits: Traits
    graph: bytes
    tensors: bytes


def _exported(model: Model) -> ExportedNetwork:
    name = model.fingerprint(_openvino().__version__)
    found = load_network(name) if name else None
    if found is None:
        found = _export(model)
        if name:
            store_network(name, found)
    return found


def _export(model: Model) -> ExportedNetwork:
    """Trace the network with PyTorch; height and width stay dynamic."""
    import torch

    network: Any = model.build()
    traits = traits_of(network)
    side = 2 * traits.multiple * -(-32 // (2 * traits.multiple))
    planes = getattr(network.config, "planes", traits.channels)
    inputs = [torch.zeros(1, planes, side, side)]
    if getattr(network.config, "noise_map", False):
        inputs.append(torch.zeros(1))
    graph, tensors = _traced(network, tuple(inputs))
    return ExportedNetwork(traits, graph, tensors)


def _traced(network: Any, inputs: tuple[Any, ...]) -> tuple[bytes, bytes]:
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
    shapes = [list(each.shape) for each in inputs]
    shapes[0][2:] = [-1, -1]
    model.reshape({i: openvino.PartialShape(shape) for i, shape in enumerate(shapes)})
    with TemporaryDirectory(prefix="imrestore-") as folder:
        path = Path(folder) / "network.xml"
        openvino.serialize(model, path, path.with_suffix(".bin"))
        return path.read_bytes(), path.with_suffix(".bin").read_bytes()


_SUFFIX = ".network"
_MOST_ENTRIES = 32
_LENGTHS = struct.Struct("<QQ")


def cache_folder() -> Path:
    """Return this program's folder in the user's cache directory.

    Raises:
        RuntimeError: the user has no home directory, and no variable names a cache directory.
    """
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "imrestore"


def load_network(name: str) -> ExportedNetwork | None:
    """Return the cache entry ``name``, or None if it is missing or damaged."""
    try:
        path = cache_folder() / f"{name}{_SUFFIX}"
        data = path.read_bytes()
        os.utime(path)  # so that entries in use are not evicted
    except (OSError, RuntimeError):
        return None
    checksum, body = data[:32], memoryview(data)[32:]
    if hashlib.sha256(body).digest() != checksum:
        return None
    traits_size, graph_size = _LENGTHS.unpack_from(body)
    body = body[_LENGTHS.size :]
    graph_end = traits_size + graph_size
    return ExportedNetwork(
        traits=Traits(**json.loads(bytes(body[:traits_size]))),
        graph=bytes(body[traits_size:graph_end]),
        tensors=bytes(body[graph_end:]),
    )


def store_network(name: str, network: ExportedNetwork) -> None:
    """Store a cache entry, keeping the 32 used last; do nothing if the folder is not writable."""
    traits = json.dumps(asdict(network.traits)).encode()
    lengths = _LENGTHS.pack(len(traits), len(network.graph))
    body = b"".join((lengths, traits, network.graph, network.tensors))
    with suppress(OSError, RuntimeError, OutputError):
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        remove_stale_parts(folder)
        parts = (hashlib.sha256(body).digest(), body)
        write_atomically(folder / f"{name}{_SUFFIX}", parts, overwrite=True)
        entries = sorted(folder.glob(f"*{_SUFFIX}"), key=lambda path: path.stat().st_mtime)
        for path in entries[:-_MOST_ENTRIES]:
            path.unlink(missing_ok=True)
