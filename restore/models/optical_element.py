"""The optical element that a network was trained with, and layers that follow its light."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.errors import WeightsError

__all__ = [
    "TraceGathering",
    "TraceScattering",
    "carry_element",
    "check_element",
    "gathering_kernel",
    "height_map_of",
    "psf_of",
    "set_element",
]

_CORE_PX = 3


def gathering_kernel(psf: Tensor, step: int, reach_px: int) -> Tensor:
    """Return the PSF without its core, on a grid of coarse pixels.

    Args:
        psf: ``(3, P, P)``, P odd.
        step: side of a coarse pixel in pixels of the sensor.
        reach_px: pixels to each side that it covers at most.

    Returns:
        ``(3, Q, Q)``, Q odd, each with the sum 1. The core, 7x7
        pixels, is left out; light between coarse pixels is shared between both, linearly in its
        distance.
    """
    middle = psf.shape[-1] // 2
    radius = min(middle, reach_px)
    first = middle - radius
    around = psf[:, first : first + 2 * radius + 1, first : first + 2 * radius + 1]
    offsets = torch.arange(-radius, radius + 1, device=psf.device, dtype=psf.dtype)
    core = (offsets.abs() <= _CORE_PX).to(psf.dtype)
    beside = around * (1 - torch.outer(core, core))
    reach = -(-radius // step)
    nodes = torch.arange(-reach, reach + 1, device=psf.device, dtype=psf.dtype) * step
    weight = (1 - (nodes[:, None] - offsets).abs() / step).clamp(min=0)
    kernel = weight @ beside @ weight.T
    return kernel / kernel.sum(dim=(1, 2), keepdim=True).clamp(min=1e-12)


class TraceGathering(nn.Module):
    """Adds to each place the features from where an optical element spreads its light.

    3x3 convolutions would need many layers to carry brightness over tens of pixels, and lose its
    place on the way. Here features are mixed (1x1), correlated with the PSF without its core, which
    is the adjoint of the element's blur, and mixed again (1x1).

    Args:
        width: number of feature channels.
        psf_size: side of the PSF in pixels.
        planes: number of planes correlated with each colour's PSF.
        step: side of a feature pixel in pixels of the sensor.
        reach_px: pixels of the sensor to each side that the PSF is taken from at most.
    """

    kernel: Tensor

    def __init__(self, width: int, *, psf_size: int, planes: int, step: int, reach_px: int) -> None:
        super().__init__()
        self.reach_px = min(psf_size // 2, reach_px)
        self.step = step
        self.planes = planes
        self.coarse_reach = -(-self.reach_px // step)
        side = 2 * self.coarse_reach + 1
        self.register_buffer("kernel", torch.zeros(3, side, side))
        self.sort = nn.Conv2d(width, 3 * planes, kernel_size=1)
        self.merge = nn.Conv2d(3 * planes, width, kernel_size=1)

    @property
    def reach(self) -> int:
        """Radius in pixels of the sensor from which light is gathered."""
        return self.reach_px + self.step

    @torch.no_grad()
    def set_psf(self, psf: Tensor) -> None:
        """Gather through ``psf`` ``(3, P, P)`` from now on."""
        self.kernel.copy_(gathering_kernel(psf.float(), self.step, self.reach_px))

    def forward(self, features: Tensor, psf: Tensor | None = None) -> Tensor:
        """Map ``(B, width, H, W)`` to the same shape; ``psf`` replaces the one that was set."""
        sorted_features: Tensor = self.sort(features)
        with torch.autocast(features.device.type, enabled=False):
            kernel = (
                self.kernel
                if psf is None
                else gathering_kernel(psf.float(), self.step, self.reach_px)
            )
            kernels = self.oriented(kernel.float()).repeat_interleave(self.planes, dim=0)
            brought = self._correlated(sorted_features.float(), kernels)
        merged: Tensor = self.merge(brought.to(features.dtype))
        return features + merged

    def oriented(self, kernel: Tensor) -> Tensor:
        """Return the kernel in the orientation for correlation with features."""
        return kernel

    def _correlated(self, features: Tensor, kernels: Tensor) -> Tensor:
        """Correlate planes ``(B, C, H, W)`` with kernels ``(C, Q, Q)``; zero beyond the edges."""
        reach = self.coarse_reach
        if _is_traced() or torch.compiler.is_exporting():
            # Other engines convolve well, but run Fourier transforms slowly or not at all.
            return F.conv2d(features, kernels[:, None], padding=reach, groups=3 * self.planes)
        height, width = features.shape[2:]
        full = (height + 2 * reach, width + 2 * reach)
        spectrum = torch.fft.rfft2(features, s=full) * torch.fft.rfft2(kernels, s=full).conj()
        shifted: Tensor = torch.fft.irfft2(spectrum, s=full).roll((reach, reach), dims=(-2, -1))
        return shifted[..., :height, :width]


class TraceScattering(TraceGathering):
    """Adds to each place the features that the element spreads onto it, along the light's path.

    Once the lost light is found, its copies can be subtracted where they lie.
    """

    def oriented(self, kernel: Tensor) -> Tensor:
        """Return the flipped kernel, which turns the correlation into a convolution."""
        return kernel.flip((-2, -1))


def _is_traced() -> bool:
    return bool(torch.jit.is_tracing())  # type: ignore[no-untyped-call, attr-defined]


_MICROMETRE = 1e-6


def check_element(psf_size: int, cells: int) -> None:
    """Refuse invalid sizes.

    Raises:
        WeightsError: a negative size, a PSF of even size, or cells without a PSF.
    """
    if psf_size < 0 or cells < 0 or (psf_size and psf_size % 2 == 0) or (cells and not psf_size):
        raise WeightsError(f"no optical element has a PSF of {psf_size} pixels and {cells} cells")


def carry_element(network: nn.Module, psf_size: int, cells: int) -> None:
    """Register buffers for a PSF and, if the element was designed here, for its height map.

    The PSF is stored as square roots, which keep its faint parts in half precision.
    """
    if psf_size:
        network.register_buffer("psf_roots", torch.zeros(3, psf_size, psf_size))
    if cells:
        network.register_buffer("height_map_um", torch.zeros(cells, cells))


def set_element(network: nn.Module, psf: Tensor, height_m: Tensor | None = None) -> None:
    """Write ``psf`` ``(3, P, P)`` and heights ``(N, N)`` in metres into a network."""
    cast(Tensor, network.psf_roots).copy_(psf.clamp(min=0).sqrt())
    for module in network.modules():
        if isinstance(module, TraceGathering):
            module.set_psf(psf)
    if height_m is not None:
        cast(Tensor, network.height_map_um).copy_(height_m / _MICROMETRE)


def psf_of(tensors: "dict[str, Tensor]") -> Tensor | None:
    """Return the PSF among a network's tensors, ``(3, P, P)`` normalised to sums of 1, or None."""
    roots = tensors.get("psf_roots")
    if roots is None:
        return None
    psf = roots.float().square()
    return psf / psf.sum(dim=(1, 2), keepdim=True)


def height_map_of(tensors: "dict[str, Tensor]") -> Tensor | None:
    """Return the heights among a network's tensors, ``(N, N)`` in metres, or None."""
    heights = tensors.get("height_map_um")
    return None if heights is None else heights.float() * _MICROMETRE
