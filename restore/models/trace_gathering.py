"""Features brought to where an optical element throws their light, and back."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["TraceGathering", "TraceScattering", "gathering_kernel"]

_CORE_PX = 3
_REACH_PX = 48


def gathering_kernel(psf: Tensor, step: int) -> Tensor:
    """Return where the light of a point lands beside it, on a grid of coarse pixels.

    Args:
        psf: ``(3, P, P)``, P odd.
        step: side of a coarse pixel.

    Returns:
        ``(3, Q, Q)``, Q odd, each with the sum 1, over up to 48 pixels to each side. The core, 7x7
        pixels, is left out; light between coarse pixels counts for both, by its distance.
    """
    middle = psf.shape[-1] // 2
    radius = min(middle, _REACH_PX)
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
    """Adds to features what lies where an optical element throws the light of their place.

    Convolutions of 3x3 would need many layers to carry a brightness over tens of pixels, and lose
    its place on the way. Here features are mixed (1x1), correlated with the PSF beside its core,
    which is the adjoint of what the element did, and mixed again (1x1).

    Args:
        width: of the features.
        psf_size: side of the PSF in pixels.
        planes: correlated with each colour's PSF.
        step: side of the features' pixels, in pixels of the sensor.
    """

    kernel: Tensor

    def __init__(self, width: int, *, psf_size: int, planes: int, step: int) -> None:
        super().__init__()
        self.psf_size = psf_size
        self.step = step
        self.planes = planes
        self.coarse_reach = -(-min(psf_size // 2, _REACH_PX) // step)
        side = 2 * self.coarse_reach + 1
        self.register_buffer("kernel", torch.zeros(3, side, side))
        self.sort = nn.Conv2d(width, 3 * planes, kernel_size=1)
        self.merge = nn.Conv2d(3 * planes, width, kernel_size=1)

    @property
    def reach(self) -> int:
        """From how far, in pixels of the sensor, light is gathered."""
        return min(self.psf_size // 2, _REACH_PX) + self.step

    @torch.no_grad()
    def set_psf(self, psf: Tensor) -> None:
        """Gather through ``psf`` ``(3, P, P)`` from now on."""
        self.kernel.copy_(gathering_kernel(psf.float(), self.step))

    def forward(self, features: Tensor, psf: Tensor | None = None) -> Tensor:
        """Map ``(B, width, H, W)`` to the same shape, through another PSF than was set if given."""
        sorted_features: Tensor = self.sort(features)
        with torch.autocast(features.device.type, enabled=False):
            kernel = self.kernel if psf is None else gathering_kernel(psf.float(), self.step)
            kernels = self.oriented(kernel.float()).repeat_interleave(self.planes, dim=0)
            brought = self._correlated(sorted_features.float(), kernels)
        merged: Tensor = self.merge(brought.to(features.dtype))
        return features + merged

    def oriented(self, kernel: Tensor) -> Tensor:
        """Return the kernel as features are correlated with it."""
        return kernel

    def _correlated(self, features: Tensor, kernels: Tensor) -> Tensor:
        """Correlate planes ``(B, C, H, W)`` with their kernels ``(C, Q, Q)``; edges are dark."""
        reach = self.coarse_reach
        if _is_traced() or torch.compiler.is_exporting():
            # Other engines convolve well, and transform slowly or not at all.
            return F.conv2d(features, kernels[:, None], padding=reach, groups=3 * self.planes)
        height, width = features.shape[2:]
        full = (height + 2 * reach, width + 2 * reach)
        spectrum = torch.fft.rfft2(features, s=full) * torch.fft.rfft2(kernels, s=full).conj()
        shifted: Tensor = torch.fft.irfft2(spectrum, s=full).roll((reach, reach), dims=(-2, -1))
        return shifted[..., :height, :width]


class TraceScattering(TraceGathering):
    """Adds to features what the element throws onto their place: the way of the light itself.

    Once the lost light is found, its copies can be taken off the places where they lie.
    """

    def oriented(self, kernel: Tensor) -> Tensor:
        """Return the kernel turned round, for a convolution."""
        return kernel.flip((-2, -1))


def _is_traced() -> bool:
    return bool(torch.jit.is_tracing())  # type: ignore[no-untyped-call, attr-defined]
