"""The options that say what of a part is inspected."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imrestore.options import complete

if TYPE_CHECKING:
    from restore.anomaly.roi import RegionOfInterest

__all__ = ["Mask", "Roi", "ViewOptions", "region_of_interest"]

_STORED = "as in training"

Mask = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Picture of the size of the parts that is white where defects count; with --align, on "
        "the mean good part.",
        show_default=False,
    ),
]
Roi = Annotated[
    str | None,
    typer.Option(
        metavar="X,Y,W,H",
        help="Box in pixels in which defects count; with --align, on the mean good part.",
        show_default=False,
    ),
]


@dataclass(frozen=True, kw_only=True)
class ViewOptions:
    """What of a part is inspected, where it differs from what is stored with the weights."""

    mask: Mask = None
    roi: Annotated[
        str | None,
        typer.Option(
            metavar="X,Y,W,H|off",
            help="Box in pixels in which defects count; with --align, on the mean good part. off: "
            "everywhere.",
            show_default=_STORED,
        ),
    ] = None
    align: Annotated[
        str | None,
        typer.Option(
            metavar="off|translation|rotation",
            help="How parts are registered to the mean good part before they are inspected; it is "
            "stored by training with --align.",
            show_default=_STORED,
            autocompletion=complete("off", "translation", "rotation"),
        ),
    ] = None
    min_area: Annotated[
        int | None,
        typer.Option(
            metavar="PX",
            min=0,
            help="Places of fewer pixels above the threshold do not make a part defective.",
            show_default=_STORED,
        ),
    ] = None

    def region(self) -> "RegionOfInterest | str | None":
        """Return where defects count: a region, "off", or None for what is stored."""
        return "off" if self.roi == "off" else region_of_interest(self.mask, self.roi)


def region_of_interest(mask: Path | None, roi: str | None) -> "RegionOfInterest | None":
    """Return the region that --mask or --roi names, or None.

    Raises:
        UsageError: both are given, or one is invalid.
    """
    from restore.anomaly.roi import RegionOfInterest
    from restore.errors import InputError, UsageError

    if mask is not None and roi is not None:
        raise UsageError("give --mask or --roi, not both")
    if mask is None:
        return None if roi is None else RegionOfInterest.parse(roi)
    try:
        return RegionOfInterest.read(mask)
    except InputError as error:
        raise UsageError(f"--mask: {error}") from error
