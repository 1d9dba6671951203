"""A network, ready to take tiles of any picture: by OpenVINO where it is faster, else PyTorch."""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from restore.engine.choice import tile_size
from restore.engine.fitting import Place, Placed
from restore.engine.lanes import Lanes
from restore.engine.openvino_runner import serving_runners
from restore.engine.runner import Runner
from restore.engine.tiles import Part, each_tile, run_tiled
from restore.errors import DeviceError, UsageError
from restore.weights.file import WeightFile, is_for_cameras

if TYPE_CHECKING:
    from restore.weights.store import Weights

__all__ = ["ENGINE_VARIABLE", "Backend"]

Pixels = NDArray[np.float32]
Network = Callable[[Pixels], Pixels]
Run = Callable[..., Pixels]
"""Runs a network on its inputs, as ``Runner`` does."""

ENGINE_VARIABLE = "IMRESTORE_ENGINE"
"""Environment variable that chooses what runs networks: auto, pytorch or openvino."""

# No sample of Gaussian noise in ten thousand lies further out.
_MARGIN_SIGMAS = 4.0
# For blind networks, whose noise may be stronger than we were told.
_LEAST_MARGIN = 0.25


class Backend(Placed[Runner]):
    """Runs one network on one device, or on all GPUs.

    On x86 processors that is OpenVINO's work where it is installed, else PyTorch's. May be called
    from several threads.

    Args:
        weights: what to run; as a file, PyTorch is imported only if it is needed.
        device: auto, cpu, cuda, cuda:N, cuda:all or mps.
        precision: auto, fp32, fp16 or bf16.
        tile: side of a tile in pixels, or auto.

    Raises:
        UsageError: an option that does not exist.
        DeviceError: the device is not on this machine.
        WeightsError: the tensors do not fit the architecture.
    """

    def __init__(
        self,
        weights: "Weights | WeightFile",
        *,
        device: str,
        precision: str,
        tile: str | int = "auto",
    ) -> None:
        self.name = weights.name
        self.is_for_cameras = is_for_cameras(weights.provenance)
        self._weights = weights
        self._wanted_precision, self._wanted_tile = precision, tile
        self._place = Place(*self._opened(device), to_processor=lambda: self._opened("cpu"))
        traits = self._place.lanes.first.traits
        self.channels, self.halo, self.multiple = traits.channels, traits.halo, traits.multiple
        self._scale = traits.scale

    def _opened(self, device: str) -> tuple[Lanes[Runner], int]:
        runners = _runners(self._weights, device=device, precision=self._wanted_precision)
        auto = runners[0].traits.scale * runners[0].auto_tile
        return Lanes(runners), tile_size(self._wanted_tile, auto)

    @property
    def engine(self) -> str:
        """What runs the network: pytorch or openvino."""
        return self._place.lanes.first.engine

    def __call__(self, pixels: Pixels, sigma: float) -> Pixels:
        """Return the restored picture, not clipped.

        A gray network takes the channels of a colour picture one by one, and a colour network sees
        a gray picture as three equal channels.

        Args:
            pixels: ``[C, H, W]``, gray or RGB. Noise may reach beyond [0, 1]; what lies further out
                (highlights of float pictures) is clipped for the network, whose correction is then
                added to the value as it came.
            sigma: noise level in [0, 1], used by networks that take it.

        Raises:
            DeviceError: the machine has not enough memory for a small tile.
        """
        return self._tiled(lambda run: self._denoising(run, sigma), pixels)

    def by_tiles(
        self,
        read: Callable[[Part], Pixels],
        begin: Callable[[], Callable[[Part, Pixels, Pixels], None]],
        *,
        height: int,
        width: int,
        sigma: float,
    ) -> None:
        """Restore a picture that is not in memory as calling restores one that is.

        Args:
            read: returns a part of the picture, ``[C, h, w]``; asked for tiles row by row.
            begin: returns what takes each part of the result: where it belongs, the pixels that it
                was made of, and those that were made. It is called again where a device ran out of
                memory; then all parts come once more.
            height: of the picture.
            width: of the picture.
            sigma: as for calling.

        Raises:
            DeviceError: the machine has not enough memory for a small tile.
        """

        def run(lanes: Lanes[Runner], tile: int) -> None:
            take = begin()
            tiles = each_tile(
                self._denoising(lanes, sigma),
                read,
                height,
                width,
                tile=tile,
                halo=self.halo,
                multiple=self.multiple,
                workers=lanes.workers,
            )
            for part, noisy, restored in tiles:
                take(part, noisy, restored)

        self._place.fitting(run)

    def _denoising(self, run: Run, sigma: float) -> Network:
        margin = max(_LEAST_MARGIN, _MARGIN_SIGMAS * sigma)
        level = np.full(1, sigma, np.float32)

        def restore(patch: Pixels) -> Pixels:
            # Mostly there is nothing to clip, and each pass over a picture takes as long as a GPU.
            if patch.min() >= -margin and patch.max() <= 1 + margin:
                restored: Pixels = run(patch[None], level)[0]
                return restored
            noisy = np.clip(patch, -margin, 1 + margin)
            correction: Pixels = run(noisy[None], level)[0] - noisy
            return patch + correction

        def bridge(patch: Pixels) -> Pixels:
            if len(patch) == self.channels:
                return restore(patch)
            if self.channels == 1:
                return np.concatenate([restore(channel[None]) for channel in patch])
            equal = restore(np.repeat(patch, self.channels, axis=0))
            gray: Pixels = equal.mean(axis=0, keepdims=True, dtype=np.float32)
            return gray

        return bridge

    def developed(self, planes: Pixels) -> Pixels:
        """Return what the network makes of a packed mosaic.

        Args:
            planes: ``[P, h, w]`` as the network takes them.

        Returns:
            ``[C, scale * h, scale * w]``, not clipped.

        Raises:
            DeviceError: the machine has not enough memory for a small tile.
        """

        def developing(run: Run) -> Network:
            def develop(patch: Pixels) -> Pixels:
                developed: Pixels = run(patch[None])[0]
                return developed

            return develop

        return self._tiled(developing, planes, scale=self._scale, channels=self.channels)

    def radiance(
        self,
        samples: Pixels,
        white: Pixels,
        *,
        light_of: Callable[[Pixels], Pixels] = lambda samples: samples,
        needed_above: float = 0.0,
    ) -> Pixels:
        """Return what a network for high dynamic range makes of an exposure.

        Args:
            samples: ``[C, H, W]``.
            white: ``[3]``, where each channel of light saturates.
            light_of: returns linear light ``[3, h, w]`` of samples.
            needed_above: tiles that are darker than this share of white come back as they are.

        Returns:
            ``[3, H, W]`` in the unit of the light, not clipped.

        Raises:
            DeviceError: the machine has not enough memory for a small tile.
        """
        scale = white[:, None, None]

        def reconstructing(run: Run) -> Network:
            def reconstruct(patch: Pixels) -> Pixels:
                light = light_of(patch)
                exposed = np.clip(light / scale, 0, 1)
                if exposed.max() < needed_above:
                    return light
                reconstructed: Pixels = run(exposed[None])[0] * scale
                return reconstructed

            return reconstruct

        return self._tiled(reconstructing, samples, channels=len(white))

    def _tiled(
        self,
        network: Callable[[Run], Network],
        pixels: Pixels,
        *,
        scale: int = 1,
        channels: int | None = None,
    ) -> Pixels:
        def run(lanes: Lanes[Runner], tile: int) -> Pixels:
            return run_tiled(
                network(lanes),
                pixels,
                tile=max(1, tile // scale),
                halo=self.halo,
                multiple=self.multiple,
                scale=scale,
                channels=channels,
                workers=lanes.workers,
            )

        return self._place.fitting(run)


def _runners(weights: "Weights | WeightFile", *, device: str, precision: str) -> Sequence[Runner]:
    engine = os.environ.get(ENGINE_VARIABLE) or "auto"
    if engine not in ("auto", "pytorch", "openvino"):
        raise UsageError(f"{ENGINE_VARIABLE}={engine}: set it to auto, pytorch or openvino")
    if engine != "pytorch":
        runners = serving_runners(weights, device, precision)
        if runners:
            return runners
    if engine == "openvino":
        raise DeviceError(
            f"{ENGINE_VARIABLE}=openvino: is not installed, or cannot run {weights.name} "
            f"on {device} in {precision}"
        )
    from restore.engine.torch_runner import torch_runners
    from restore.weights.store import load

    if isinstance(weights, WeightFile):
        weights = load(weights.path)
    return torch_runners(weights, device=device, precision=precision)
