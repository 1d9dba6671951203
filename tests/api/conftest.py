"""What tests of the functions for Python share."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.api.own import Blur, BlurConfig


@pytest.fixture
def network() -> Blur:
    torch.manual_seed(0)
    return Blur(BlurConfig())


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in "abc":
        small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(small).resize((64, 48), Image.Resampling.BICUBIC).save(
            folder / f"{name}.png"
        )
    return folder
