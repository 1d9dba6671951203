"""Records and tables of `imrestore evaluate hdr`, of scenes and of real captures."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, TypeAlias, Union

from imrestore.output import print_table, visible

if TYPE_CHECKING:
    from restore.hdr.captures import CaptureResult
    from restore.hdr.evaluate import HdrResult

__all__ = ["Result", "mean_of", "print_captures", "print_scenes", "record_of"]

Result: TypeAlias = Union["HdrResult", "CaptureResult"]
Means: TypeAlias = Mapping[str, "Mean"]

_GROUPS, _MEASURES = ("all", "saturated"), ("linear", "mu", "pu21")
_STOPS = ("mean", "median", "p90", "bias")


@dataclass(frozen=True, kw_only=True)
class Mean:
    """The means of one network.

    Attributes:
        figures: Means over scenes, those of PSNR over finite ones.
        interval: 95 % interval of the error in stops, over pictures; None of a single one.
    """

    figures: dict[str, float]
    interval: tuple[float, float] | None

    def described(self) -> dict[str, object]:
        """Return plain values for a JSON record."""
        return {**self.figures, "stops_interval": self.interval}


def record_of(result: Result) -> dict[str, object]:
    """Return the JSON record of one network on one scene."""
    return {"source": str(result.path), **result.figures}


def mean_of(results: Sequence[Result]) -> Mean:
    """Return the means of one network's results.

    Views into one panorama are not independent: intervals are over the means of pictures.
    """
    from restore.hdr.metrics import mean_interval

    figures = {
        f"{group}_{measure}": _mean([getattr(getattr(one, group), measure) for one in results])
        for group in _GROUPS
        for measure in _MEASURES
        if hasattr(results[0], group)
    }
    for name in _STOPS:
        figures[f"stops_{name}"] = _mean([getattr(one.stops, name) for one in results])
    by_picture = [
        _mean([one.stops.mean for one in views])
        for _, views in groupby(results, key=lambda one: one.path)
    ]
    finite = [value for value in by_picture if math.isfinite(value)]
    return Mean(figures=figures, interval=mean_interval(finite))


def print_scenes(means: Means) -> None:
    """Print the means of scenes of known radiance."""
    heading = "".join(f"{name:>8} " for name in ("linear", "mu", "PU21")).rstrip()
    rows = [
        ["", "all pixels", "saturated pixels", "error there, 95 %"],
        ["PSNR in dB", heading, heading, "stops"],
    ]
    for name, mean in means.items():
        cells = [
            " ".join(f"{mean.figures[f'{group}_{measure}']:8.2f}" for measure in _MEASURES)
            for group in _GROUPS
        ]
        rows.append([visible(name), *cells, _stops(mean)])
    print_table(rows, "<>>>")


def print_captures(results: Sequence["CaptureResult"], means: Means) -> None:
    """Print the results of real captures, and their means."""
    rows = [["error in stops", "", "mean", "median", "90 %", "bias", "moved px", "correlation"]]
    for one in results:
        figures = [f"{getattr(one.stops, name):.2f}" for name in _STOPS]
        placed = [f"{one.shift_px:.1f}", f"{one.correlation:.3f}"]
        rows.append([visible(one.path.name), visible(one.model), *figures, *placed])
    for name, mean in means.items():
        figures = [f"{mean.figures[f'stops_{key}']:.2f}" for key in _STOPS]
        rows.append(["mean", visible(name), *figures, "", ""])
    print_table(rows, "<<>>>>>>")
    for name, mean in means.items():
        print(f"{visible(name)}: {_stops(mean)} stops, 95 % interval over scenes")


def _stops(mean: Mean) -> str:
    shown = f"{mean.figures['stops_mean']:.2f}"
    if mean.interval is None:
        return shown
    low, high = mean.interval
    return f"{shown} ({max(0.0, low):.2f} to {high:.2f})"


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan
