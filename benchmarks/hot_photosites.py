"""What filling hot photosites gains where there are some, and costs where there are none.

    python benchmarks/hot_photosites.py kodak24/ [--count 24] [--iso 100,6400]

Pictures of the folder, and a field of stars 1.2 pixels wide, become RAW files of a usual camera at
these speeds, as in `imrestore evaluate dark-enhance --iso`; once as they are and once with 100 hot
photosites per megapixel, 5 to 100 % of what is left to saturation brighter. `dark-enhance` develops
them with --keep-hot-pixels, by default, and with --fill-hot-pixels. PSNR in dB of the developed
pictures, means; and how many photosites are filled, per megapixel.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import erf

from restore.dark.darkening import dark_raw
from restore.dark.evaluate import CAMERA
from restore.dark.runner import DarkEnhancer
from restore.image.colour import linear_to_srgb, srgb_to_linear
from restore.image.decode import decode
from restore.image.develop import camera_to_srgb
from restore.image.metrics import psnr_chw
from restore.image.raw_picture import RawPicture
from tables import table

HOT_PER_MEGAPIXEL = 100
WAYS = {
    "kept": {"repair": False},
    "default": {},
    "fill": {"in_doubt": True},
}

Pixels = NDArray[np.float32]


def stars(side: int = 504, count: int = 300, width_px: float = 1.2) -> Pixels:
    """Return a field of stars of many colours, sRGB ``[3, side, side]``."""
    rng = np.random.default_rng(0)
    light = np.full((3, side, side), 0.01)
    sigma = width_px / 2.355 * 2**0.5
    places = np.arange(side)
    for _ in range(count):
        down, across = (
            (erf((places + 0.5 - at) / sigma) - erf((places - 0.5 - at) / sigma)) / 2
            for at in rng.uniform(4, side - 4, 2)
        )
        colour = rng.uniform([0.6, 0.9, 0.6], [1, 1, 1]) * np.exp(rng.uniform(-3, 0))
        light += colour[:, None, None] * np.outer(down, across)
    return linear_to_srgb(light.clip(0, 1).astype(np.float32))


def pictures(folder: Path, count: int) -> Iterator[tuple[str, Pixels]]:
    """Yield pictures and what the table calls them."""
    for path in sorted(folder.iterdir())[:count]:
        pixels = decode(path).pixels
        yield "photographs", pixels[:, : pixels.shape[1] // 2 * 2, : pixels.shape[2] // 2 * 2]
    yield "stars", stars()


def with_hot(raw: RawPicture) -> RawPicture:
    """Return a RAW picture with hot photosites."""
    rng = np.random.default_rng(1)
    mosaic = raw.mosaic.copy()
    places = rng.choice(mosaic.size, round(HOT_PER_MEGAPIXEL * mosaic.size / 1e6), replace=False)
    room = raw.white_level - mosaic.ravel()[places]
    mosaic.ravel()[places] += (rng.uniform(0.05, 1, len(places)) * room.clip(0)).astype(np.uint16)
    return replace(raw, mosaic=mosaic)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--iso", default="100,6400")
    options = parser.parse_args()
    speeds = [float(each) for each in options.iso.split(",")]
    enhancer = DarkEnhancer()
    psnr, filled = defaultdict(list), defaultdict(list)
    for index, (kind, clean) in enumerate(pictures(options.folder, options.count)):
        for iso in speeds:
            generator = torch.Generator().manual_seed(index)
            raw, light, ratio = dark_raw(torch.from_numpy(clean), CAMERA, 1.0, generator, iso=iso)
            matrix = camera_to_srgb(raw)
            reference = linear_to_srgb(np.tensordot(matrix, light.numpy(), axes=1)).clip(0, 1)
            for state, source in (("none", raw), (f"{HOT_PER_MEGAPIXEL}/MP", with_hot(raw))):
                for way, how in WAYS.items():
                    result = enhancer(source, ratio=ratio, **how)
                    linear = np.tensordot(matrix, srgb_to_linear(result.colour).clip(0, 1), axes=1)
                    row = kind, iso, state
                    psnr[row, way].append(psnr_chw(linear_to_srgb(linear).clip(0, 1), reference))
                    defects = float(result.record["defects"])
                    filled[row, way].append(defects / (raw.mosaic.size / 1e6))
    rows = [
        [kind, f"{iso:g}", state]
        + [f"{np.mean(psnr[(kind, iso, state), way]):.2f}" for way in WAYS]
        + [f"{np.mean(filled[(kind, iso, state), way]):.1f}" for way in list(WAYS)[1:]]
        for kind, iso, state in dict.fromkeys(row for row, _ in psnr)
    ]
    ways = ["--keep-hot-pixels", "default", "--fill-hot-pixels"]
    counts = ["filled per MP, default", "--fill-hot-pixels"]
    print(table(["pictures", "ISO", "hot photosites", *ways, *counts], rows))


if __name__ == "__main__":
    main()
