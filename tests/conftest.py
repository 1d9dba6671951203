from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from restore.image.raw_picture import RawPicture


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The data sets beside the project; tests that need them are skipped where they are not."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads what others left in the user's cache folder, or leaves anything there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


BAYER = {
    "rggb": [[0, 1], [3, 2]],
    "grbg": [[1, 0], [2, 3]],
    "gbrg": [[3, 2], [0, 1]],
    "bggr": [[2, 3], [1, 0]],
}
MATRIX = np.array([[0.8, -0.2, -0.1], [-0.5, 1.3, 0.2], [-0.1, 0.2, 0.7]], dtype=np.float32)
XTRANS = [
    [1, 1, 0, 1, 1, 2],
    [1, 1, 2, 1, 1, 0],
    [2, 0, 1, 0, 2, 1],
    [1, 1, 2, 1, 1, 0],
    [1, 1, 0, 1, 1, 2],
    [0, 2, 1, 2, 0, 1],
]


@pytest.fixture(scope="session")
def sensor() -> Callable[..., RawPicture]:
    """Makes RAW pictures: ``sensor("grbg", size=(96, 132), level=0.1)``, or of other fields."""

    def make(
        pattern: str = "rggb",
        *,
        size: tuple[int, int] = (96, 132),
        level: float = 0.5,
        **fields: Any,
    ) -> RawPicture:
        rng = np.random.default_rng(0)
        most = 512 + level * 15000
        values: dict[str, Any] = {
            "mosaic": rng.uniform(512, most, size).astype(np.uint16),
            "cfa": np.array(XTRANS if pattern == "xtrans" else BAYER[pattern], dtype=np.uint8),
            "black_level": (512.0, 512.0, 512.0, 512.0),
            "white_level": 15512.0,
            "white_balance": (2.1, 1.0, 1.6),
            "xyz_to_camera": MATRIX,
        }
        return RawPicture(**(values | fields))

    return make


@pytest.fixture(scope="session")
def isp_weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small untrained image signal processors, for bayer and for xtrans."""
    import torch

    from restore.models.isp_unet import IspUNet, IspUNetConfig
    from restore.weights.store import Weights, save_weights

    paths = {}
    for name, planes in (("bayer", 4), ("xtrans", 9)):
        torch.manual_seed(0)
        config = IspUNetConfig(planes=planes, width=2)
        weights = Weights(
            name=name,
            network=IspUNet,
            config=config,
            task="dark-enhance",
            tensors=dict(IspUNet(config).state_dict()),
        )
        paths[name] = tmp_path_factory.mktemp("isp") / f"{name}.safetensors"
        save_weights(weights, paths[name])
    return paths
