"""Autoencoders trained on good parts only, so that they reproduce defects badly."""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from restore.errors import WeightsError
from restore.models.layers import awaits_tensors, pooled, ssim_map

__all__ = ["Autoencoder", "AutoencoderConfig"]

_PIXEL_SIGMA = 0.05
"""Standard deviation of pixels around a variational reconstruction; scales beta."""


@dataclass(frozen=True, kw_only=True)
class AutoencoderConfig:
    """Configuration of an autoencoder.

    Attributes:
        channels: number of picture channels, at least 1.
        window: height and width of the input in pixels, a multiple of 16, at most 1024.
        latent: dimension of the latent code.
        loss: measure of the difference at a pixel, l2 or ssim.
        variational: whether the latent code is Gaussian, with its KL divergence from a normal
            distribution in the loss.
        beta: weight of that divergence, at least 0; 1 gives the evidence lower bound.
    """

    channels: int = 1
    window: int = 128
    latent: int = 100
    loss: str = "ssim"
    variational: bool = False
    beta: float = 1.0

    def __post_init__(self) -> None:
        """Refuse invalid settings."""
        if self.channels < 1 or self.latent < 1:
            raise WeightsError(
                f"an autoencoder cannot have {self.channels} channels, {self.latent} latents"
            )
        if self.window < 16 or self.window % 16 or self.window > 1024:
            raise WeightsError(
                f"an autoencoder's window is a multiple of 16 up to 1024, not {self.window}"
            )
        if self.loss not in ("l2", "ssim"):
            raise WeightsError(f"an autoencoder's loss is l2 or ssim, not {self.loss}")
        if self.variational and self.loss != "l2":
            raise WeightsError("a variational autoencoder's loss is l2")
        if not 0 <= self.beta < float("inf"):
            raise WeightsError(f"beta is a number of at least 0, not {self.beta}")


class Autoencoder(nn.Module):
    """The convolutional autoencoder of Bergmann et al. (VISAPP 2019), also as a variational one.

    Nine convolutions encode a window as ``latent`` numbers, nine mirrored ones decode them. Kingma
    and Welling, "Auto-Encoding Variational Bayes", 2014, for the Gaussian latent.
    """

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        codes = config.latent * (2 if config.variational else 1)
        end = config.window // 16
        self.encoder = nn.Sequential(
            *_halving(config.channels, 32),
            *_halving(32, 32),
            *_same(32, 32),
            *_halving(32, 64),
            *_same(64, 64),
            *_halving(64, 128),
            *_same(128, 64),
            *_same(64, 32),
            nn.Conv2d(32, codes, kernel_size=end),
        )
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(config.latent, 32, kernel_size=end),
            nn.LeakyReLU(0.2),
            *_same(32, 64),
            *_same(64, 128),
            *_doubling(128, 64),
            *_same(64, 64),
            *_doubling(64, 32),
            *_same(32, 32),
            *_doubling(32, 32),
            nn.ConvTranspose2d(32, config.channels, kernel_size=4, stride=2, padding=1),
        )
        if awaits_tensors(self):
            return
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, a=0.2)
                nn.init.zeros_(cast(Tensor, module.bias))

    @property
    def window(self) -> int:
        """Height and width of the input in pixels."""
        return self.config.window

    def forward(self, pictures: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return the reconstruction from the latent code, and the code's divergence.

        Args:
            pictures: ``(B, C, window, window)`` in [0, 1].
            noise: standard normal ``(B, latent)``, for a variational autoencoder in training;
                without it the mean of the latent distribution is taken.

        Returns:
            ``(B, C + 1, window, window)``: the reconstruction in [0, 1], and the divergence of the
            latent distribution in nats per pixel (zero if not variational), the same everywhere.
        """
        codes: Tensor = self.encoder((pictures - 0.5).to(self._dtype))
        divergence = torch.zeros_like(codes[:, :1]).float()
        if self.config.variational:
            mean, log_variance = codes.float().chunk(2, dim=1)
            log_variance = log_variance.clamp(-20, 10)
            terms = mean**2 + log_variance.exp() - 1 - log_variance
            divergence = terms.sum(dim=1, keepdim=True) / (2 * self.window**2)
            codes = mean
            if noise is not None:
                codes = mean + noise[:, :, None, None] * (0.5 * log_variance).exp()
        reconstruction = self.decode(codes[:, :, 0, 0])
        spread = divergence.expand(-1, -1, self.window, self.window)
        return torch.cat([reconstruction.float(), spread], dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Return the pictures ``(B, C, window, window)`` of latent codes ``(B, latent)``."""
        return torch.sigmoid(self.decoder(codes[:, :, None, None].to(self._dtype)))

    @property
    def _dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def cost(self, pictures: Tensor, result: Tensor) -> Tensor:
        """Return the training loss at each pixel, which is also the score map.

        Args:
            pictures: ``(B, C, window, window)`` in [0, 1].
            result: what ``forward`` returned for them.

        Returns:
            ``(B, 1, window, window)``: squared difference, or 1 - SSIM (at least 0); if
            variational, the negative evidence lower bound in nats, without constants.
        """
        reconstruction, divergence = result[:, :-1], result[:, -1:]
        if self.config.loss == "ssim":
            return (1 - ssim_map(reconstruction, pictures)).mean(dim=1, keepdim=True).clamp_min(0)
        square = (reconstruction - pictures).square()
        if not self.config.variational:
            return square.mean(dim=1, keepdim=True)
        likelihood = square.sum(dim=1, keepdim=True) / (2 * _PIXEL_SIGMA**2)
        return likelihood + self.config.beta * divergence

    def describe(self, pictures: Tensor) -> Tensor:
        """Return what the encoder sees of whole pictures, ``(B, D)``.

        Means and standard deviations of the features of all layers but the last.

        Args:
            pictures: ``(B, C, H, W)`` in [0, 1]; H and W are multiples of 16, whatever the window.
        """
        features, levels = (pictures - 0.5).to(self._dtype), []
        for layer in list(self.encoder)[:-1]:
            features = layer(features)
            if isinstance(layer, nn.LeakyReLU):
                levels.append(features)
        return pooled(levels)

    def inspect(self, pictures: Tensor) -> Tensor:
        """Return reconstruction and score map ``(B, C + 1, window, window)``."""
        result = self(pictures)
        return torch.cat([result[:, :-1], self.cost(pictures.float(), result)], dim=1)


def _halving(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, kernel_size=4, stride=2, padding=1), nn.LeakyReLU(0.2)]


def _same(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, kernel_size=3, padding=1), nn.LeakyReLU(0.2)]


def _doubling(inputs: int, outputs: int) -> list[nn.Module]:
    upwards = nn.ConvTranspose2d(inputs, outputs, kernel_size=4, stride=2, padding=1)
    return [upwards, nn.LeakyReLU(0.2)]
