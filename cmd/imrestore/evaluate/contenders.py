"""The networks that an evaluation compares."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from imrestore.options import NetworkOptions

__all__ = ["ContenderOptions", "labels"]

_MODELS = typer.Option(
    metavar="NAME|FILE",
    help="Weights to measure; give it several times to compare.",
    show_default=False,
)


@dataclass(frozen=True, kw_only=True)
class ContenderOptions(NetworkOptions):
    """Which networks are measured, and how they run."""

    model: Annotated[list[str] | None, _MODELS] = None  # type: ignore[assignment]

    @property
    def each(self) -> list[NetworkOptions]:
        """The options of every network alone."""
        names: dict[str, None] = dict.fromkeys(self.model or ("auto",))
        return [
            NetworkOptions(model=name, device=self.device, precision=self.precision, tile=self.tile)
            for name in names
        ]


def labels(models: Sequence[str]) -> list[str]:
    """Return what each network is called: its name or its file's, or as given if two are alike."""
    stems = [Path(model).stem if Path(model).suffix else model for model in models]
    return stems if len(set(stems)) == len(stems) else list(models)
