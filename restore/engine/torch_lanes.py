"""Networks run by PyTorch, on processors and GPUs, called with arrays."""

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

from restore.engine.device import PRECISIONS, fast_precisions, resolve_devices
from restore.engine.lane import Model, TileTooLarge, Traits, is_out_of_memory, traits_of
from restore.engine.placement import Placement, choose_precision
from restore.errors import DeviceError

__all__ = ["CudaLane", "TorchLane", "exact_float32", "memory_errors", "open_lanes", "torch_lanes"]

Array = NDArray[np.float32]

log = logging.getLogger("restore")

_LANES_PER_GPU = 2
"""While the network runs for one, the other's pixels are on their way."""

_MOST_PLANS = 512
"""Of cuDNN, for each thread: some for every shape of tile, of some hundred kilobytes each."""

_FAR = 32
"""A halo from which on seams cost more than the cache saves."""


class TorchLane:
    """Runs one network on one device; see ``Lane``.

    Args:
        network: on ``device``, in ``precision``.
        traits: of the network.
        device: where.
        precision: fp32, fp16 or bf16.
        method: of the network, that is called.
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
        # Called as a module, forward runs the hooks, too.
        self._function = network if method == "forward" else getattr(network, method)

    @property
    def auto_tile(self) -> int:
        """Side of the tiles that suit it, in the pixels that it sees."""
        if self.device != "cpu":
            # What a tile costs the host weighs more the faster the network is. Packed mosaics are
            # twice as large as they look, and other GPUs share the processor's memory.
            is_fast = self.device.startswith("cuda") and self.precision != "fp32"
            return 2048 if is_fast and self.traits.scale == 1 else 1024
        # Small tiles keep bf16 units fed from the cache, but a halo is computed twice at every
        # seam: networks that see far, and float32, gain more from larger tiles.
        size = 512 if self.traits.halo > _FAR else 256
        return size if self.precision == "bf16" else 2 * size

    def __call__(self, *inputs: Array) -> Array:
        """Return what the network makes of its inputs."""
        with memory_errors(), torch.inference_mode(), exact_float32(self.precision == "fp32"):
            tensors = [torch.tensor(each).to(self._device) for each in inputs]
            result: Array = self._function(*_channels_last(tensors)).float().cpu().numpy()
            return result


class CudaLane(TorchLane):
    """The same on a GPU, in a thread and a stream of its own and by way of pinned memory.

    PyTorch keeps cuDNN's plans for each thread, and those of threads that ended for ever. So they
    are made in one thread, whoever calls.

    All that a call does on the GPU happens in the lane's stream, one thing after the other, and is
    over when the call returns. So tensors need no ``record_stream``: the allocator lends memory
    within a stream. And the pinned buffers of inputs are free again for the next call.

    Args:
        network: as for ``TorchLane``; lies on the GPU ready.
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
        """Return what the network makes of its inputs."""
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
            # Some GPUs do this to every convolution in half precision; clipped it would be black.
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


def open_lanes(model: Model, placement: Placement, *, method: str = "forward") -> list[TorchLane]:
    """Return the lanes that a network runs in side by side: one, or several on GPUs.

    Args:
        model: what to run.
        placement: where and how.
        method: of the network, that is called.

    Raises:
        UsageError: an option that does not exist.
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
    """Return the lanes of a network: one on a processor, two on every GPU by CUDA.

    Args:
        network: is moved to the first device; the others get copies.
        traits: of the network.
        devices: all of one type.
        precision: fp32, fp16 or bf16.
        method: of the network, that is called.

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
                    f"device {device}: has no memory for the network; try --device cpu"
                ) from error
            log.warning("%s has no memory for the network; going on without it", device)
    # In turns, so that a few tiles spread over all devices.
    return [lane for one_of_each in zip(*lanes, strict=True) for lane in one_of_each]


def _lanes_on(
    device: torch.device, network: nn.Module, traits: Traits, precision: str, method: str
) -> list[TorchLane]:
    if device.type != "cuda":
        return [TorchLane(network, traits, device, precision, method=method)]
    # The lanes' streams do not wait for the one that the weights came in.
    torch.cuda.synchronize(device)
    return [
        CudaLane(network, traits, device, precision, method=method) for _ in range(_LANES_PER_GPU)
    ]


def _channels_last(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return pictures in the layout that the weights have; levels as they are."""
    picture, *levels = tensors
    return [picture.to(memory_format=torch.channels_last), *levels]


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
