"""Noise that teaches a stack of convolutions to bear the rounding of bfloat16."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from restore.training.randomness import Randomness

__all__ = ["add_rounding_noise"]

_SIZE = 2**-7


def add_rounding_noise(convolutions: Iterable[nn.Conv2d], rng: Randomness) -> None:
    """Multiply what the convolutions are given in training by 1 plus or minus 1/128, at random.

    Rounding to bfloat16 moves a number by up to 1/256 of itself, so that a feature which lies far
    from zero and varies little loses most of what it says. The gradient of a rounded feature does
    not know of that; the gradient of a noisy one does, and moves features to where they are safe.
    Evaluation is left as it is.

    Args:
        convolutions: between feature maps, ``(B, C, H, W)``.
        rng: where the noise comes from.
    """
    noise = _Noise(rng)
    for convolution in convolutions:
        convolution.register_forward_pre_hook(noise)


class _Noise:
    """The same long strip of random factors for all layers, each beginning somewhere in it."""

    def __init__(self, rng: Randomness) -> None:
        self.rng = rng
        self.strip = torch.empty(0)

    def __call__(self, layer: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor] | None:
        if not layer.training:
            return None
        features = inputs[0]
        batch, channels, height, width = features.shape
        count = features.numel()
        if len(self.strip) < 2 * count or self.strip.dtype != features.dtype:
            # From a seed of its own: what is drawn does not depend on when a run was resumed.
            own = torch.Generator().manual_seed(0)
            signs = torch.randperm(2 * count, generator=own) % 2 * 2 - 1
            self.strip = (1 + _SIZE * signs).to(features)
        start = int(torch.randint(count, (), generator=self.rng.host))
        factors = self.strip[start : start + count].view(batch, height, width, channels)
        return (features * factors.permute(0, 3, 1, 2),)
