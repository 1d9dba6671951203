"""Tiles that fit a device's memory, and the processor where none does."""

import logging
from collections.abc import Callable
from typing import TypeVar

from restore.engine.runner import TileTooLarge
from restore.errors import DeviceError

__all__ = ["where_it_fits"]

T = TypeVar("T")

log = logging.getLogger("restore")

_LEAST_TILE = 64


def where_it_fits(
    run: Callable[[int], T], tile: int, *, device: str, to_processor: Callable[[], int]
) -> tuple[T, int]:
    """Run with the largest tile that fits the device; if none does, with the processor.

    Args:
        run: does the work in tiles of a size.
        tile: to begin with; halved until it fits.
        device: that ``run`` uses at first.
        to_processor: lets ``run`` use the processor from now on; returns the tile to begin with.

    Returns:
        The result, and the size of tile that fitted.

    Raises:
        DeviceError: not even a small tile fits the processor's memory.
    """
    try:
        return _fitting_tile(run, tile)
    except TileTooLarge as error:
        if device == "cpu":
            raise DeviceError("not enough memory for the network") from error
    log.warning("%s ran out of memory; going on with the processor", device)
    try:
        return _fitting_tile(run, to_processor())
    except TileTooLarge as error:
        raise DeviceError("not enough memory for the network") from error


def _fitting_tile(run: Callable[[int], T], tile: int) -> tuple[T, int]:
    while True:
        try:
            return run(tile), tile
        except TileTooLarge:
            if tile <= _LEAST_TILE:
                raise
            tile = max(_LEAST_TILE, tile // 2)
