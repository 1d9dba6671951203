"""Runners of small untrained networks, and one that changes nothing."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from restore.dark import runner
from restore.dark.runner import DarkEnhancer
from restore.engine.runner import Runner
from restore.image.colour import linear_to_srgb

Models = dict[str, Path]


@pytest.fixture
def enhancer(isp_weights: Models) -> DarkEnhancer:
    return DarkEnhancer(isp_weights["bayer"], precision="fp32")


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch, enhancer: DarkEnhancer) -> DarkEnhancer:
    """An enhancer whose network gives each pixel the colours of its cell."""

    def developed(
        _self: Runner, planes: NDArray[np.float32], *, channels: int
    ) -> NDArray[np.float32]:
        assert channels == 3
        cells = linear_to_srgb(planes[:3].clip(0, 1))
        return cells.repeat(2, axis=1).repeat(2, axis=2)

    monkeypatch.setattr(Runner, "tiled", developed)
    return enhancer


@pytest.fixture
def uncorrected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take what networks make as it is; the corrections work in blocks from the first pixel on."""
    monkeypatch.setattr(runner, "keep_known_light", lambda *_args, **_options: None)
    monkeypatch.setattr(runner, "without_mesh", lambda *_args: None)
