"""Camera and network as one trainable module, and its validation."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from restore.arguments import argument
from restore.errors import UsageError
from restore.hdr.metrics import hdr_score, mu_law
from restore.hdr.optics.height_map import HEIGHT_MAPS, HeightMap, fabricated
from restore.hdr.optics.psf import point_spread
from restore.hdr.optics.sensor import blurred
from restore.hdr.recipe import HdrNetwork, HdrRecipe
from restore.models.optical_element import set_element

__all__ = [
    "Coded",
    "HdrBatch",
    "HdrValidation",
    "make_height_map",
    "saturated_pixels",
    "saturation_mask",
]

_MOST_ROWS = 4


@dataclass(frozen=True, kw_only=True)
class HdrBatch:
    """One batch of scenes, with the random numbers of their exposures.

    Attributes:
        scene: Radiance ``(B, 3, H, W)`` in units of white, with a margin around the crops.
        noise: Standard normal noise of the crops, ``(B, 3, P, P)``.
        read_noise: Standard deviation of the read noise of each exposure, ``(B, 1, 1, 1)``.
        height_error: Fabrication error of the element, ``(N, N)`` in [-1, 1].
        capture_error: Random numbers in [-1, 1] of ``CaptureErrors``, ``(B, ERROR_NUMBERS)``.
    """

    scene: Tensor
    noise: Tensor
    read_noise: Tensor
    height_error: Tensor
    capture_error: Tensor


class Coded(nn.Module):
    """Captures scenes through the element and the sensor, and restores them with the network.

    Without an element nothing is blurred, and the network replaces saturated pixels only, with a
    soft transition: all others keep their measured values.

    Args:
        recipe: Recipe that defines camera and sensor.
        network: Network with room for the element.
        margin: Pixels around the crops that contribute light to them and are not restored.
        psf: PSF ``(3, P, Q)`` of a given element.
        height_map: Height map of a learned element.
    """

    psf: Tensor | None

    def __init__(
        self,
        recipe: HdrRecipe,
        network: HdrNetwork,
        *,
        margin: int,
        psf: Tensor | None = None,
        height_map: HeightMap | None = None,
    ) -> None:
        super().__init__()
        self.recipe, self.network, self.margin = recipe, network, margin
        self.height_map = height_map
        self.rest, self.is_resting = recipe.rest, False
        self.register_buffer("psf", psf, persistent=False)

    @property
    def has_element(self) -> bool:
        """Whether light goes through an optical element."""
        return self.psf is not None or self.height_map is not None

    def forward(
        self,
        scene: Tensor,
        noise: Tensor | None = None,
        read_noise: Tensor | None = None,
        height_error: Tensor | None = None,
        capture_error: Tensor | None = None,
    ) -> Tensor:
        """Return the restored crops ``(B, 3, P, P)`` of scenes; see ``HdrBatch``."""
        with torch.autocast(scene.device.type, enabled=False):
            capture = self.capture(scene, noise, read_noise, height_error, capture_error)
            # The network knows the element as designed or measured, without errors.
            designed = self.spread()
        restored: Tensor = self.network(capture, psf=designed).float()
        if self.has_element:
            return restored
        mask = saturation_mask(capture)
        return mask * restored + (1 - mask) * capture

    def capture(
        self,
        scene: Tensor,
        noise: Tensor | None = None,
        read_noise: Tensor | None = None,
        height_error: Tensor | None = None,
        capture_error: Tensor | None = None,
    ) -> Tensor:
        """Return what the sensor stores of the crops, in [0, 1]."""
        psf, errors, sensor = self.spread(height_error), self.recipe.errors, self.recipe.sensor()
        if errors is None or capture_error is None:
            light = self.cropped(scene) if psf is None else blurred(scene, psf, margin=self.margin)
            return sensor(light, noise, read_noise=read_noise)
        if psf is None:
            light = self.cropped(scene)
        else:
            light = blurred(scene, errors.spread(psf, capture_error), margin=self.margin)
        light = errors.light(light, capture_error)
        samples = sensor.exposed(light, noise, read_noise=read_noise)
        return sensor.rounded(errors.interpolated(samples, capture_error))

    def spread(self, height_error: Tensor | None = None) -> Tensor | None:
        """Return the PSF of the element as it is now."""
        if self.height_map is None:
            return self.psf
        heights = self.height_map()
        if self.is_resting:
            # Not merely detached: distributed training waits for the gradient of every parameter.
            heights = heights.detach() + 0 * heights
        made = fabricated(heights, self.recipe.camera, height_error)
        return point_spread(made, self.recipe.camera, self.recipe.psf_size).psf

    def begin_with(self, height_m: Tensor) -> None:
        """Begin with the heights of a trained element, which then learns from the first step.

        Raises:
            UsageError: another number of cells.
        """
        if self.height_map is None or len(height_m) != self.height_map.cells:
            cells = len(height_m)
            raise UsageError(f"an element of {cells} cells: give {argument('cells', cells)}")
        self.height_map.begin_with(height_m)
        self.rest = 0.0

    def pace(self, progress: float) -> Iterable[nn.Parameter]:
        """Freeze the element during the first part of the training.

        Returns:
            The parameters that are still frozen.
        """
        self.is_resting = progress < self.rest
        if self.height_map is None or not self.is_resting:
            return ()
        return tuple(self.height_map.parameters())

    def cropped(self, scene: Tensor) -> Tensor:
        """Return scenes without their margin."""
        end = -self.margin or None
        return scene[..., self.margin : end, self.margin : end]

    def roughness(self) -> Tensor:
        """Return the mean squared Laplacian of the heights, in square micrometres."""
        if self.height_map is None:
            return torch.zeros(())
        heights: Tensor = self.height_map() * 1e6
        inner = heights[1:-1, 1:-1]
        neighbours = heights[2:, 1:-1] + heights[:-2, 1:-1] + heights[1:-1, 2:] + heights[1:-1, :-2]
        laplacian: Tensor = neighbours - 4 * inner
        return laplacian.square().mean()

    @torch.no_grad()
    def finished(self) -> HdrNetwork:
        """Return the network with the element written into it."""
        psf = self.spread()
        if psf is not None:
            heights = None
            if self.height_map is not None:
                heights = fabricated(self.height_map(), self.recipe.camera)
            set_element(self.network, psf, heights)
        return self.network


def make_height_map(recipe: HdrRecipe) -> HeightMap:
    """Return a learned element with random initial heights."""
    return HEIGHT_MAPS[recipe.element](recipe.camera, recipe.cells)


def saturation_mask(capture: Tensor, *, knee: float = 0.05) -> Tensor:
    """Return how much of each pixel was lost to saturation, ``(B, 1, H, W)`` in [0, 1].

    It rises over the last ``knee`` below white, on the brightest channel (Eilertsen et al., "HDR
    image reconstruction from a single exposure using deep CNNs", ACM TOG 2017, eq. 3).
    """
    return ((capture.amax(dim=1, keepdim=True) - (1 - knee)) / knee).clamp(0, 1)


def saturated_pixels(scene: Tensor) -> Tensor:
    """Return where a sensor without an element saturates, bool ``(B, 1, H, W)``."""
    return scene.amax(dim=1, keepdim=True) >= 1


class HdrValidation:
    """Mean PSNR-mu in dB over the saturated pixels of held-out scenes.

    Args:
        scenes: ``(1, 3, H, W)`` each, with the margin.
        device: where the network is.
    """

    def __init__(self, scenes: Sequence[Tensor], device: torch.device) -> None:
        self.scenes, self.device = list(scenes), device
        self._rows: list[Tensor] = []

    def __call__(self, network: nn.Module) -> float:
        """Return the mean of a ``Coded`` pair, which is left in evaluation mode."""
        if not isinstance(network, Coded):
            raise TypeError(f"the network must be a Coded module, not {type(network).__name__}")
        network.eval()
        scores, self._rows = [], []
        with torch.inference_mode():
            for scene in self.scenes:
                light = scene.to(self.device)
                result, truth = network(light)[0].cpu(), network.cropped(scene)[0]
                score = hdr_score(result, truth, saturated_pixels(truth[None])[0, 0]).mu
                scores.append(score)
                if len(self._rows) < _MOST_ROWS:
                    capture = network.capture(light)[0].cpu()
                    row = [mu_law(each.clamp(min=0)) for each in (capture, result, truth)]
                    self._rows.append(torch.cat(row, dim=2).clamp(0, 1))
        finite = [score for score in scores if math.isfinite(score)]
        return sum(finite) / max(1, len(finite))

    def sheet(self) -> Tensor | None:
        """Return capture, result and scene side by side, ``(3, H, W)``, or None before a call."""
        return torch.cat(self._rows, dim=1) if self._rows else None
