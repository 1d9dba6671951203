"""Make docs/pictures/: photographs with a camera's noise before and after `photo`, and a dark one.

Cut from panoramas of Poly Haven (CC0 1.0) that no denoiser was trained on, with the noise,
demosaicking, noise reduction and JPEG of random cameras (`--noise camera` of training), or, for
pictures of other kinds, with grain (`--noise grain`), with black and white pixels, with stripes, or
with nothing. The dark one is the RAW file of a simulated Canon 5D Mark IV with a hundredth of the
light, before as LibRaw develops it with a hundredfold gain, after as `isp` does.

    python benchmarks/make_before_after.py ../shared/data/hdr/panoramas docs/pictures
"""

import io
import sys
from pathlib import Path

import numpy as np
import rawpy
import torch
from numpy.typing import NDArray
from PIL import Image

from restore.dark.darkening import dark_raw
from restore.dark.runner import DarkEnhancer
from restore.denoise.runner import Denoiser
from restore.image.colour import linear_to_srgb
from restore.image.decode import decode
from restore.image.dng import write_cfa_dng
from restore.image.picture import Picture
from restore.noise.camera import photographed, smoothed
from restore.noise.drawings import drawings

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


CAMERA, GRAIN, OLD, NOTHING = "camera", "grain", "old", "nothing"
IMPULSES, STRIPES = "impulses", "stripes"
KINDS = {
    "foliage": ("phalzer_forest_01", 0.4, CAMERA),
    "night": ("st_peters_square_night", 0.4, CAMERA),
    "film": ("chinese_garden", 0.3, GRAIN),
    "old": ("leadenhall_market", 0.5, OLD),
    "text": ("", 0.0, GRAIN),
    "impulses": ("potsdamer_platz", 0.5, IMPULSES),
    "stripes": ("spree_bank", 0.3, STRIPES),
    "clean": ("immenstadter_horn", 0.5, NOTHING),
}
"""Kind of picture to panorama, left edge and noise; text is drawn."""
DARK = ("vestibule", 0.1)
RATIO = 100.0
GRAIN_LEVEL, GRAIN_BLUR_PX = 11, 0.8
IMPULSES_SHARE = 0.02
STRIPES_LEVEL, STRIPED_NOISE_LEVEL = 8, 5
TEXT_SEED = 18


def scene(panorama: Path, place: float) -> torch.Tensor:
    """Return a part near the horizon ``(3, H, W)``, tone-mapped (Reinhard et al. 2002)."""
    light = decode(panorama).pixels
    exposed = light / np.median(light) * MIDDLE
    clean = linear_to_srgb(exposed / (1 + exposed))
    _, height, width = clean.shape
    top, left = (height - HEIGHT) // 2, int(place * (width - WIDTH))
    return torch.from_numpy(clean[:, top : top + HEIGHT, left : left + WIDTH].copy())


def photograph(panorama: Path, place: float, seed: int) -> Picture:
    """Return a part with the noise of a random camera."""
    clean = scene(panorama, place)[None]
    noisy, _ = photographed(clean, torch.Generator().manual_seed(seed))
    return Picture(pixels=noisy[0].numpy())


def of_kind(panoramas: Path, kind: str) -> Picture:
    """Return a picture of a kind with its noise, in 8 bits."""
    name, place, noise = KINDS[kind]
    generator = torch.Generator().manual_seed(len(kind))
    if name:
        clean = scene(panoramas / f"{name}_1k.exr", place)[None]
    else:
        clean = drawings(1, WIDTH, 3, torch.Generator().manual_seed(TEXT_SEED))[..., :HEIGHT, :]
    if noise == OLD:
        clean = (0.15 + 0.6 * clean.mean(dim=1, keepdim=True)).expand(1, 3, -1, -1)
    if noise == CAMERA:
        clean, _ = photographed(clean, generator)
    elif noise == IMPULSES:
        chance = torch.rand((1, 1, HEIGHT, WIDTH), generator=generator)
        clean = torch.where(chance < IMPULSES_SHARE, (chance < IMPULSES_SHARE / 2).float(), clean)
    elif noise == STRIPES:
        lines = STRIPES_LEVEL / 255 * torch.randn((1, 1, HEIGHT, 1), generator=generator)
        white = torch.randn((1, 3, HEIGHT, WIDTH), generator=generator)
        clean = clean + lines + STRIPED_NOISE_LEVEL / 255 * white
    elif noise != NOTHING:
        pattern = torch.randn((1, 3, HEIGHT, WIDTH), generator=generator)
        shared = pattern[:, :1] if noise == OLD else 0.8 * pattern[:, :1] + 0.6 * pattern
        soft = smoothed(shared.expand_as(clean), torch.tensor([GRAIN_BLUR_PX]))
        clean = clean + GRAIN_LEVEL / 255 * soft / soft.std()
    pixels = clean[0].clamp(0, 1).mul(255).round().div(255)
    return Picture(pixels=np.ascontiguousarray(pixels.numpy(), dtype=np.float32))


def save(before: NDArray[np.float32], after: NDArray[np.float32], path: Path) -> None:
    """Write two pictures side by side."""
    seam = np.ones((3, HEIGHT, SEAM), np.float32)
    sheet = np.concatenate([before, seam, after], axis=2).clip(0, 1)
    codes = np.rint(sheet * 255).astype(np.uint8).transpose(1, 2, 0)
    Image.fromarray(codes).save(path, quality=90, method=6)
    print(path)


def dark(panoramas: Path, path: Path) -> None:
    """Write a RAW file with too little light before and after `isp`."""
    name, place = DARK
    clean = scene(panoramas / f"{name}_1k.hdr", place)
    generator = torch.Generator().manual_seed(0)
    raw, _, amplification = dark_raw(clean, "Canon 5D4", RATIO, generator)
    with rawpy.imread(io.BytesIO(write_cfa_dng(raw))) as opened:
        plain = opened.postprocess(
            use_camera_wb=True, no_auto_bright=True, bright=amplification, gamma=(2.4, 12.92)
        )
    before = plain.transpose(2, 0, 1).astype(np.float32) / 255
    after = DarkEnhancer("isp", device="cpu")(raw, ratio=amplification).picture
    save(before, after.pixels, path)


def main(panoramas: Path, output: Path) -> None:
    """Write a before/after picture for every panorama."""
    output.mkdir(parents=True, exist_ok=True)
    denoiser = Denoiser("photo", device="cpu", precision="fp32")
    parts = [(name, place) for name, places in PLACES.items() for place in places]
    for number, (name, place) in enumerate(parts, 1):
        before = photograph(panoramas / "test" / f"{name}_1k.hdr", place, seed=number)
        after = denoiser(before).picture
        save(before.pixels, after.pixels, output / f"photo-{number}.webp")
    for kind in KINDS:
        before = of_kind(panoramas / "train", kind)
        save(before.pixels, denoiser(before).picture.pixels, output / f"kind-{kind}.webp")
    dark(panoramas / "test", output / "dark.webp")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
