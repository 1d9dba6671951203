"""Networks run by PyTorch on CPUs and GPUs, with NumPy arrays as inputs and outputs."""

import logging
import math
import os
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from restore.arguments import argument
from restore.engine.device import PRECISIONS, fast_precisions, resolve_devices
from restore.engine.lane import Model, TileTooLarge, Traits, is_out_of_memory, traits_of
from restore.engine.placement import Placement, choose_precision
from restore.errors import DeviceError

__all__ = ["CudaLane", "TorchLane", "exact_float32", "memory_errors", "open_lanes", "torch_lanes"]

Array = NDArray[np.float32]

log = logging.getLogger("restore")

_LANES_PER_GPU = 2
"""While the network runs in one lane, the other transfers pixels."""

_MOST_PLANS = 512
"""Limit on cuDNN's cached plans per thread; each tile shape needs a few, of some 100 kB each."""

_LARGE_HALO = 32
"""Halo in pixels above which seams cost more than the cache saves."""


class TorchLane:
    """Runs one network on one device; see ``Lane``.

    Args:
        network: network to run, on ``device`` and in ``precision``.
        traits: properties of the network.
        device: device to run on.
        precision: fp32, fp16 or bf16.
        method: name of the network's method to call.
    """

    engine = "pytorch"

    def __init__(
        self,
        network: nn.Module,
        traits: Traits,
        device: torch.device,
        precision: str,
        *,
        method: str = "forward",
    ) -> None:
        self.traits = traits
        self.device, self.precision = str(device), precision
        self._device = device
        # Calling the module instead of its forward also runs the hooks.
        self._function = network if method == "forward" else getattr(network, method)

    @property
    def auto_tile(self) -> int:
        """Default side of the tiles, in input pixels."""
        if self.device != "cpu":
            # The faster the network, the more the host's work per tile matters. Packed mosaics are
            # at least twice as large as the input, and other GPUs share main memory.
            is_fast = self.device.startswith("cuda") and self.precision != "fp32"
            return 2048 if is_fast and self.traits.scale == 1 else 1024
        # Small tiles keep bf16 units fed from the cache, but a halo is computed twice at every
        # seam: networks with a large receptive field, and float32, gain more from larger tiles.
        size = 512 if self.traits.halo > _LARGE_HALO else 256
        return size if self.precision == "bf16" else 2 * size

    def __call__(self, *inputs: Array) -> Array:
        """Return the network's output."""
        with memory_errors(), torch.inference_mode(), exact_float32(self.precision == "fp32"):
            tensors = [torch.tensor(each).to(self._device) for each in inputs]
            result: Array = self._function(*_channels_last(tensors)).float().cpu().numpy()
            return result


class CudaLane(TorchLane):
    """Runs one network on a GPU, with its own thread and stream, through pinned memory.

    PyTorch caches cuDNN's plans per thread and never frees those of ended threads. So every call
    runs in the lane's own thread.

    All GPU work of a call runs in order in the lane's stream and is complete when the call returns.
    So tensors need no ``record_stream``, as the allocator reuses memory within a stream, and the
    next call may reuse the pinned buffers of the inputs.

    Args:
        network: as for ``TorchLane``; its copy to the GPU must be complete.
        traits: as for ``TorchLane``.
        device: a GPU.
        precision: as for ``TorchLane``.
        method: as for ``TorchLane``.
    """

    def __init__(
        self,
        network: nn.Module,
        traits: Traits,
        device: torch.device,
        precision: str,
        *,
        method: str = "forward",
    ) -> None:
        super().__init__(network, traits, device, precision, method=method)
        os.environ.setdefault("TORCH_CUDNN_V8_API_LRU_CACHE_LIMIT", str(_MOST_PLANS))
        self._thread = ThreadPoolExecutor(1, "gpu")
        self._stream: Any = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._buffers: dict[str, Tensor] = {}

    def __call__(self, *inputs: Array) -> Array:
        """Return the network's output."""
        return self._thread.submit(self._run, *inputs).result()

    def _run(self, *inputs: Array) -> Array:
        with memory_errors(), torch.inference_mode(), exact_float32(self.precision == "fp32"):
            with torch.cuda.stream(self._stream):
                try:
                    tensors = [self._uploaded(f"input {n}", each) for n, each in enumerate(inputs)]
                    result = self._function(*_channels_last(tensors)).float().contiguous()
                    on_host, total = (self._downloaded(each) for each in (result, result.sum()))
                finally:
                    # Also after an error: a copy may still be reading a buffer.
                    self._stream.synchronize()
            # Some GPUs return NaN from every half-precision convolution; clipped, that would be
            # black.
            if self.precision != "fp32" and not math.isfinite(total):
                raise DeviceError(
                    f"device {self.device}: its results in {self.precision} are not numbers; "
                    f"try {argument('precision', 'fp32')}"
                )
            return on_host.numpy()

    def _uploaded(self, name: str, array: Array) -> Tensor:
        buffer = self._buffer(name, array.shape)
        np.copyto(buffer.numpy(), array)
        return buffer.to(self._device, non_blocking=True)

    def _downloaded(self, result: Tensor) -> Tensor:
        """Start the copy to the host; it is complete once the stream is synchronised.

        The caller keeps the buffer; once freed, PyTorch reuses its pinned memory without a system
        call.
        """
        buffer = _pinned(result.numel()).view(result.shape)
        # With another layout or dtype the copy would go through memory that is not pinned.
        return buffer.copy_(result, non_blocking=True)

    def _buffer(self, name: str, shape: Sequence[int]) -> Tensor:
        count = math.prod(shape)
        if name not in self._buffers or len(self._buffers[name]) < count:
            self._buffers[name] = _pinned(count)
        return self._buffers[name][:count].view(*shape)


def open_lanes(model: Model, placement: Placement, *, method: str = "forward") -> list[TorchLane]:
    """Return the lanes that run a network in parallel: one, or several on GPUs.

    Args:
        model: network to run.
        placement: device, precision and tile size.
        method: name of the network's method to call.

    Raises:
        UsageError: invalid device or precision.
        DeviceError: the device is not on this machine, or has no memory for the network.
        WeightsError: the tensors do not fit the architecture.
    """
    devices = resolve_devices(placement.device)
    fast = fast_precisions(devices[0])
    precision = choose_precision(placement.precision, fast, model.precision_loss_db)
    network = model.build()
    return torch_lanes(network, traits_of(network), devices, precision, method=method)


def torch_lanes(
    network: nn.Module,
    traits: Traits,
    devices: Sequence[torch.device],
    precision: str,
    *,
    method: str = "forward",
) -> list[TorchLane]:
    """Return the lanes of a network: two on each CUDA GPU, one on any other device.

    Args:
        network: network to run; moved to the first device, copied to the others.
        traits: properties of the network.
        devices: devices to run on, all of one type.
        precision: fp32, fp16 or bf16.
        method: name of the network's method to call.

    Raises:
        DeviceError: none of the devices has memory for the network.
    """
    copies: list[Any] = [network, *(deepcopy(network) for _ in devices[1:])]
    lanes = []
    for device, copy in zip(devices, copies, strict=True):
        try:
            copy.to(device, PRECISIONS[precision], memory_format=torch.channels_last)
            lanes.append(_lanes_on(device, copy, traits, precision, method))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if device is devices[-1] and not lanes:
                raise DeviceError(
                    f"device {device}: has no memory for the network; "
                    f"try {argument('device', 'cpu')}"
                ) from error
            log.warning("%s has no memory for the network; going on without it", device)
    # Interleaved, so that a few tiles spread over all devices.
    return [lane for one_of_each in zip(*lanes, strict=True) for lane in one_of_each]


def _lanes_on(
    device: torch.device, network: nn.Module, traits: Traits, precision: str, method: str
) -> list[TorchLane]:
    if device.type != "cuda":
        return [TorchLane(network, traits, device, precision, method=method)]
    # The lanes' streams do not wait for the stream that copied the weights.
    torch.cuda.synchronize(device)
    return [
        CudaLane(network, traits, device, precision, method=method) for _ in range(_LANES_PER_GPU)
    ]


def _channels_last(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return the picture in the weights' channels-last layout, and noise levels unchanged."""
    picture, *levels = tensors
    return [picture.to(memory_format=torch.channels_last), *levels]


def _pinned(count: int) -> Tensor:
    return torch.empty(count, pin_memory=True)


@contextmanager
def memory_errors() -> Iterator[None]:
    """Raise ``TileTooLarge`` when a GPU runs out of memory, and release its cached memory."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        # The error lives on while the next tile is tried, and its frames would keep intermediate
        # results.
        traceback.clear_frames(error.__traceback__)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if torch.backends.mps.is_available():
            torch.mps.empty_cache()
        raise TileTooLarge(str(error)) from error


_exact = ExitStack()
_exact_lock = Lock()
_exact_users = 0


@contextmanager
def exact_float32(wanted: bool) -> Iterator[None]:
    """Keep cuDNN from rounding float32 to TF32 and from choosing algorithms by benchmark.

    The settings are process-wide: they stay until the last thread that wants them is done.
    """
    global _exact_users
    if not wanted:
        yield
        return
    with _exact_lock:
        if _exact_users == 0:
            _exact.enter_context(
                torch.backends.cudnn.flags(
                    enabled=True, benchmark=False, deterministic=True, allow_tf32=False
                )
            )
        _exact_users += 1
    try:
        yield
    finally:
        with _exact_lock:
            _exact_users -= 1
            if _exact_users == 0:
                _exact.close()
