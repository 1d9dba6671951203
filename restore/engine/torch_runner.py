"""Networks run by PyTorch, on processors and GPUs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restore.engine.choice import choose_precision
from restore.engine.device import fast_precisions, resolve_devices
from restore.engine.runner import Traits
from restore.engine.torch_lane import TorchLane, torch_lanes
from restore.weights.store import Weights, build

__all__ = ["TorchRunner", "torch_runners", "traits_of"]

_FAR = 32
"""A halo from which on seams cost more than the cache saves."""


class TorchRunner:
    """Runs one network in one lane; see ``Runner``.

    Args:
        lane: calls the network.
        traits: of the network.
    """

    engine = "pytorch"

    def __init__(self, lane: TorchLane, traits: Traits) -> None:
        self.traits = traits
        self.device, self.precision = lane.device, lane.precision
        self._lane = lane

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

    def __call__(self, *inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the network makes of one picture."""
        return self._lane(*inputs)


def torch_runners(weights: Weights, *, device: str, precision: str) -> list[TorchRunner]:
    """Return what runs a network side by side: one runner, or several on GPUs.

    Args:
        weights: what to run.
        device: auto, cpu, cuda, cuda:N, cuda:all or mps.
        precision: auto, fp32, fp16 or bf16.

    Raises:
        UsageError: an option that does not exist.
        DeviceError: the device is not on this machine.
        WeightsError: the tensors do not fit the architecture.
    """
    devices = resolve_devices(device)
    fast = fast_precisions(devices[0])
    chosen = choose_precision(precision, fast, weights.precision_loss_db)
    network = build(weights)
    traits = traits_of(weights, network)
    lanes = torch_lanes(network, devices, chosen, function=_in_channels_last)
    return [TorchRunner(lane, traits) for lane in lanes]


def traits_of(weights: Weights, network: Any) -> Traits:
    """Return the traits of a network that was built of ``weights``."""
    return Traits(
        channels=weights.channels,
        halo=int(network.halo),
        multiple=int(network.multiple),
        scale=int(getattr(weights.config, "scale", 1)),
    )


def _in_channels_last(network: Any) -> Callable[..., Tensor]:
    def run(picture: Tensor, *levels: Tensor) -> Tensor:
        result: Tensor = network(picture.to(memory_format=torch.channels_last), *levels)
        return result

    return run
