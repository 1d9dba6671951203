"""The interface that PyTorch and OpenVINO lanes share; importing it needs neither."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import nn


__all__ = ["Lane", "Model", "TileTooLarge", "Traits", "is_out_of_memory", "traits_of"]


class TileTooLarge(Exception):
    """The device does not have enough memory for a tile of this size.

    Attributes:
        lane: lane that ran out of memory, where several run in parallel.
    """

    lane: "Lane | None" = None


@dataclass(frozen=True, kw_only=True)
class Traits:
    """The properties of a network that determine the shape of its inputs.

    Attributes:
        channels: number of picture channels.
        halo: how far an output depends on the input, in input pixels.
        multiple: height and width of an input must be multiples of this.
        scale: picture pixels per input pixel, in each direction; not 1 for packed mosaics.
        window: fixed height and width of an input in pixels, or None if any size works.
    """

    channels: int
    halo: int
    multiple: int
    scale: int = 1
    window: int | None = None


def traits_of(network: Any) -> Traits:
    """Return the traits of a network from ``restore.models``."""
    window = getattr(network, "window", None)
    return Traits(
        channels=int(network.config.channels),
        halo=int(network.halo) if window is None else 0,
        multiple=int(network.multiple) if window is None else 1,
        scale=int(getattr(network.config, "scale", 1)),
        window=window,
    )


class Model(Protocol):
    """A network and its weights, as an engine sees them."""

    @property
    def name(self) -> str:
        """Name shown to the user."""

    @property
    def precision_loss_db(self) -> Mapping[str, Mapping[str, float]]:
        """Measured losses against float32: precision -> level -> dB."""

    @property
    def is_residual(self) -> bool:
        """Whether the network computes what is subtracted from its input."""

    @property
    def only_pytorch(self) -> bool:
        """Whether no other engine than PyTorch can run the network."""

    def build(self) -> "nn.Module":
        """Return the network in evaluation mode, float32, on the CPU; imports PyTorch."""

    def fingerprint(self, version: str) -> str | None:
        """Return a cache key for its conversion by ``version`` of an engine, None without one."""


class Lane(Protocol):
    """One network on one device in one precision; it runs one tile at a time."""

    @property
    def traits(self) -> Traits:
        """Properties of the network."""

    @property
    def engine(self) -> str:
        """Name of the engine: pytorch or openvino."""

    @property
    def device(self) -> str:
        """Name of the device, as PyTorch writes it."""

    @property
    def precision(self) -> str:
        """Number format: fp32, fp16 or bf16."""

    @property
    def auto_tile(self) -> int:
        """Default side of the tiles, in input pixels."""

    def __call__(self, *inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the network's output for one tile.

        Args:
            inputs: arguments of the network's ``forward``: a picture ``[1, C, H, W]`` with sides
                that are multiples of ``traits.multiple``, then perhaps a noise level ``[1]``.

        Raises:
            TileTooLarge: the device ran out of memory.
        """


_OUT_OF_MEMORY_TEXTS = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "STATUS_ALLOC_FAILED",
    "CUFFT_ALLOC_FAILED",
    # PyTorch, when no cuDNN algorithm for a convolution fits into memory.
    "unable to find an engine to execute",
)
"""The messages of PyTorch's allocators, pinned memory, CUDA, its libraries and MPS."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether ``error`` means that a device or the machine ran out of memory."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(
        text in str(error) for text in _OUT_OF_MEMORY_TEXTS
    )
