"""The verdicts on a part, from its score and its familiarity."""

from enum import StrEnum

__all__ = ["REJECTED", "Verdict"]


class Verdict(StrEnum):
    """What becomes of a part.

    Attributes:
        GOOD: Nothing unusual.
        REVIEW: Somebody should look: above the lower of two thresholds only.
        DEFECTIVE: Above the threshold.
        UNFAMILIAR: Unlike all good parts as a whole, so that its score means nothing.
        FAILED: Not inspected.
    """

    GOOD = "good"
    REVIEW = "review"
    DEFECTIVE = "defective"
    UNFAMILIAR = "unfamiliar"
    FAILED = "failed"


REJECTED = (Verdict.DEFECTIVE, Verdict.UNFAMILIAR)
"""Verdicts on parts that must not pass."""
