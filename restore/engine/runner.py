"""The one interface behind which PyTorch and OpenVINO run networks; importing it needs neither."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Runner", "TileTooLarge", "Traits"]


class TileTooLarge(Exception):
    """The device has not enough memory for a tile of this size.

    Attributes:
        lane: the one of several that had not, where they work side by side.
    """

    lane: object = None


@dataclass(frozen=True, kw_only=True)
class Traits:
    """What must be known about a network to feed it.

    Attributes:
        channels: of the pictures that it is for.
        halo: how far a result depends on the picture, in the pixels that it sees.
        multiple: the sides of what it sees must be multiples of this.
        scale: pixels of the picture to one that it sees, in each direction.
    """

    channels: int
    halo: int
    multiple: int
    scale: int = 1


class Runner(Protocol):
    """A network on a device in a precision."""

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
        """Return what the network makes of one picture.

        Args:
            inputs: as its ``forward`` takes them: a picture ``[1, C, H, W]`` with sides that are
                multiples of ``traits.multiple``, then perhaps a noise level ``[1]``.

        Raises:
            TileTooLarge: the device ran out of memory.
        """
