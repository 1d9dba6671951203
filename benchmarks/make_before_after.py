"""Make docs/pictures/: photographs with a camera's noise, before and after `photo`.

Cut from the panoramas of Poly Haven (CC0 1.0) that no network was trained on, with the noise,
demosaicking, noise reduction and JPEG of random cameras (`--noise camera` of training).

    python benchmarks/make_before_after.py ../shared/data/hdr/panoramas/test docs/pictures
"""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from restore.denoise.runner import Denoiser
from restore.image.colour import linear_to_srgb
from restore.image.decode import decode
from restore.image.picture import Picture
from restore.noise.camera import photographed

WIDTH, HEIGHT = 360, 270
SEAM = 4
MIDDLE = 0.25
PLACES = {
    "christmas_photo_studio_07": [0.3],
    "modern_buildings_2": [0.25, 0.8],
    "quarry_02": [0.15],
    "st_fagans_interior": [0.6],
    "vestibule": [0.45],
}
"""Panorama to the left edges of its parts, as shares of the free range."""


def photograph(panorama: Path, place: float, seed: int) -> Picture:
    """Return a part near the horizon, tone-mapped (Reinhard et al. 2002) and with noise."""
    light = decode(panorama).pixels
    exposed = light / np.median(light) * MIDDLE
    clean = linear_to_srgb(exposed / (1 + exposed))
    _, height, width = clean.shape
    top, left = (height - HEIGHT) // 2, int(place * (width - WIDTH))
    part = torch.from_numpy(clean[:, top : top + HEIGHT, left : left + WIDTH].copy())[None]
    noisy, _ = photographed(part, torch.Generator().manual_seed(seed))
    return Picture(pixels=noisy[0].numpy())


def main(panoramas: Path, output: Path) -> None:
    """Write a before/after picture for every panorama."""
    output.mkdir(parents=True, exist_ok=True)
    denoiser = Denoiser("photo", device="cpu", precision="fp32")
    parts = [(name, place) for name, places in PLACES.items() for place in places]
    for number, (name, place) in enumerate(parts, 1):
        before = photograph(panoramas / f"{name}_1k.hdr", place, seed=number)
        after = denoiser(before).picture
        seam = np.ones((3, HEIGHT, SEAM), np.float32)
        sheet = np.concatenate([before.pixels, seam, after.pixels], axis=2).clip(0, 1)
        codes = np.rint(sheet * 255).astype(np.uint8).transpose(1, 2, 0)
        path = output / f"photo-{number}.webp"
        Image.fromarray(codes).save(path, quality=90, method=6)
        print(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
