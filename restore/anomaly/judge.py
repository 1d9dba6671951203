"""Validation of a detector: AUROC of synthetic defects against good parts not trained on."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from restore.anomaly.crops import PartCrops
from restore.anomaly.defects import KINDS, make_visible_defect
from restore.anomaly.perlin import Dice
from restore.errors import TrainingError
from restore.training.picture_store import Samples
from restore.training.schedule import Figure
from restore.training.state import Randomness

__all__ = ["AUROC", "DefectJudge"]

AUROC = Figure(key="validation_auroc_percent", name="AUROC of synthetic defects", unit="% AUROC")

_CROPS = 60
_BATCH = 10
_MOST_ROWS = 4
_SEED_OFFSET = 7_919
_TRIES = 40
_FAILURES = 3


class DefectJudge:
    """Image AUROC in percent: crops of held-out parts against others with a synthetic defect.

    Args:
        pictures: Good parts that are not trained on.
        patch: Side of the crops in pixels.
        seed: Seed of the crops and defects, which are the same at every validation.
        device: Device of the network.
        inside: Where on each picture defects count, as for ``PartCrops``.

    Raises:
        TrainingError: no kind of defect shows on the parts.
    """

    def __init__(
        self,
        pictures: Sequence[Samples],
        *,
        patch: int,
        seed: int,
        device: torch.device,
        inside: Sequence[Samples] = (),
    ) -> None:
        rng = Randomness(seed + _SEED_OFFSET, torch.device("cpu"))
        dice = Dice(rng.host, rng.local)
        crops = PartCrops(pictures, patch=patch, batch=_CROPS, inside=inside)
        good, drawn = crops(rng), crops(rng)
        self.good, self._inside_good = good.pictures, good.inside
        defective, insides = [], []
        unseen = dict.fromkeys(KINDS, 0)
        for index, part in enumerate(drawn.pictures):
            first = index % len(KINDS)
            for name in (*tuple(KINDS)[first:], *tuple(KINDS)[:first]):
                # Skip a kind that keeps failing: spots are invisible on any crop of a spotted part.
                if unseen[name] >= _FAILURES:
                    continue
                kind = KINDS[name]
                picture, mask = make_visible_defect(
                    part, self.good, kind, dice, tries=_TRIES, inside=drawn.inside[index, 0]
                )
                if mask.any():
                    unseen[name] = 0
                    defective.append(picture)
                    insides.append(drawn.inside[index])
                    break
                unseen[name] += 1
        if not defective:
            raise TrainingError("no synthetic defect is visible on these parts; use other pictures")
        self.defective, self._inside_defective = torch.stack(defective), torch.stack(insides)
        self.device = device
        self._shown: Tensor | None = None

    def __call__(self, network: nn.Module) -> float:
        """Return the AUROC of ``network``, which is left in evaluation mode."""
        good, defective = self.scores(network)
        labels = [0] * len(good) + [1] * len(defective)
        from sklearn.metrics import roc_auc_score

        return 100 * float(roc_auc_score(labels, torch.cat([good, defective]).numpy()))

    def scores(self, network: nn.Module) -> tuple[Tensor, Tensor]:
        """Return scores ``(N,)`` of good and of defective crops, whose kinds take turns."""
        network.eval()
        results = []
        with torch.inference_mode():
            for crops in (self.good, self.defective):
                batches = torch.split(crops, _BATCH)
                parts = [_inspected(network, batch.to(self.device)) for batch in batches]
                results.append(torch.cat([part.cpu() for part in parts]))
        self._shown = results[1][:_MOST_ROWS]
        insides = (self._inside_good, self._inside_defective)
        good, defective = (
            (result[:, -1:] * inside).flatten(1).amax(dim=1)
            for result, inside in zip(results, insides, strict=True)
        )
        return good, defective

    def sheet(self) -> Tensor | None:
        """Return part, reconstruction and map in rows, ``(3, H, W)``, or None before a call."""
        if self._shown is None:
            return None
        rows = []
        for picture, result in zip(self.defective, self._shown, strict=False):
            scores = result[-1:] / result[-1].max().clamp_min(1e-6)
            three = [picture[:1], result[:1], scores]
            rows.append(torch.cat([each.expand(3, -1, -1) for each in three], dim=2))
        return torch.cat(rows, dim=1).clamp(0, 1)


def _inspected(network: nn.Module, crops: Tensor) -> Tensor:
    result: Tensor = network.inspect(crops)  # type: ignore[operator]
    return result.float()
