"""A network on a device in a precision, ready to take tiles of any picture."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from restore.engine.device import PRECISIONS, choose_precision, resolve_device
from restore.engine.tiles import run_tiled
from restore.errors import DeviceError, UsageError
from restore.weights import Weights, build

__all__ = ["Backend", "exact_float32", "fitting_tile", "tile_size"]

T = TypeVar("T")

_LEAST_TILE = 64
# No sample of Gaussian noise in ten thousand lies further out.
_MARGIN_SIGMAS = 4.0
# For blind networks, whose noise may be stronger than we were told.
_LEAST_MARGIN = 0.25


class Backend:
    """Runs one network on one device.

    Args:
        weights: what to run.
        device: auto, cpu, cuda, cuda:N or mps.
        precision: auto, fp32, fp16 or bf16.
        tile: side of a tile in pixels, or auto.

    Raises:
        UsageError: an option that does not exist.
        DeviceError: the device is not on this machine.
        WeightsError: the tensors do not fit the architecture.
    """

    def __init__(
        self, weights: Weights, *, device: str, precision: str, tile: str | int = "auto"
    ) -> None:
        self.weights = weights
        self.device = resolve_device(device)
        self.precision = choose_precision(precision, self.device, weights.precision_loss_db)
        network: Any = build(weights)
        self.halo, self.multiple = int(network.halo), int(network.multiple)
        scale = getattr(weights.config, "scale", 1)
        self.tile = tile_size(tile, self.device, self.precision, self.halo, scale)
        self._network = cast(
            nn.Module,
            network.to(self.device, PRECISIONS[self.precision], memory_format=torch.channels_last),
        )

    def __call__(self, pixels: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
        """Return the restored picture, not clipped.

        Args:
            pixels: ``[C, H, W]`` with the network's channels. Noise may reach beyond [0, 1];
                what lies further out (highlights of float pictures) is clipped for the network,
                whose correction is then added to the value as it came.
            sigma: noise level in [0, 1], used by networks that take it.

        Raises:
            DeviceError: not even a small tile fits the device's memory.
        """
        margin = max(_LEAST_MARGIN, _MARGIN_SIGMAS * sigma)

        def restore(patch: NDArray[np.float32]) -> NDArray[np.float32]:
            noisy = torch.tensor(patch)[None].to(self.device).clamp(-margin, 1 + margin)
            level = torch.full((1,), sigma, device=self.device)
            correction: NDArray[np.float32] = (self._run(noisy, level) - noisy)[0].cpu().numpy()
            return patch + correction

        return self._tiled(restore, pixels)

    def developed(
        self, planes: NDArray[np.float32], *, scale: int, channels: int
    ) -> NDArray[np.float32]:
        """Return what the network makes of a packed mosaic.

        Args:
            planes: ``[P, h, w]`` as the network takes them.
            scale: pixels that it makes of each packed pixel, in each direction.
            channels: that it makes.

        Returns:
            ``[channels, scale * h, scale * w]``, not clipped.

        Raises:
            DeviceError: not even a small tile fits the device's memory.
        """

        def develop(patch: NDArray[np.float32]) -> NDArray[np.float32]:
            packed = torch.tensor(patch)[None].to(self.device)
            result: NDArray[np.float32] = self._run(packed)[0].float().cpu().numpy()
            return result

        return self._tiled(develop, planes, scale=scale, channels=channels)

    def radiance(
        self, light: NDArray[np.float32], white: NDArray[np.float32], *, needed_above: float = 0.0
    ) -> NDArray[np.float32]:
        """Return what a network for high dynamic range makes of an exposure.

        Args:
            light: ``[3, H, W]``, linear.
            white: ``[3]``, where each channel saturates.
            needed_above: tiles that are darker than this share of white come back as they are.

        Returns:
            ``[3, H, W]`` in the unit of ``light``, not clipped.

        Raises:
            DeviceError: not even a small tile fits the device's memory.
        """
        scale = white[:, None, None]

        def reconstruct(patch: NDArray[np.float32]) -> NDArray[np.float32]:
            exposed = np.clip(patch / scale, 0, 1)
            if exposed.max() < needed_above:
                return patch
            capture = torch.from_numpy(exposed)[None].to(self.device)
            result: NDArray[np.float32] = self._run(capture)[0].float().cpu().numpy()
            return result * scale

        return self._tiled(reconstruct, light)

    def _run(self, picture: Tensor, *more: Tensor) -> Tensor:
        with torch.inference_mode(), exact_float32(self.precision == "fp32"):
            result: Tensor = self._network(picture.to(memory_format=torch.channels_last), *more)
        return result

    def _tiled(
        self,
        network: Callable[[NDArray[np.float32]], NDArray[np.float32]],
        pixels: NDArray[np.float32],
        *,
        scale: int = 1,
        channels: int | None = None,
    ) -> NDArray[np.float32]:
        def run(tile: int) -> NDArray[np.float32]:
            return run_tiled(
                network,
                pixels,
                tile=max(1, tile // scale),
                halo=self.halo,
                multiple=self.multiple,
                scale=scale,
                channels=channels,
            )

        result, self.tile = fitting_tile(run, self.tile, self.device)
        return result


def fitting_tile(run: Callable[[int], T], tile: int, device: torch.device) -> tuple[T, int]:
    """Return what ``run`` makes with tiles of ``tile`` pixels, or of half as many until they fit.

    Returns:
        The result, and the size of tile that fitted.

    Raises:
        DeviceError: not even a small tile fits the device's memory.
    """
    while True:
        try:
            return run(tile), tile
        except torch.OutOfMemoryError as error:
            if tile <= _LEAST_TILE:
                raise DeviceError(f"{device} ran out of memory; try --device cpu") from error
            tile = max(_LEAST_TILE, tile // 2)
            torch.cuda.empty_cache()


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


def tile_size(
    tile: str | int, device: torch.device, precision: str, halo: int, scale: int = 1
) -> int:
    """Return the side in pixels that ``tile`` (a number, or auto) stands for.

    Args:
        tile: as given.
        device: where the network runs.
        precision: fp32, fp16 or bf16.
        halo: its radius of sight, in the pixels that it sees.
        scale: pixels of the picture to one that it sees, in each direction.

    Raises:
        UsageError: neither a positive number nor auto.
    """
    if tile == "auto":
        if device.type != "cpu":
            return 1024 * scale
        # Small tiles keep bf16 units fed from the cache, but a halo is computed twice at every
        # seam: networks that see far, and float32, gain more from larger tiles.
        return scale * (256 if halo <= 32 and precision == "bf16" else 512)
    try:
        size = int(tile)
    except ValueError:
        size = 0
    if size < 1:
        raise UsageError(f"tile {tile!r}: give a size in pixels, or auto")
    return size
