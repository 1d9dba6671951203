"""The interface behind which PyTorch and OpenVINO run networks; importing it needs neither."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import nn


__all__ = ["Lane", "Model", "TileTooLarge", "Traits", "is_out_of_memory", "traits_of"]


class TileTooLarge(Exception):
    """The device has not enough memory for a tile of this size.

    Attributes:
        lane: the one of several that had not, where they work side by side.
    """

    lane: "Lane | None" = None


@dataclass(frozen=True, kw_only=True)
class Traits:
    """What must be known about a network to feed it.

    Attributes:
        channels: of the pictures that it is for.
        halo: how far a result depends on the picture, in the pixels that it sees.
        multiple: the sides of what it sees must be multiples of this.
        scale: pixels of the picture to one that it sees, in each direction.
        window: the only side that it takes, in pixels, or None where any will do.
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
    """What is run: a network and what was learned."""

    @property
    def name(self) -> str:
        """As a user knows it."""

    @property
    def precision_loss_db(self) -> Mapping[str, Mapping[str, float]]:
        """Measured losses against float32, precision -> level -> dB."""

    def build(self) -> "nn.Module":
        """Return the network in evaluation mode, float32, on the CPU; imports PyTorch."""

    def fingerprint(self, version: str) -> str | None:
        """Return a name for what ``version`` of a program makes of it, None if that is unknown."""


class Lane(Protocol):
    """A network on a device in a precision, that takes one tile at a time."""

    @property
    def traits(self) -> Traits:
        """What must be known to feed it."""

    @property
    def engine(self) -> str:
        """What computes: pytorch or openvino."""

    @property
    def device(self) -> str:
        """Where it runs, as PyTorch writes it."""

    @property
    def precision(self) -> str:
        """fp32, fp16 or bf16."""

    @property
    def auto_tile(self) -> int:
        """Side of the tiles that suit it, in the pixels that it sees."""

    def __call__(self, *inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the network makes of one tile.

        Args:
            inputs: as its ``forward`` takes them: a picture ``[1, C, H, W]`` with sides that are
                multiples of ``traits.multiple``, then perhaps a noise level ``[1]``.

        Raises:
            TileTooLarge: the device ran out of memory.
        """


_SIGNS = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "STATUS_ALLOC_FAILED",
    "CUFFT_ALLOC_FAILED",
    # PyTorch, once none of cuDNN's ways to compute a convolution found room.
    "unable to find an engine to execute",
)
"""PyTorch's allocators, pinned memory, CUDA, its libraries and MPS each have their own words."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether a device, or the machine, had no memory left."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)
