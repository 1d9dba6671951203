"""Networks run by PyTorch, on processors and GPUs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from restore.engine.choice import choose_precision
from restore.engine.device import PRECISIONS, fast_precisions, resolve_device
from restore.engine.runner import TileTooLarge, Traits
from restore.weights import Weights, build

__all__ = ["TorchRunner", "exact_float32", "memory_errors", "traits_of"]

_FAR = 32
"""A halo from which on seams cost more than the cache saves."""


class TorchRunner:
    """Runs one network on one device; see ``Runner``.

    Args:
        weights: what to run.
        device: auto, cpu, cuda, cuda:N or mps.
        precision: auto, fp32, fp16 or bf16.

    Raises:
        UsageError: an option that does not exist.
        DeviceError: the device is not on this machine.
        WeightsError: the tensors do not fit the architecture.
    """

    engine = "pytorch"

    def __init__(self, weights: Weights, *, device: str, precision: str) -> None:
        self._device = resolve_device(device)
        self.device = str(self._device)
        fast = fast_precisions(self._device)
        self.precision = choose_precision(precision, fast, weights.precision_loss_db)
        network: Any = build(weights)
        self.traits = traits_of(weights, network)
        self._network = network.to(
            self._device, PRECISIONS[self.precision], memory_format=torch.channels_last
        )

    @property
    def auto_tile(self) -> int:
        """Side of the tiles that suit it, in the pixels that it sees."""
        if self._device.type != "cpu":
            return 1024
        # Small tiles keep bf16 units fed from the cache, but a halo is computed twice at every
        # seam: networks that see far, and float32, gain more from larger tiles.
        size = 512 if self.traits.halo > _FAR else 256
        return size if self.precision == "bf16" else 2 * size

    def __call__(self, *inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the network makes of one picture."""
        with memory_errors(), torch.inference_mode(), exact_float32(self.precision == "fp32"):
            tensors = [torch.tensor(each).to(self._device) for each in inputs]
            tensors[0] = tensors[0].to(memory_format=torch.channels_last)
            result: NDArray[np.float32] = self._network(*tensors).float().cpu().numpy()
        return result


def traits_of(weights: Weights, network: Any) -> Traits:
    """Return the traits of a network that was built of ``weights``."""
    return Traits(
        channels=weights.channels,
        halo=int(network.halo),
        multiple=int(network.multiple),
        scale=int(getattr(weights.config, "scale", 1)),
    )


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn a GPU's lack of memory into ``TileTooLarge``, and give back what it holds in reserve."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        raise TileTooLarge(str(error)) from error


@contextmanager
def exact_float32(wanted: bool) -> Iterator[None]:
    """Keep cuDNN from rounding float32 to TF32 and from choosing algorithms by the clock."""
    if not wanted:
        yield
        return
    with torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    ):
        yield
