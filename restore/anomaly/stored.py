"""What a detector's weight file says of its inspection: calibration, scale, edges and view."""

from typing import Any

import numpy as np

from restore.anomaly.calibration import Calibration
from restore.anomaly.edges import EdgeProfile
from restore.anomaly.familiarity import Familiarity
from restore.anomaly.texture import TextureMemory
from restore.anomaly.view import View
from restore.arguments import argument
from restore.checks import checked_number
from restore.errors import UsageError, WeightsError
from restore.weights.store import Weights

__all__ = [
    "LARGEST_SCORE",
    "calibration_of",
    "edges_of",
    "familiarity_limit",
    "familiarity_of",
    "review_threshold_of",
    "scale_of",
    "texture_of",
    "threshold_of",
    "view_of",
]

_LARGEST_SCALE = 1000
_LARGEST_UNFAMILIAR_FPR = 0.5
LARGEST_SCORE = float(np.finfo(np.float32).max)
"""Highest score that is told, and highest threshold."""


def calibration_of(weights: Weights) -> Calibration | None:
    stored = weights.provenance.get("calibration")
    if stored is None:
        return None
    if not isinstance(stored, dict):
        raise WeightsError(f"{weights.name}: its calibration is invalid")
    try:
        return Calibration.from_mapping(stored)
    except WeightsError as error:
        raise WeightsError(f"{weights.name}: {error}") from error


def threshold_of(
    weights: Weights, calibration: Calibration | None, threshold: float | None, fpr: float | None
) -> tuple[float, str]:
    """Return the threshold, and a sentence if it cannot guarantee its false-alarm rate.

    It is rounded to float32 like the scores, so that the verdict on a part cannot differ from that
    on its highest pixel.
    """
    if threshold is not None and fpr is not None:
        raise UsageError(f"give {argument('threshold')} or {argument('fpr')}, not both")
    if threshold is not None:
        expected = "a number that is not negative"
        checked = checked_number("threshold", threshold, 0, LARGEST_SCORE, expected)
        return float(np.float32(checked)), ""
    if calibration is None:
        raise WeightsError(
            f"{weights.name}: was never calibrated on good parts; give {argument('threshold')}, or "
            "finish its training"
        )
    quantile = min(calibration.threshold(fpr), LARGEST_SCORE)
    return float(np.float32(quantile)), calibration.shortfall(fpr)


def review_threshold_of(
    weights: Weights, calibration: Calibration | None, review_fpr: float | None, threshold: float
) -> float | None:
    """Return the lower threshold of two, rounded as the higher one is; None for no reviews."""
    if review_fpr is None:
        return None
    if calibration is None:
        raise WeightsError(
            f"{weights.name}: was never calibrated on good parts, as {argument('review_fpr')} "
            "needs it"
        )
    quantile = float(np.float32(min(calibration.threshold(review_fpr), LARGEST_SCORE)))
    if quantile > threshold:
        raise UsageError(
            f"{argument('review_fpr')} {review_fpr:g}: more good parts score above the threshold "
            f"than that; give a larger rate than {argument('fpr')}"
        )
    return quantile


def familiarity_of(weights: Weights) -> Familiarity | None:
    stored = weights.provenance.get("familiarity")
    if stored is None:
        return None
    try:
        if not isinstance(stored, dict):
            raise WeightsError("how good parts look is invalid")
        return Familiarity.from_mapping(stored, weights.channels)
    except WeightsError as error:
        raise WeightsError(f"{weights.name}: {error}") from error


def familiarity_limit(familiarity: Familiarity | None, rate: float) -> float | None:
    """Return the familiarity below which a part is unfamiliar, None without such a check."""
    checked = checked_number(
        "unfamiliar_fpr", rate, 0, _LARGEST_UNFAMILIAR_FPR, "a number from 0 to 0.5"
    )
    return checked if familiarity else None


def _stored(weights: Weights, key: str, usual: object) -> Any:
    """Return a setting of the inspection from the weights' provenance."""
    stored = weights.provenance.get("inspection", {})
    return stored.get(key, usual) if isinstance(stored, dict) else None


def edges_of(weights: Weights) -> EdgeProfile:
    factors = _stored(weights, "edge_factors", [])
    try:
        return EdgeProfile(tuple(float(factor) for factor in factors))
    except (TypeError, ValueError) as error:
        raise WeightsError(f"{weights.name}: its edge factors are invalid") from error


def texture_of(weights: Weights) -> TextureMemory | None:
    stored = _stored(weights, "texture", None)
    if stored is None:
        return None
    try:
        return TextureMemory.from_mapping(stored, weights.channels)
    except WeightsError as error:
        raise WeightsError(f"{weights.name}: {error}") from error


def scale_of(weights: Weights) -> int:
    scale = _stored(weights, "scale", 1)
    if type(scale) is not int or not 1 <= scale <= _LARGEST_SCALE:
        raise WeightsError(f"{weights.name}: its scale is invalid")
    return scale


def view_of(weights: Weights) -> View:
    stored = weights.provenance.get("inspection", {})
    try:
        return View.from_mapping(stored if isinstance(stored, dict) else {})
    except WeightsError as error:
        raise WeightsError(f"{weights.name}: {error}") from error
