"""A network that PyTorch runs on a device, called with arrays."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from restore.engine.device import PRECISIONS
from restore.engine.runner import TileTooLarge

__all__ = ["TorchLane", "exact_float32", "memory_errors", "torch_lanes"]

Array = NDArray[np.float32]
Function = Callable[..., Tensor]


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


def torch_lanes(
    network: nn.Module,
    devices: Sequence[torch.device],
    precision: str,
    *,
    function: Callable[[Any], Function] = lambda network: network,
) -> list[TorchLane]:
    """Return the lanes of a network: one on every device.

    Args:
        network: is moved to the first device; the others get copies.
        devices: all of one type.
        precision: fp32, fp16 or bf16.
        function: returns what the lanes call, of the network on a device.
    """
    copies: list[Any] = [network, *(deepcopy(network) for _ in devices[1:])]
    lanes = []
    for device, copy in zip(devices, copies, strict=True):
        copy.to(device, PRECISIONS[precision], memory_format=torch.channels_last)
        lanes.append(TorchLane(function(copy), device, precision))
    return lanes


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn a GPU's lack of memory into ``TileTooLarge``, and give back what it holds in reserve."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
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
