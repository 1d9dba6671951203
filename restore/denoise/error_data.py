"""Training examples of errors: crops with noise, and what denoisers made of them."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from restore.arguments import argument
from restore.denoise.crops import Batch
from restore.engine.device import has_fast_bf16
from restore.errors import UsageError
from restore.noise.jpeg import luma_and_chroma
from restore.training.state import Randomness
from restore.weights.file import stored_list
from restore.weights.store import Network, Weights

__all__ = ["USES", "ErrorBatch", "ErrorBatches", "Restorer", "noise_known_to", "planes_of"]

_COLOURS = 3
_KEPT = 32
USES = 8
"""Batches that are taken for each that is denoised."""


@dataclass(frozen=True, kw_only=True)
class ErrorBatch:
    """A batch of denoised crops.

    Attributes:
        planes: noisy crops and results, ``(B, 6, P, P)``, as ``ErrorNet`` takes them.
        clean: ``(B, 3, P, P)`` in [0, 1].
    """

    planes: Tensor
    clean: Tensor

    @property
    def result(self) -> Tensor:
        """The results, ``(B, 3, P, P)``, clipped as files are."""
        return self.planes[:, _COLOURS:].clamp(0, 1)

    @property
    def errors(self) -> Tensor:
        """Absolute errors of the channels, ``(B, 3, P, P)``."""
        return (self.result - self.clean).abs()


def planes_of(noisy: Tensor, result: Tensor) -> Tensor:
    """Return noisy pictures and results ``(B, 1 or 3, H, W)`` as ``ErrorNet`` takes them."""
    return torch.cat([each.expand(-1, _COLOURS, -1, -1) for each in (noisy, result)], dim=1)


def noise_known_to(weights: Weights, kinds: Sequence[str]) -> list[str]:
    """Return the kinds of noise that a denoiser was trained for, all where it does not say.

    What it leaves of other noise looks like texture, so that nothing can be said of its errors.

    Args:
        weights: of the denoiser.
        kinds: as ``--noise`` names them.

    Raises:
        UsageError: it was trained for none of these.
        WeightsError: the recipe holds something else in its place.
    """
    trained = stored_list(weights.name, weights.provenance, "recipe", "noise", str)
    if trained is None:
        trained = ["awgn"] if weights.takes_sigma else list(kinds)
    families = {each.partition(":")[0] for each in trained}
    known = [kind for kind in kinds if kind.partition(":")[0] in families]
    if not known:
        raise UsageError(
            f"{weights.name} was trained for {', '.join(sorted(families))}: give "
            f"{argument('noise')} of that"
        )
    return known


class Restorer:
    """A denoiser whose errors are learned.

    Args:
        weights: its weights.
        patch: side of the crops in pixels.
        precision: dtype that it runs in where the device computes in it.

    Raises:
        UsageError: the crops do not fit the network.
        WeightsError: the tensors do not fit the architecture.
    """

    def __init__(self, weights: Weights, *, patch: int, precision: torch.dtype) -> None:
        self.channels = weights.channels
        self._network: nn.Module = weights.build()
        self._precision = precision
        multiple = cast(Network, self._network).multiple
        if patch % multiple:
            raise UsageError(
                f"{argument('patch')} {patch}: give a multiple of {multiple} for {weights.name}"
            )

    def __call__(self, batch: Batch) -> Tensor:
        """Return the results, of as many channels as the noisy crops, not clipped."""
        noisy = batch.noisy
        kind = noisy.device.type
        is_fast = self._precision != torch.float32 and (kind != "cpu" or has_fast_bf16())
        given = noisy.expand(-1, max(self.channels, noisy.shape[1]), -1, -1)
        with torch.no_grad(), torch.autocast(kind, self._precision, enabled=is_fast):
            result: Tensor = self._network.to(noisy.device)(given, batch.sigma).float()
        return result if noisy.shape[1] == result.shape[1] else result.mean(dim=1, keepdim=True)


class ErrorBatches:
    """Batches of denoised crops; some of them gray.

    Denoising takes ten times as long as a step of the network that learns the errors. So crops are
    taken at random from the latest that were denoised, which are few at the start of a run and
    again where it is resumed.

    Args:
        sources: denoisers, each used as often, with what draws colour crops with noise; those
            for gray pictures get gray ones.
        gray_share: share of gray crops for the others.
        uses: batches that are taken for each that is denoised.
    """

    def __init__(
        self,
        sources: Sequence[tuple[Callable[[Randomness], Batch], Restorer]],
        gray_share: float,
        *,
        uses: int = USES,
    ) -> None:
        self.sources = list(sources)
        self.gray_share = gray_share
        self.uses = uses
        self._taken = self._size = 0
        self._latest: deque[tuple[Tensor, Tensor]] = deque()

    def __call__(self, rng: Randomness) -> ErrorBatch:
        """Return one batch."""
        if self._taken % self.uses == 0:
            fresh = self._denoised(rng)
            self._latest.extend(zip(fresh.planes, fresh.clean, strict=True))
            self._size = len(fresh.planes)
            while len(self._latest) > _KEPT * self._size:
                self._latest.popleft()
        self._taken += 1
        chosen = torch.randperm(len(self._latest), generator=rng.host)[: self._size].tolist()
        planes, clean = zip(*(self._latest[index] for index in chosen), strict=True)
        return ErrorBatch(planes=torch.stack(planes), clean=torch.stack(clean))

    def _denoised(self, rng: Randomness) -> ErrorBatch:
        choice, chance = torch.rand(2, generator=rng.host).tolist()
        batches, restorer = self.sources[int(choice * len(self.sources))]
        batch = batches(rng)
        if restorer.channels == 1 or chance < self.gray_share:
            batch = Batch.of(*(luma_and_chroma(each)[0] for each in (batch.noisy, batch.clean)))
        clean = batch.clean.expand(-1, _COLOURS, -1, -1)
        return ErrorBatch(planes=planes_of(batch.noisy, restorer(batch)), clean=clean)
