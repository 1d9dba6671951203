from collections.abc import Callable, Sequence

import numpy as np
import pytest

from restore.denoise.pixels import Tile
from restore.engine.lane import Lane, Model
from restore.engine.placement import Placement
from restore.engine.runner import Runner


class Denoising:
    """A runner that denoises pictures: ``Denoising(model, device="cpu")(pixels, 0.1)``."""

    def __init__(
        self,
        model: Model,
        *,
        device: str = "cpu",
        precision: str = "fp32",
        tile: str | int = "auto",
    ) -> None:
        placement = Placement(device=device, precision=precision, tile=tile)
        self.runner = Runner(model, placement)

    def __call__(self, pixels: np.ndarray, sigma: float) -> np.ndarray:
        return self.runner.tiled(pixels, Tile(sigma, self.runner.traits.channels))


@pytest.fixture(autouse=True)
def _usual_engine(usual_engine: None) -> None:
    """Choose the engine as for users."""


@pytest.fixture
def denoising() -> type[Denoising]:
    return Denoising


@pytest.fixture
def on_lanes(
    monkeypatch: pytest.MonkeyPatch, denoising: type[Denoising]
) -> Callable[[Model, Sequence[Lane], Lane], Denoising]:
    """Denoises in the given lanes, and in the last of the arguments once those are shut."""

    def make(model: Model, lanes: Sequence[Lane], processor: Lane) -> Denoising:
        def lanes_of(
            _model: Model, _placement: Placement, device: str, **_: object
        ) -> Sequence[Lane]:
            return [processor] if device == "cpu" else lanes

        monkeypatch.setattr("restore.engine.runner._lanes_of", lanes_of)
        return denoising(model, device="cuda:all")

    return make
