"""Training examples: clean pictures turned into noisy RAW mosaics of random cameras."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from restore.mosaic.planes import Normalised, normalised_planes
from restore.noise.bayer import random_cameras, unprocess
from restore.noise.iso_noise import random_iso_levels
from restore.noise.measured_camera import MeasuredCamera
from restore.noise.readout import filter_colours
from restore.noise.sensor import poisson

__all__ = ["FILTERS", "Mosaics", "captured", "in_blocks", "planes_of", "sensor_masks"]

FILTERS = ("bayer", "bayer", "bayer", "xtrans", "mono")
"""Kinds of colour filter, one of which each batch gets; all pictures of a batch get the same."""

_DARKEST, _BRIGHTEST = -6.0, 0.5
_BLACK_ERROR = 0.002
_LOWEST_WHITE, _HIGHEST_WHITE = 0.92, 1.05
_STEPS = (3840.0, 15871.0)
_ROW_SHARE, _MOST_ROW = 0.25, 0.3
_MISTOLD_SHARE, _MISTOLD = 0.5, 1.25
_SMOOTHING = 5


@dataclass(frozen=True, kw_only=True)
class Mosaics:
    """Noisy mosaics and their targets, in two by two blocks.

    Attributes:
        samples: ``(B, 4, H / 2, W / 2)``, noisy; black at 0, white at 1.
        target: the same without noise.
        normalised: inputs of the network, see ``normalised_planes``.
    """

    samples: Tensor
    target: Tensor
    normalised: Normalised

    @property
    def inputs(self) -> tuple[Tensor]:
        """Arguments of the network."""
        return (self.normalised.planes,)

    @property
    def noise(self) -> Tensor:
        """The network's expected result."""
        noise: Tensor = (self.samples - self.target) / self.normalised.scale
        return noise


def captured(
    clean: Tensor,
    generator: torch.Generator,
    *,
    filter_kind: str,
    profiles: tuple[Tensor, Tensor] | None = None,
    exact: bool = False,
    sensor: MeasuredCamera | None = None,
) -> Mosaics:
    """Return what random cameras capture of clean pictures.

    Args:
        clean: sRGB ``(B, 3, H, W)`` in [0, 1], H and W multiples of 2.
        generator: on the device of ``clean``.
        filter_kind: bayer, xtrans or mono.
        profiles: a and b of each picture; None for random ones.
        exact: the exposure is that of the picture, black and white are known exactly, and so is the
            noise.
        sensor: camera whose noise all pictures have, at random ISO speeds; None for random ones.
    """
    count = len(clean)
    camera = random_cameras(count, generator)
    light = unprocess(clean, camera)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        draws = torch.rand((count, *shape), generator=generator, device=clean.device)
        return low + (high - low) * draws

    if not exact:
        light = light * 2 ** uniform(_DARKEST, _BRIGHTEST, 1, 1, 1)
    masks = sensor_masks(filter_kind, *clean.shape[2:]).to(clean)
    seen = ((light * masks).sum(1) / masks.sum(0)).clamp(0, 1)
    if sensor is not None and profiles is None:
        *drawn, own_rows = (each[:, None, None] for each in sensor.levels(count, generator))
    else:
        drawn = [each[:, None, None] for each in profiles or random_iso_levels(count, generator)]
        own_rows = None
    a, b = drawn
    step = torch.tensor(_STEPS, device=clean.device)[
        torch.randint(len(_STEPS), (count, 1, 1), generator=generator, device=clean.device)
    ]
    electronics = torch.randn(seen.shape, generator=generator, device=clean.device)
    noisy = poisson(seen / a, generator) * a + electronics * b.sqrt()
    target, black, white = seen, torch.zeros_like(a), torch.ones_like(a)
    if not exact:
        some = uniform(0, _MOST_ROW, 1, 1) * (uniform(0, 1, 1, 1) < _ROW_SHARE)
        row_sigma = b.sqrt() * some if own_rows is None else own_rows
        rows = torch.randn((*seen.shape[:2], 1), generator=generator, device=clean.device)
        noisy = noisy + row_sigma * rows
        if own_rows is not None:  # a denoiser is told of rows as read noise
            b = b + own_rows**2
        black = uniform(-_BLACK_ERROR, _BLACK_ERROR, 1, 1)
        white = uniform(_LOWEST_WHITE, _HIGHEST_WHITE, 1, 1)
    noisy = (noisy.clamp_max(1) * step).round() / step * white + black
    target = target * white + black
    a, b = a * white, (b + 1 / (12 * step**2)) * white**2
    if not exact:
        # Half of the time only an estimate is known.
        mistold = _MISTOLD ** (2 * uniform(-1, 1, 2, 1) * (uniform(0, 1, 1, 1) < _MISTOLD_SHARE))
        a, b = a * mistold[:, :1], b * mistold[:, 1:]
    samples, target = in_blocks(noisy), in_blocks(target)
    return Mosaics(
        samples=samples,
        target=target,
        normalised=planes_of(samples, masks, a.expand(-1, 3, 1), b.expand(-1, 3, 1)),
    )


def sensor_masks(filter_kind: str, height: int, width: int) -> Tensor:
    """Return ``(3, H, W)``: 1 where the sensor sees red, green and blue."""
    if filter_kind == "mono":
        return torch.ones(3, height, width)
    colours = filter_colours(6 if filter_kind == "xtrans" else 2, height, width)
    return F.one_hot(colours, 3).permute(2, 0, 1).float()


def in_blocks(mosaic: Tensor) -> Tensor:
    """Return mosaics ``(..., H, W)`` as two by two blocks ``(..., 4, H / 2, W / 2)``."""
    return F.pixel_unshuffle(mosaic[..., None, :, :], 2)


def planes_of(samples: Tensor, masks: Tensor, shot: Tensor, read: Tensor) -> Normalised:
    """Return the network's inputs for mosaics of one kind of sensor.

    Args:
        samples: ``(B, 4, H / 2, W / 2)``, see ``in_blocks``.
        masks: ``(3, H, W)``, see ``sensor_masks``.
        shot: a of each colour, ``(B, 3, 1)``.
        read: b of each colour, ``(B, 3, 1)``.
    """
    blocks = in_blocks(masks).expand(len(samples), -1, -1, -1, -1)
    return normalised_planes(
        samples,
        blocks,
        shot[..., None],
        read[..., None],
        smoothed=_smoothed,
        joined=lambda planes: torch.cat(planes, dim=-3),
    )


def _smoothed(planes: Tensor) -> Tensor:
    for _ in range(2):
        planes = F.avg_pool2d(planes, _SMOOTHING, stride=1, padding=_SMOOTHING // 2)
    return planes
