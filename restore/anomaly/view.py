"""What of a part is inspected: a region of interest, registration, and a least area of defects."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restore.anomaly.alignment import ALIGNMENTS, Alignment, Registration
from restore.anomaly.roi import RegionOfInterest
from restore.arguments import argument
from restore.errors import UsageError, WeightsError

__all__ = ["LARGEST_AREA", "WHOLE", "View", "check_area"]

LARGEST_AREA = 10**9

_OFF = "off"


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """What of a part is inspected.

    Attributes:
        roi: Where defects count; None for everywhere. With an alignment, on the mean good part.
        alignment: Mean good part that parts are registered to, or None.
        min_area: Regions of fewer pixels do not make a part defective.
    """

    roi: RegionOfInterest | None = None
    alignment: Alignment | None = None
    min_area: int = 0

    @property
    def align(self) -> str:
        """How parts are registered: off, translation or rotation."""
        return self.alignment.mode if self.alignment else _OFF

    def placed(self, pixels: NDArray[np.float32]) -> Registration | None:
        """Return where a part lies in its picture ``[C, H, W]``, None without an alignment."""
        return self.alignment.register(pixels) if self.alignment else None

    def inside(
        self, size: tuple[int, int], placed: Registration | None = None, name: str = "the picture"
    ) -> NDArray[np.bool_] | None:
        """Return where defects count, ``[H, W]`` of a picture or its aligned version; None for all.

        Args:
            size: ``(H, W)`` of the picture.
            placed: Where the part lies.
            name: Name of the picture in messages.

        Raises:
            InputError: the region of interest is for pictures of another size.
        """
        inside = self.roi.inside(*size, name) if self.roi else None
        if self.alignment is None or placed is None or not placed.is_moved:
            return inside
        covered = self.alignment.covered(placed)
        return covered if inside is None else inside & covered

    def overridden(
        self,
        *,
        roi: RegionOfInterest | str | None = None,
        align: str | None = None,
        min_area: int | None = None,
    ) -> "View":
        """Return this view with other settings in place of those stored with the weights.

        Args:
            roi: A region, a box as in "40,20,200,160", or "off"; None to keep it.
            align: off, translation or rotation; None to keep it.
            min_area: Area in pixels; None to keep it.

        Raises:
            UsageError: a setting is invalid, or the weights hold no mean good part to align to.
        """
        view = self
        if roi is not None:
            region = RegionOfInterest.parse(roi) if isinstance(roi, str) and roi != _OFF else roi
            view = replace(view, roi=None if isinstance(region, str) else region)
        if align is not None:
            view = replace(view, alignment=self._realigned(align))
        if min_area is not None:
            view = replace(view, min_area=check_area(min_area))
        return view

    def _realigned(self, align: str) -> Alignment | None:
        if align not in ALIGNMENTS:
            raise UsageError(f"{argument('align')} {align}: use {', '.join(ALIGNMENTS)}")
        if align == _OFF:
            return None
        if self.alignment is None:
            raise UsageError(
                f"{argument('align')} {align}: the weights hold no mean good part; train them "
                "with it"
            )
        return replace(self.alignment, mode=align)

    def departures(self, stored: "View") -> list[str]:
        """Return a sentence for each setting with which the stored threshold promises nothing."""
        changed = []
        if self.roi is not stored.roi and stored.roi is not None:
            changed.append("the region of interest")
        if self.align != stored.align:
            changed.append("the alignment")
        if max(1, self.min_area) < max(1, stored.min_area):
            changed.append("the least area")
        return [
            f"the threshold was calibrated with {each} stored in the weights, and its false-alarm "
            "rate is guaranteed with that only"
            for each in changed
        ]

    def as_mapping(self) -> dict[str, Any]:
        """Return plain values, for a weight file; nothing that is usual."""
        values: dict[str, Any] = {}
        if self.roi:
            values["roi"] = self.roi.as_mapping()
        if self.alignment:
            values["alignment"] = self.alignment.as_mapping()
        if self.min_area > 1:
            values["min_area"] = self.min_area
        return values

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "View":
        """Return the view that ``as_mapping`` described; other keys are left alone.

        Raises:
            WeightsError: the values are invalid.
        """
        roi, alignment, min_area = (values.get(key) for key in ("roi", "alignment", "min_area"))
        for name, value in (("region of interest", roi), ("alignment", alignment)):
            if value is not None and not isinstance(value, Mapping):
                raise WeightsError(f"its {name} is invalid")
        try:
            return cls(
                roi=None if roi is None else RegionOfInterest.from_mapping(roi),
                alignment=None if alignment is None else Alignment.from_mapping(alignment),
                min_area=check_area(0 if min_area is None else min_area),
            )
        except UsageError as error:
            raise WeightsError("its least area is invalid") from error


WHOLE = View()
"""The whole picture, as it is."""


def check_area(value: object) -> int:
    """Return an area in pixels.

    Raises:
        UsageError: it is none.
    """
    if type(value) is not int or not 0 <= value <= LARGEST_AREA:
        raise UsageError(
            f"{argument('min_area')} {value!r:.40}: give a number of pixels, 0 for any"
        )
    return value
