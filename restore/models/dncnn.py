"""DnCNN: a plain stack of 3x3 convolutions that predicts the noise in a picture."""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from restore.errors import WeightsError
from restore.models.layers import awaits_tensors, conv_relu, with_sigma_map

__all__ = ["DnCNN", "DnCNNConfig"]


@dataclass(frozen=True, kw_only=True)
class DnCNNConfig:
    """Configuration of a DnCNN.

    Attributes:
        channels: 1 for gray, 3 for colour.
        depth: number of convolutions; 17 for one noise level, 20 for blind use in the paper.
        width: feature channels of every hidden layer.
        batch_norm: normalise the hidden layers (only in training; ``fold`` removes it).
        noise_map: sigma is an extra input channel (FDnCNN).
        residual: the stack predicts the noise; False for the networks that predict the picture.
        dilations: dilation of every layer, as in an IRCNN; empty where none is dilated.
    """

    channels: int = 3
    depth: int = 20
    width: int = 64
    batch_norm: bool = False
    noise_map: bool = False
    residual: bool = True
    dilations: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Refuse invalid settings; accept the lists that JSON makes of tuples."""
        object.__setattr__(self, "dilations", tuple(self.dilations))
        if self.channels not in (1, 3) or self.depth < 2 or self.width < 1:
            raise WeightsError(
                f"DnCNN cannot have {self.channels} channels, {self.depth} layers, "
                f"{self.width} features"
            )
        if self.dilations and (len(self.dilations) != self.depth or min(self.dilations) < 1):
            raise WeightsError(f"a DnCNN of {self.depth} layers with dilations {self.dilations}")


class DnCNN(nn.Module):
    """Denoiser of Zhang et al., "Beyond a Gaussian Denoiser", IEEE TIP 2017.

    ``clean = noisy - stack(noisy)`` where ``stack`` is conv+ReLU, (conv+[BN]+ReLU) * (depth - 2),
    conv. The receptive field of the stack is ``2 * depth + 1`` pixels wide, and wider where layers
    are dilated, as in the IRCNN of Zhang et al., "Learning Deep CNN Denoiser Prior", CVPR 2017.
    """

    multiple = 1

    def __init__(self, config: DnCNNConfig) -> None:
        super().__init__()
        self.config = config
        inputs = config.channels + int(config.noise_map)
        hidden = [config.width] * (config.depth - 1)
        sizes = [inputs, *hidden, config.channels]
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, kernel_size=3, padding=dilation, dilation=dilation)
            for (a, b), dilation in zip(pairwise(sizes), self._dilations, strict=True)
        )
        self.norms = nn.ModuleList(
            nn.BatchNorm2d(config.width) if config.batch_norm else nn.Identity()
            for _ in range(config.depth - 2)
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start the hidden layers near the identity and the last layer near zero.

        A ReLU leaves the output of a ReLU as it is, so a hidden layer that starts as the identity
        is transparent, and a deep stack starts to learn as fast as a shallow one.
        """
        if awaits_tensors(self):
            return
        for conv in self.convolutions:
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            nn.init.zeros_(cast(Tensor, conv.bias))
        with torch.no_grad():
            if not self.config.batch_norm:
                for conv in self.convolutions[1:-1]:
                    conv.weight.mul_(0.3)
                    _add_identity(conv)
            self.convolutions[-1].weight.mul_(0.1)

    @property
    def halo(self) -> int:
        """Radius of the receptive field in pixels."""
        return sum(self._dilations)

    @property
    def _dilations(self) -> tuple[int, ...]:
        return self.config.dilations or (1,) * self.config.depth

    @property
    def convolutions(self) -> list[nn.Conv2d]:
        """All layers, in order."""
        return [cast(nn.Conv2d, conv) for conv in self.convs]

    def forward(self, noisy: Tensor, sigma: Tensor | None = None) -> Tensor:
        """Return the clean picture.

        Args:
            noisy: ``(B, C, H, W)`` in [0, 1].
            sigma: ``(B,)`` noise level in [0, 1]; used only with ``noise_map``.

        Returns:
            ``(B, C, H, W)`` in the dtype of ``noisy``, not clipped. The stack runs in the
            parameters' dtype, the subtraction in that of ``noisy``, so that low precision affects
            the noise estimate and never the picture.
        """
        inputs = with_sigma_map(noisy, sigma) if self.config.noise_map else noisy
        convs = self.convolutions
        features = conv_relu(convs[0], inputs.to(convs[0].weight.dtype))
        for conv, norm in zip(convs[1:-1], self.norms, strict=True):
            if self.config.batch_norm:
                features = torch.relu_(norm(conv(features)))
            else:
                features = conv_relu(conv, features)
        predicted: Tensor = convs[-1](features).to(noisy.dtype)
        return noisy - predicted if self.config.residual else predicted

    def fold(self) -> "DnCNN":
        """Return the same function without batch normalisation, folded into the convolutions."""
        folded = DnCNN(replace(self.config, batch_norm=False)).to(
            self.convolutions[0].weight.device
        )
        source = nn.ModuleList(self.convolutions)
        folded.convs.load_state_dict(source.state_dict())
        if self.config.batch_norm:
            with torch.no_grad():
                for conv, norm in zip(folded.convolutions[1:-1], self.norms, strict=True):
                    _fold_norm(conv, cast(nn.BatchNorm2d, norm))
        return folded.train(self.training)

    def deepened(self, depth: int) -> "DnCNN":
        """Return a deeper network that computes the same function (Chen et al., Net2Net, 2016).

        Identity layers are spread evenly between the hidden layers.

        Raises:
            WeightsError: ``depth`` is smaller than this network's, or it has batch normalisation
                or, where it is to grow, dilated layers.
        """
        grows = depth > self.config.depth
        if depth < self.config.depth or self.config.batch_norm or (grows and self.config.dilations):
            raise WeightsError(f"a DnCNN of depth {self.config.depth} cannot grow to {depth}")
        deep = DnCNN(replace(self.config, depth=depth))
        hidden, old = deep.convolutions[1:-1], self.convolutions
        slots = {i * len(hidden) // (len(old) - 2): i for i in range(len(old) - 2)}
        with torch.no_grad():
            for slot, conv in enumerate(hidden):
                if slot in slots:
                    conv.load_state_dict(old[1 + slots[slot]].state_dict())
                else:
                    nn.init.zeros_(conv.weight)
                    nn.init.zeros_(cast(Tensor, conv.bias))
                    _add_identity(conv)
            deep.convs[0].load_state_dict(old[0].state_dict())
            deep.convs[-1].load_state_dict(old[-1].state_dict())
        return deep


def _add_identity(conv: nn.Conv2d) -> None:
    centre = conv.weight[:, :, conv.weight.shape[2] // 2, conv.weight.shape[3] // 2]
    centre.diagonal().add_(1.0)


def _fold_norm(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    variance, mean = cast(Tensor, norm.running_var), cast(Tensor, norm.running_mean)
    scale = norm.weight / torch.sqrt(variance + norm.eps)
    bias = cast(Tensor, conv.bias)
    bias.copy_(norm.bias + (bias - mean) * scale)
    conv.weight.mul_(scale[:, None, None, None])
