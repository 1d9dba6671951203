"""Views into pictures of all directions."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["view", "wrapped"]


def view(
    panorama: Tensor, yaw: float, pitch: float, roll: float, fov: float, *, side: int
) -> Tensor:
    """Return what a camera without distortion sees in an equirectangular panorama.

    Args:
        panorama: ``(C, H, 2 H + 2)`` as ``wrapped`` returns it; the middle is straight ahead, the
            top above.
        yaw: to the right.
        pitch: upwards.
        roll: clockwise.
        fov: horizontal angle of view; all angles in radians.
        side: of the view in pixels.

    Returns:
        ``(C, side, side)``, bilinearly sampled.
    """
    along = (torch.arange(side, dtype=torch.float32) + 0.5) * (2 / side) - 1
    along = along * math.tan(fov / 2)
    right, up = along.expand(side, side), -along[:, None].expand(side, side)
    right, up = (
        right * math.cos(roll) - up * math.sin(roll),
        right * math.sin(roll) + up * math.cos(roll),
    )
    up, ahead = (
        up * math.cos(pitch) + math.sin(pitch),
        math.cos(pitch) - up * math.sin(pitch),
    )
    longitude = torch.atan2(right, ahead) + yaw
    latitude = torch.atan2(up, torch.hypot(right, ahead))
    width = panorama.shape[2] - 2
    turns = longitude / (2 * math.pi) + 0.5
    column = (turns - turns.floor()) * width + 1
    grid = torch.stack([2 * column / (width + 2) - 1, -2 * latitude / math.pi], dim=2)
    sampled = F.grid_sample(
        panorama[None], grid[None], mode="bilinear", padding_mode="border", align_corners=False
    )
    return sampled[0]


def wrapped(panorama: Tensor) -> Tensor:
    """Return a panorama with its last column before its first and its first after its last.

    Views across the seam are then as smooth as any.
    """
    return torch.cat([panorama[..., -1:], panorama, panorama[..., :1]], dim=-1)
