"""How a detector of defects is chosen: its threshold, and the detector that this makes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from imrestore.options import NetworkOptions

if TYPE_CHECKING:
    from restore.anomaly.runner import Detector

__all__ = ["ThresholdOptions"]


@dataclass(frozen=True, kw_only=True)
class ThresholdOptions:
    """From which score on a part is defective."""

    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="Score above which a part is defective.",
            show_default="that of --target-fpr in training",
        ),
    ] = None
    fpr: Annotated[
        float | None,
        typer.Option(
            metavar="0..1",
            help="Choose the threshold so that this share of good parts is called defective.",
            show_default=False,
        ),
    ] = None

    def detector(self, network: NetworkOptions) -> "Detector":
        """Return the detector of the weights that ``network`` names; see ``Detector``."""
        from restore.anomaly.runner import Detector

        return Detector(
            network.model,
            threshold=self.threshold,
            fpr=self.fpr,
            device=network.device,
            precision=network.precision,
            tile=network.tile,
        )
