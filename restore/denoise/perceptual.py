"""LPIPS, DISTS and NIQE by the packages pyiqa or piq, where their weights are on this machine."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restore.arguments import argument
from restore.errors import UsageError, one_line

__all__ = ["MEASURES", "Perceptual"]

MEASURES = ("lpips", "dists", "niqe")
"""Names of the measures; lower is better."""
_NO_REFERENCE = ("niqe",)
_PACKAGES = ("pyiqa", "piq")

_Measure = Callable[[Tensor, Tensor], float]


class Perceptual:
    """Measures pictures as people see them.

    Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR
    2018 (LPIPS); Ding et al., "Image Quality Assessment: Unifying Structure and Texture
    Similarity", IEEE TPAMI 2022 (DISTS); Mittal et al., "Making a Completely Blind Image Quality
    Analyzer", IEEE SPL 2013 (NIQE, which needs no reference). Nothing is downloaded.

    Args:
        names: some of ``MEASURES``.

    Raises:
        UsageError: an unknown name; or the package or the weights for one are not there.
    """

    def __init__(self, names: Sequence[str]) -> None:
        for name in names:
            if name not in MEASURES:
                raise UsageError(f"{argument('metrics')} {name}: give some of {','.join(MEASURES)}")
        package = next((each for each in _PACKAGES if find_spec(each)), None)
        if names and package is None:
            raise UsageError(
                f"{argument('metrics')} {','.join(names)}: needs the package piq (pip install "
                "'imrestore[metrics]') for lpips and dists, or pyiqa, whose licence is "
                "non-commercial, for niqe, too"
            )
        make = _of_pyiqa if package == "pyiqa" else _of_piq
        self._measures = {name: _made(make, name, package) for name in names}

    def __call__(
        self, result: NDArray[np.float32], reference: NDArray[np.float32]
    ) -> dict[str, float]:
        """Return each measure of a result; both ``[C, H, W]`` in [0, 1]."""
        with torch.inference_mode():
            pair = [_as_rgb(each) for each in (result, reference)]
            return {name: measure(pair[0], pair[1]) for name, measure in self._measures.items()}


def _as_rgb(pixels: NDArray[np.float32]) -> Tensor:
    tensor = torch.from_numpy(np.ascontiguousarray(pixels))[None]
    return tensor.expand(-1, 3, -1, -1) if len(pixels) == 1 else tensor


def _made(make: Callable[[str], _Measure], name: str, package: str | None) -> _Measure:
    try:
        with _offline():
            return make(name)
    except UsageError:
        raise
    except Exception as error:  # packages raise what their own packages raise
        raise UsageError(
            f"{argument('metrics')} {name}: {package} cannot measure it here: its weights are not "
            "on this machine, or it does not suit this PyTorch; let it measure a picture once "
            f"where it can download them ({one_line(str(error), 100)})"
        ) from error


def _of_pyiqa(name: str) -> _Measure:
    import pyiqa

    metric: Any = pyiqa.create_metric(name, device=torch.device("cpu"))
    if name in _NO_REFERENCE:
        return lambda result, _reference: float(metric(result))
    return lambda result, reference: float(metric(result, reference))


def _of_piq(name: str) -> _Measure:
    if name in _NO_REFERENCE:
        raise UsageError(f"{argument('metrics')} {name}: piq does not have it: pip install pyiqa")
    import piq

    metric: Any = piq.LPIPS() if name == "lpips" else piq.DISTS()
    return lambda result, reference: float(metric(result, reference))


@contextmanager
def _offline() -> Iterator[None]:
    """Let nothing be downloaded while a measure is made."""

    def refuse(*_arguments: Any, **_options: Any) -> None:
        raise OSError("downloads are not made")

    kept = torch.hub.download_url_to_file
    torch.hub.download_url_to_file = refuse
    try:
        yield
    finally:
        torch.hub.download_url_to_file = kept
