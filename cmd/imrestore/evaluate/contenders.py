"""The networks that an evaluation compares."""

from dataclasses import dataclass
from typing import Annotated

import typer

from imrestore.options import NetworkOptions

__all__ = ["ContenderOptions"]

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
    def models(self) -> list[str]:
        """The weights, each once."""
        return list(dict.fromkeys(self.model or ("auto",)))
