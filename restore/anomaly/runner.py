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
from restore.anomaly.calibration import Calibration
from restore.anomaly.edges import EdgeProfile
from restore.anomaly.familiarity import UNFAMILIAR_FPR, Familiarity
from restore.anomaly.network import InspectionNetwork
from restore.anomaly.part import Part, as_part, check_range
from restore.anomaly.regions import Region, mask_above, regions_above
from restore.anomaly.roi import RegionOfInterest
from restore.anomaly.task import TASK
from restore.anomaly.verdict import Verdict
from restore.anomaly.view import View
from restore.checks import checked_number
from restore.engine.placement import Placement
from restore.errors import InputError, UsageError, WeightsError
from restore.image.coerce import ImageLike
from restore.models.autoencoder import Autoencoder
from restore.reopen import Reopened
from restore.weights.file import digest
from restore.weights.store import Weights

__all__ = ["Detector", "Inspection", "draw_samples"]

_MOST_REGIONS = 1000
_LARGEST_SCALE = 1000
_DIGEST_LENGTH = 16
_LARGEST_UNFAMILIAR_FPR = 0.5
_LARGEST_SCORE = float(np.finfo(np.float32).max)


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
        reason: Why the part is unfamiliar, in one phrase; "" if it is not.
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
        return min(self.score / self.threshold, _LARGEST_SCORE)


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

    It can be pickled: another process opens the network anew.

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
        stored = _view(weights)
        view = stored.overridden(roi=roi, align=align, min_area=min_area)
        self.calibration = _calibration(weights)
        self.threshold, self.shortfall = _threshold(weights, self.calibration, threshold, fpr)
        target = self.calibration.target_fpr if self.calibration else None
        self.fpr = None if threshold is not None else (fpr or target)
        self.review_fpr = review_fpr
        self.review_threshold = _review_threshold(
            weights, self.calibration, review_fpr, self.threshold
        )
        self.familiarity = _familiarity(weights) if unfamiliar_fpr else None
        self.familiarity_limit = _familiarity_limit(self.familiarity, unfamiliar_fpr)
        self.departures = view.departures(stored) if threshold is None else []
        self.network = InspectionNetwork(
            weights,
            Placement(device=device, precision=precision, tile=tile),
            scale=_scale(weights),
            edges=_edges(weights),
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

        Network, tensors, scale, edge factors, view, and how good parts look.
        """
        weights = self.weights
        inspection = {"scale": self.network.scale, "edges": self.network.edges.factors}
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
        reason = result.placed.reason if result.placed else ""
        if judged and self.familiarity_limit and judged.familiarity < self.familiarity_limit:
            reason = judged.reason
        regions, too_small = regions_above(result.scores, self.threshold, self.view.min_area)
        return Inspection(
            score=result.score,
            threshold=self.threshold,
            review_threshold=self.review_threshold,
            familiarity=familiarity,
            familiarity_limit=self.familiarity_limit,
            reason=reason,
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


def _calibration(weights: Weights) -> Calibration | None:
    stored = weights.provenance.get("calibration")
    if stored is None:
        return None
    if not isinstance(stored, dict):
        raise WeightsError(f"{weights.name}: its calibration is invalid")
    try:
        return Calibration.from_mapping(stored)
    except WeightsError as error:
        raise WeightsError(f"{weights.name}: {error}") from error


def _threshold(
    weights: Weights, calibration: Calibration | None, threshold: float | None, fpr: float | None
) -> tuple[float, str]:
    """Return the threshold, and a sentence if it cannot guarantee its false-alarm rate.

    It is rounded to float32 like the scores, so that the verdict on a part cannot differ from that
    on its highest pixel.
    """
    if threshold is not None and fpr is not None:
        raise UsageError("give --threshold or --fpr, not both")
    if threshold is not None:
        expected = "a number that is not negative"
        checked = checked_number("threshold", threshold, 0, _LARGEST_SCORE, expected)
        return float(np.float32(checked)), ""
    if calibration is None:
        raise WeightsError(
            f"{weights.name}: was never calibrated on good parts; give --threshold, or finish its "
            "training"
        )
    quantile = min(calibration.threshold(fpr), _LARGEST_SCORE)
    return float(np.float32(quantile)), calibration.shortfall(fpr)


def _review_threshold(
    weights: Weights, calibration: Calibration | None, review_fpr: float | None, threshold: float
) -> float | None:
    """Return the lower threshold of two, rounded as the higher one is; None for no reviews."""
    if review_fpr is None:
        return None
    if calibration is None:
        raise WeightsError(
            f"{weights.name}: was never calibrated on good parts, as --review-fpr needs it"
        )
    quantile = float(np.float32(min(calibration.threshold(review_fpr), _LARGEST_SCORE)))
    if quantile > threshold:
        raise UsageError(
            f"--review-fpr {review_fpr:g}: more good parts score above the threshold than that; "
            "give a larger rate than --fpr"
        )
    return quantile


def _familiarity(weights: Weights) -> Familiarity | None:
    stored = weights.provenance.get("familiarity")
    if stored is None:
        return None
    try:
        if not isinstance(stored, dict):
            raise WeightsError("how good parts look is invalid")
        return Familiarity.from_mapping(stored, weights.channels)
    except WeightsError as error:
        raise WeightsError(f"{weights.name}: {error}") from error


def _familiarity_limit(familiarity: Familiarity | None, rate: float) -> float | None:
    """Return the familiarity below which a part is unfamiliar, None without such a check."""
    checked = checked_number(
        "rate of unfamiliar good parts", rate, 0, _LARGEST_UNFAMILIAR_FPR, "a number from 0 to 0.5"
    )
    return checked if familiarity else None


def _stored(weights: Weights, key: str, usual: object) -> Any:
    """Return a setting of the inspection from the weights' provenance."""
    stored = weights.provenance.get("inspection", {})
    return stored.get(key, usual) if isinstance(stored, dict) else None


def _edges(weights: Weights) -> EdgeProfile:
    factors = _stored(weights, "edge_factors", [])
    try:
        return EdgeProfile(tuple(float(factor) for factor in factors))
    except (TypeError, ValueError) as error:
        raise WeightsError(f"{weights.name}: its edge factors are invalid") from error


def _scale(weights: Weights) -> int:
    scale = _stored(weights, "scale", 1)
    if type(scale) is not int or not 1 <= scale <= _LARGEST_SCALE:
        raise WeightsError(f"{weights.name}: its scale is invalid")
    return scale


def _view(weights: Weights) -> View:
    stored = weights.provenance.get("inspection", {})
    try:
        return View.from_mapping(stored if isinstance(stored, dict) else {})
    except WeightsError as error:
        raise WeightsError(f"{weights.name}: {error}") from error


def _channels(count: int) -> str:
    names = {1: "1 channel (gray)", 3: "3 channels (colour)"}
    return names.get(count, f"{count} channels")
