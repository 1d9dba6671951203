"""A network that PyTorch runs on a device, called with arrays."""

import logging
import math
import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from restore.engine.device import PRECISIONS, is_out_of_memory
from restore.engine.runner import TileTooLarge
from restore.errors import DeviceError

__all__ = ["CudaLane", "TorchLane", "exact_float32", "memory_errors", "torch_lanes"]

Array = NDArray[np.float32]
Function = Callable[..., Tensor]

log = logging.getLogger("restore")

_LANES_PER_GPU = 2
"""While the network runs for one, the other's pixels are on their way."""

_MOST_PLANS = 512
"""Of cuDNN, for each thread: some for every shape of tile, of some hundred kilobytes each."""


class TorchLane:
    """Calls a function of tensors on one device with arrays; see ``Lane``.

    Args:
        function: maps float32 tensors on ``device`` to a tensor there.
        device: where.
        precision: fp32, fp16 or bf16, in which ``function`` computes.
    """

    def __init__(self, function: Function, device: torch.device, precision: str) -> None:
        self.device, self.precision = str(device), precision
        self._function, self._device = function, device

    def __call__(self, *inputs: Array) -> Array:
        """Return what the function makes of its inputs."""
        with memory_errors(), torch.inference_mode(), exact_float32(self.precision == "fp32"):
            return self._run(inputs)

    def _run(self, inputs: Sequence[Array]) -> Array:
        tensors = [torch.tensor(each).to(self._device) for each in inputs]
        result: Array = self._function(*tensors).float().cpu().numpy()
        return result


class CudaLane(TorchLane):
    """The same on a GPU, in a thread and a stream of its own and by way of pinned memory.

    PyTorch keeps cuDNN's plans for each thread, and those of threads that ended for ever. So they
    are made in one thread, whoever calls.

    All that a call does on the GPU happens in the lane's stream, one thing after the other, and is
    over when the call returns. So tensors need no ``record_stream``: the allocator lends memory
    within a stream. And the pinned buffers of inputs are free again for the next call.

    Args:
        function: as for ``TorchLane``; what it uses must lie on the GPU ready.
        device: a GPU.
        precision: as for ``TorchLane``.
    """

    def __init__(self, function: Function, device: torch.device, precision: str) -> None:
        super().__init__(function, device, precision)
        os.environ.setdefault("TORCH_CUDNN_V8_API_LRU_CACHE_LIMIT", str(_MOST_PLANS))
        self._thread = ThreadPoolExecutor(1, "gpu")
        self._stream: Any = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._buffers: dict[str, Tensor] = {}

    def __call__(self, *inputs: Array) -> Array:
        """Return what the function makes of its inputs."""
        return self._thread.submit(super().__call__, *inputs).result()

    def _run(self, inputs: Sequence[Array]) -> Array:
        with torch.cuda.stream(self._stream):
            try:
                tensors = [self._uploaded(f"input {n}", each) for n, each in enumerate(inputs)]
                result = self._function(*tensors).float().contiguous()
                on_host, total = (self._downloaded(each) for each in (result, result.sum()))
            finally:
                # Also after an error: a copy may still be reading a buffer.
                self._stream.synchronize()
        # Some GPUs do this to every convolution in half precision, and clipped it would be black.
        if self.precision != "fp32" and not math.isfinite(total):
            raise DeviceError(
                f"device {self.device}: its results in {self.precision} are not numbers; "
                "try --precision fp32"
            )
        return on_host.numpy()

    def _uploaded(self, name: str, array: Array) -> Tensor:
        buffer = self._buffer(name, array.shape)
        np.copyto(buffer.numpy(), array)
        return buffer.to(self._device, non_blocking=True)

    def _downloaded(self, result: Tensor) -> Tensor:
        """Begin the copy to the host; it is there once the stream is synchronised.

        Into memory that the caller keeps: PyTorch lends it again after that, without a new call of
        the system.
        """
        buffer = _pinned(result.numel()).view(result.shape)
        # Of one layout and type, or the copy would go by way of memory that is not pinned.
        return buffer.copy_(result, non_blocking=True)

    def _buffer(self, name: str, shape: Sequence[int]) -> Tensor:
        count = math.prod(shape)
        if name not in self._buffers or len(self._buffers[name]) < count:
            self._buffers[name] = _pinned(count)
        return self._buffers[name][:count].view(*shape)


def torch_lanes(
    network: nn.Module,
    devices: Sequence[torch.device],
    precision: str,
    *,
    function: Callable[[Any], Function] = lambda network: network,
) -> list[TorchLane]:
    """Return the lanes of a network: one on a processor, two on every GPU by CUDA.

    Args:
        network: is moved to the first device; the others get copies.
        devices: all of one type.
        precision: fp32, fp16 or bf16.
        function: returns what the lanes call, of the network on a device.

    Raises:
        DeviceError: none of the devices has memory for the network.
    """
    copies: list[Any] = [network, *(deepcopy(network) for _ in devices[1:])]
    lanes = []
    for device, copy in zip(devices, copies, strict=True):
        try:
            copy.to(device, PRECISIONS[precision], memory_format=torch.channels_last)
            lanes.append(_lanes_on(device, function(copy), precision))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if device is devices[-1] and not lanes:
                raise DeviceError(
                    f"device {device}: has no memory for the network; try --device cpu"
                ) from error
            log.warning("%s has no memory for the network; going on without it", device)
    # In turns, so that a few tiles spread over all devices.
    return [lane for one_of_each in zip(*lanes, strict=True) for lane in one_of_each]


def _lanes_on(device: torch.device, function: Function, precision: str) -> list[TorchLane]:
    if device.type != "cuda":
        return [TorchLane(function, device, precision)]
    # The lanes' streams do not wait for the one that the weights came in.
    torch.cuda.synchronize(device)
    return [CudaLane(function, device, precision) for _ in range(_LANES_PER_GPU)]


def _pinned(count: int) -> Tensor:
    return torch.empty(count, pin_memory=True)


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn a GPU's lack of memory into ``TileTooLarge``, and give back what it holds in reserve."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        # What was computed so far lives on in the frames of the error, which lives while the next
        # tile is tried.
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
    """Keep cuDNN from rounding float32 to TF32 and from choosing algorithms by the clock.

    These are settings of the process: they stay until the last thread that wants them is done.
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
