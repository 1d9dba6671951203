"""The networks of a denoiser: which of them a picture takes, each opened when first needed."""

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from restore.denoise.error_map import ErrorMapper
from restore.denoise.pixels import Tile
from restore.denoise.sample_range import SampleRange, method_of_noisy
from restore.denoise.settings import Sigma
from restore.denoise.task import ERRORS, TASK
from restore.engine.placement import Placement
from restore.engine.runner import Runner
from restore.errors import WeightsError
from restore.weights.file import is_ours_or_none, shipped, stored_list
from restore.weights.task import StoredModel

if TYPE_CHECKING:
    from torch import nn

    from restore.weights.foreign import ForeignModel
    from restore.weights.store import Weights

__all__ = ["Networks", "OpenNetwork"]

_AUTO = "auto"
_COLOUR = 3
_KINDS = {1: "gray", _COLOUR: "color"}
_DEFAULTS = {channels: TASK.default_weights[kind] for channels, kind in _KINDS.items()}
_DEFAULTS_WITH_SIGMA = {
    channels: TASK.default_weights[f"{kind}, sigma given"] for channels, kind in _KINDS.items()
}


@dataclass(frozen=True)
class OpenNetwork:
    """A network, and how its training requires it to be used.

    Attributes:
        runner: runner of the network.
        keeps_low_frequencies: whether to give them back, since training on camera noise shifts
            colours.
        remarks: what records say of it.
    """

    runner: Runner
    keeps_low_frequencies: bool
    remarks: Mapping[str, object]

    @classmethod
    def of(
        cls, model: "StoredModel | ForeignModel | Weights", placement: Placement
    ) -> "OpenNetwork":
        """Open the network of a model.

        Raises:
            WeightsError: it has no such precision.
            DeviceError: the device is not on this machine.
        """
        if not isinstance(model, StoredModel):
            # PyTorch has been imported by now.
            from restore.weights.foreign import ForeignModel

            if isinstance(model, ForeignModel):
                model.check_precision(placement.precision)
                return cls(Runner(model, placement, auto_tile=model.auto_tile), False, {})
        noise = stored_list(model.name, model.provenance, "recipe", "noise", str) or []
        method = method_of_noisy(model.provenance)
        remarks = {"trained_on_noisy": method} if method else {}
        return cls(Runner(model, placement), "camera" in noise, remarks)

    def tile(self, sigma: float) -> Tile:
        """Return what runs a tile whose noise has the level ``sigma``, in [0, 1]."""
        return Tile(sigma, self.runner.traits.channels)


class Networks:
    """The networks that a model stands for, by kind of picture; see ``Denoiser``.

    Args:
        model: as for ``Denoiser``.
        placement: where they run.
        sigma: as for ``Denoiser``: says which one is opened at once.

    Attributes:
        opened: those that have been opened, by the names of their weights.
        trained: range of samples that they were all trained on; None if it is stored with none of
            them, or not the same with all.

    Raises:
        WeightsError: the weights are missing, damaged or for another task.
        DeviceError: the device is not on this machine.
    """

    def __init__(
        self, model: "str | Path | Weights | nn.Module", placement: Placement, sigma: Sigma
    ) -> None:
        self._models: dict[str, StoredModel | ForeignModel | Weights]
        if isinstance(model, str | PathLike):
            self._names = _names_by_channels(model)
            self._names_with_sigma = _DEFAULTS_WITH_SIGMA if str(model) == _AUTO else self._names
            names = {*self._names.values(), *self._names_with_sigma.values()}
            self._models = {name: _stored(name) for name in names}
        else:
            from restore.weights.own import as_weights

            weights = as_weights(model, TASK)
            self._names = self._names_with_sigma = dict.fromkeys(_KINDS, weights.name)
            self._models = {weights.name: weights}
        ranges = {SampleRange.stored(name, each.provenance) for name, each in self._models.items()}
        self.trained = ranges.pop() if len(ranges) == 1 else None
        self.opened: dict[str, OpenNetwork] = {}
        self._placement = placement
        self._errors: ErrorMapper | None = None
        self._opening = Lock()
        is_named = str(model) in self._names.values()
        self._open(str(model) if is_named else self._name(_COLOUR, sigma))

    @property
    def lanes(self) -> int:
        """Number of pictures processed at once."""
        with self._opening:
            return max(network.runner.lanes for network in self.opened.values())

    def of(self, channels: int, sigma: Sigma) -> OpenNetwork:
        """Return the network for pictures of so many channels and such a noise level, opened."""
        return self._open(self._name(channels, sigma))

    @property
    def errors(self) -> ErrorMapper:
        """What makes error maps.

        Raises:
            WeightsError: its network is missing.
        """
        with self._opening:
            if self._errors is None:
                self._errors = ErrorMapper(ERRORS.default_weights["any"], self._placement)
            return self._errors

    def _name(self, channels: int, sigma: Sigma) -> str:
        return (self._names if sigma == "auto" else self._names_with_sigma)[channels]

    def _open(self, name: str) -> OpenNetwork:
        with self._opening:
            if name not in self.opened:
                self.opened[name] = OpenNetwork.of(self._models[name], self._placement)
            return self.opened[name]


def _stored(name: str | Path) -> "StoredModel | ForeignModel":
    """Return weights of ours, or a network of another project that spandrel runs."""
    try:
        return TASK.open(name)
    except WeightsError:
        if is_ours_or_none(name):
            raise
        from restore.weights.foreign import foreign_model

        if (foreign := foreign_model(Path(name))) is None:
            raise
        return foreign


def _names_by_channels(model: str | Path) -> dict[int, str]:
    """Return the weights for gray (1) and colour (3) pictures of unknown noise level."""
    if str(model) == _AUTO:
        return _DEFAULTS
    name = str(model)
    known = set(shipped())
    own = next((kind for kind in _KINDS.values() if name.endswith(f"-{kind}")), "")
    family = name.removesuffix(f"-{own}")
    twins = {channels: f"{family}-{kind}" for channels, kind in _KINDS.items()}
    if not Path(name).is_file() and known.issuperset(twins.values()):
        return twins
    return dict.fromkeys(_KINDS, name)
