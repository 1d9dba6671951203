"""Options of `imrestore anomaly`: what is inspected, by which network, and when it is defective."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

import typer

from imrestore.options import NetworkOptions, RunOptions
from imrestore.view import ViewOptions

if TYPE_CHECKING:
    from restore.anomaly.runner import Detector

__all__ = [
    "InspectingNetwork",
    "InspectionOptions",
    "Threshold",
    "ThresholdOptions",
    "VerdictOptions",
]


Threshold = Annotated[
    float | None,
    typer.Option(
        metavar="X",
        help="Score above which a part is defective.",
        show_default="the one for --target-fpr in training",
    ),
]


class Rates(TypedDict, total=False):
    """False-alarm rates of the verdicts besides defective; see ``Detector``."""

    review_fpr: float | None
    unfamiliar_fpr: float


@dataclass(frozen=True, kw_only=True)
class InspectionOptions(RunOptions):
    """Which pictures are inspected, and where the report goes."""

    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT",
            help="Pictures and folders of pictures; - is standard input.",
            show_default=False,
        ),
    ] = None
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="REPORT",
            help="Folder of the report: report.html, results.csv, regions.csv, results.jsonl and "
            "the folders maps, masks, overlays, reconstructions and thumbnails.",
            show_default=False,
        ),
    ]
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="auto|HOST:PORT",
            help="Have the workers of a Ray cluster inspect: one for each of its GPUs, or for each "
            "--jobs of its cores. This command, which writes the report, runs on one of its "
            "machines; pictures, report and weights are on a drive that all of them mount.",
            show_default="this machine alone",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class InspectingNetwork(NetworkOptions):
    """The network that was trained on good parts, and how it runs."""

    model: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE",
            help="Weights trained on good parts with `imrestore train anomaly`; no weights suit "
            "all kinds of parts.",
            show_default="none, required",
        ),
    ] = "auto"


@dataclass(frozen=True, kw_only=True)
class ThresholdOptions:
    """Above which score a part is defective."""

    threshold: Threshold = None
    fpr: Annotated[
        float | None,
        typer.Option(
            metavar="0..1",
            help="Choose the threshold so that this share of good parts is called defective.",
            show_default=False,
        ),
    ] = None

    def detector(self, network: NetworkOptions, view: ViewOptions) -> "Detector":
        """Return the detector of the weights that ``network`` names; see ``Detector``."""
        from restore.anomaly.runner import Detector

        return Detector(
            network.model,
            **self._rates(),
            threshold=self.threshold,
            fpr=self.fpr,
            roi=view.region(),
            align=view.align,
            min_area=view.min_area,
            **network.placement,
        )

    def _rates(self) -> "Rates":
        return {}


@dataclass(frozen=True, kw_only=True)
class VerdictOptions(ThresholdOptions):
    """Between which scores, and from which oddity on, a part gets another verdict than good."""

    review_fpr: Annotated[
        float | None,
        typer.Option(
            "--review-fpr",
            metavar="0..1",
            help="Add the verdict review between good and defective, so that this larger share of "
            "good parts is called defective or for review.",
            show_default="no reviews",
        ),
    ] = None
    unfamiliar_fpr: Annotated[
        float,
        typer.Option(
            "--unfamiliar-fpr",
            metavar="0..0.5",
            help="Call pictures unfamiliar that are unlike the good parts as a whole (dark, "
            "blurred, no part in them), so that this share of good parts is; 0 does not check.",
        ),
    ] = 0.001

    def _rates(self) -> "Rates":
        return {"review_fpr": self.review_fpr, "unfamiliar_fpr": self.unfamiliar_fpr}
