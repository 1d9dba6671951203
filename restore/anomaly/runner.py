"""Visual inspection: a picture of a part in, a verdict and the places of its defects out."""

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from restore.anomaly.alignment import Registration
from restore.anomaly.appearance import Onlooker
from restore.anomaly.familiarity import UNFAMILIAR_FPR
from restore.anomaly.network import InspectionNetwork
from restore.anomaly.part import Part, as_part, check_range
from restore.anomaly.regions import Region, mask_above, regions_above
from restore.anomaly.roi import RegionOfInterest
from restore.anomaly.stored import (
    LARGEST_SCORE,
    calibration_of,
    edges_of,
    familiarity_limit,
    familiarity_of,
    review_threshold_of,
    scale_of,
    texture_of,
    threshold_of,
    view_of,
)
from restore.anomaly.task import TASK
from restore.anomaly.verdict import Verdict
from restore.anomaly.view import View
from restore.engine.placement import Placement
from restore.errors import InputError, UsageError, WeightsError
from restore.image.coerce import ImageLike
from restore.models.autoencoder import Autoencoder
from restore.reopen import Reopened
from restore.weights.file import digest
from restore.weights.store import Weights

__all__ = ["Detector", "Inspection", "draw_samples"]

_MOST_REGIONS = 1000
_DIGEST_LENGTH = 16


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """The result of inspecting one part.

    Attributes:
        score: Highest score in the map, or that which a region of ``min_area`` pixels reaches.
        threshold: Score above which a part is called defective.
        review_threshold: Score above which a part is to be reviewed; None without reviews.
        familiarity: Share of good parts expected to look at least as unusual; None if the weights
            do not say how good parts look.
        familiarity_limit: Familiarity below which a part is unfamiliar, or None.
        reason: Why the part is unfamiliar, in a phrase or two; "" if it is not.
        regions: Regions above the threshold, highest first; at most a thousand.
        region_count: Number of all regions.
        largest_area: Area of the largest region in pixels, 0 if there is none.
        scores: Score map ``[H, W]``, never negative, at the picture's resolution.
        reconstruction: Reconstruction by the network, ``[C, H, W]`` in [0, 1].
        min_area: Area in pixels below which regions do not count.
        small_regions: Number of regions above the threshold that are smaller.
        placed: Where the part lies in its picture, None if parts are not registered.

    >>> import numpy as np
    >>> import restore
    >>> inspection = restore.Detector("anomaly-magnetic-tile")(np.full((64, 64), 90, np.uint8))
    >>> inspection.scores.shape, inspection.is_defective == (inspection.region_count > 0)
    ((64, 64), True)
    """

    score: float
    threshold: float
    regions: tuple[Region, ...]
    region_count: int
    largest_area: int
    scores: NDArray[np.float32]
    reconstruction: NDArray[np.float32]
    review_threshold: float | None = None
    familiarity: float | None = None
    familiarity_limit: float | None = None
    reason: str = ""
    min_area: int = 0
    small_regions: int = 0
    placed: Registration | None = None

    @property
    def verdict(self) -> Verdict:
        """The verdict."""
        if self.is_unfamiliar:
            return Verdict.UNFAMILIAR
        if self.is_defective:
            return Verdict.DEFECTIVE
        if self.review_threshold is not None and self.score > self.review_threshold:
            return Verdict.REVIEW
        return Verdict.GOOD

    @property
    def is_defective(self) -> bool:
        """Whether the score lies above the threshold."""
        return self.score > self.threshold

    @property
    def is_unfamiliar(self) -> bool:
        """Whether the part as a whole is unlike all good ones."""
        if self.placed is not None and not self.placed.found:
            return True
        if self.familiarity is None or self.familiarity_limit is None:
            return False
        return self.familiarity < self.familiarity_limit

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Where the regions above the threshold are, ``[H, W]``, without those too small."""
        return mask_above(self.scores, self.threshold, self.min_area)

    @property
    def peak_at(self) -> tuple[int, int]:
        """Column and row of the highest score."""
        row, column = np.unravel_index(int(self.scores.argmax()), self.scores.shape)
        return int(column), int(row)

    @property
    def relative_score(self) -> float | None:
        """Score over threshold, above 1 for a defect; None where the threshold is 0."""
        if not self.threshold > 0:
            return None
        return min(self.score / self.threshold, LARGEST_SCORE)


class Detector(Reopened):
    """Inspects parts with a network trained on good ones.

    Args:
        model: a shipped name or a weight file, or weights that were loaded.
        threshold: score above which a part is defective.
        fpr: false-alarm rate that sets the threshold instead; without either, the rate of the
            training does.
        review_fpr: share of good parts, larger than ``fpr``, that may be called defective or in
            need of a review; None for no reviews.
        roi: where defects count: a region, a box as in "40,20,200,160", or "off"; None as stored
            with the weights.
        align: off, translation or rotation; None as stored with the weights.
        min_area: area in pixels below which regions do not make a part defective; None as stored
            with the weights.
        unfamiliar_fpr: share of good parts that may be called unfamiliar; 0 for no such check.
        device: as for ``Placement``.
        precision: as for ``Placement``.
        tile: as for ``Placement``.

    Raises:
        WeightsError: the weights are missing, damaged, for another task, or were never calibrated
            and no threshold is given.
        UsageError: an option is invalid, or two thresholds.
        DeviceError: the device is not on this machine.

    It may be called from several threads, and pickled: another process opens the network anew.
    After a fork, make one of its own.

    >>> import numpy as np
    >>> import restore
    >>> detector = restore.Detector("anomaly-magnetic-tile", fpr=0.05)
    >>> scratched = np.full((64, 64), 90, np.uint8)
    >>> scratched[20:23, 10:50] = 255
    >>> detector(scratched).score > detector(np.full((64, 64), 90, np.uint8)).score
    True
    """

    def __init__(
        self,
        model: str | Path | Weights,
        *,
        threshold: float | None = None,
        fpr: float | None = None,
        review_fpr: float | None = None,
        roi: RegionOfInterest | str | None = None,
        align: str | None = None,
        min_area: int | None = None,
        unfamiliar_fpr: float = UNFAMILIAR_FPR,
        device: str = "auto",
        precision: str = "auto",
        tile: str | int = "auto",
    ) -> None:
        weights = model if isinstance(model, Weights) else TASK.load(model)
        stored = view_of(weights)
        view = stored.overridden(roi=roi, align=align, min_area=min_area)
        self.calibration = calibration_of(weights)
        self.threshold, self.shortfall = threshold_of(weights, self.calibration, threshold, fpr)
        target = self.calibration.target_fpr if self.calibration else None
        self.fpr = None if threshold is not None else (fpr or target)
        self.review_fpr = review_fpr
        self.review_threshold = review_threshold_of(
            weights, self.calibration, review_fpr, self.threshold
        )
        self.familiarity = familiarity_of(weights) if unfamiliar_fpr else None
        self.familiarity_limit = familiarity_limit(self.familiarity, unfamiliar_fpr)
        self.departures = view.departures(stored) if threshold is None else []
        self.network = InspectionNetwork(
            weights,
            Placement(device=device, precision=precision, tile=tile),
            scale=scale_of(weights),
            edges=edges_of(weights),
            texture=texture_of(weights),
            view=view,
        )
        self._onlooker = Onlooker(weights, self.network.scale)

    @property
    def weights(self) -> Weights:
        """Weights of the detector."""
        return self.network.weights

    @property
    def view(self) -> View:
        """What of a part is inspected."""
        return self.network.view

    @cached_property
    def digest(self) -> str:
        """Digest of all that verdicts depend on besides thresholds.

        Network, tensors, scale, edge factors, textures, view, and how good parts look.
        """
        weights = self.weights
        inspection: dict[str, Any] = {
            "scale": self.network.scale,
            "edges": self.network.edges.factors,
        }
        if self.network.texture:
            inspection |= {"texture": self.network.texture.as_mapping()}
        if self.familiarity:
            inspection |= {"familiarity": self.familiarity.as_mapping()}
        inspection |= self.view.as_mapping()
        settings = asdict(weights.config) | inspection
        tensors = ((key, tensor.numpy()) for key, tensor in weights.tensors.items())
        return digest(weights.architecture, settings, tensors, "scores")[:_DIGEST_LENGTH]

    def __call__(self, image: "Part | ImageLike", name: str = "the picture") -> Inspection:
        """Inspect one part.

        Args:
            image: ``Part`` of as many channels as the network was trained for, or gray stored as
                RGB for a network trained on gray; or, of 1 or 3,
                ``Picture``, path, PIL image, array or tensor of one picture; see
                ``restore.denoise``. Pictures that say so, and files, are turned upright.
            name: Name of the picture in messages.

        Raises:
            InputError: another number of channels, samples beyond [0, 1], an unsupported type, or
                an unreadable file.
        """
        part = as_part(image, name).fitted_to(self.weights.channels)
        check_range(part, name)
        if part.channels != self.weights.channels:
            raise InputError(
                f"{name}: has {_channels(part.channels)}; {self.weights.name} was trained on "
                f"pictures of {_channels(self.weights.channels)}"
            )
        result = self.network(part.pixels, name)
        judged = self.familiarity(self._onlooker(part)) if self.familiarity else None
        familiarity = judged.familiarity if judged else None
        reasons = [result.placed.reason] if result.placed else []
        if judged and self.familiarity_limit and judged.familiarity < self.familiarity_limit:
            reasons.append(judged.reason)
        regions, too_small = regions_above(result.scores, self.threshold, self.view.min_area)
        return Inspection(
            score=result.score,
            threshold=self.threshold,
            review_threshold=self.review_threshold,
            familiarity=familiarity,
            familiarity_limit=self.familiarity_limit,
            reason="; ".join(filter(None, reasons)),
            regions=tuple(regions[:_MOST_REGIONS]),
            region_count=len(regions),
            largest_area=max((region.area for region in regions), default=0),
            scores=result.scores,
            reconstruction=result.reconstruction,
            min_area=self.view.min_area,
            small_regions=too_small,
            placed=result.placed,
        )


def draw_samples(model: str | Path, count: int, *, seed: int = 0) -> NDArray[np.float32]:
    """Return pictures drawn from the latent space of a variational autoencoder.

    Args:
        model: a shipped name or a weight file.
        count: how many.
        seed: of the latent numbers.

    Returns:
        ``[count, C, window, window]`` in [0, 1].

    Raises:
        WeightsError: not a variational autoencoder.
        UsageError: less than one picture.
    """
    if count < 1:
        raise UsageError(f"{count} samples: give a number from 1")
    weights = TASK.load(model)
    network = weights.build()
    if not isinstance(network, Autoencoder) or not network.config.variational:
        raise WeightsError(
            f"{weights.name}: only variational autoencoders draw pictures; train one with "
            "`imrestore train anomaly --model vae`"
        )
    rng = torch.Generator().manual_seed(seed)
    with torch.inference_mode():
        codes = torch.randn((count, network.config.latent), generator=rng)
        return np.concatenate([network.decode(code[None]).numpy() for code in codes])


def _channels(count: int) -> str:
    names = {1: "1 channel (gray)", 3: "3 channels (colour)"}
    return names.get(count, f"{count} channels")
