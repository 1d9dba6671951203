"""Denoising files of many planes."""

from pathlib import Path

import numpy as np
import tifffile

from restore.denoise.noisy_pictures import open_noisy_pictures
from restore.training.picture_store import PictureStore

NOISE = np.random.default_rng(0).normal(2000, 400, (3, 48, 64))
PLANES = NOISE.clip(0, 4000).astype(np.uint16)


def test_planes_of_a_stack_are_learned_from_but_are_no_burst(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "stack.tif", PLANES, photometric="minisblack")
    said: list[str] = []
    found = open_noisy_pictures(
        [tmp_path], method="auto", channels=0, patch=32, store=PictureStore(), warn=said.append
    )
    assert (found.pictures, found.method, found.samples.kind) == (3, "downscaled", "16")
    assert found.samples.white < 0.07
