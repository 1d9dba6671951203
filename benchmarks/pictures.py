"""Noisy pictures of any size, made of small clean ones."""

from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["CLEAN", "SIGMA", "SUFFIXES", "clean_picture", "make_pictures", "read", "write"]

SIGMA = 25.0
CLEAN = Path(__file__).resolve().parents[1] / "weights" / "measure"
SUFFIXES = {"png": ".png", "jpeg": ".jpg"}

_JPEG_QUALITY = 95


def read(path: Path) -> np.ndarray:
    """Return 8-bit RGB ``[H, W, 3]``."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def write(pixels: np.ndarray, path: Path) -> None:
    """Write ``[H, W, 3]`` in [0, 255] as PNG or, as imrestore does, as JPEG of quality 95."""
    codes = np.rint(pixels.clip(0, 255)).astype(np.uint8)
    Image.fromarray(codes).save(path, quality=_JPEG_QUALITY, subsampling=0)


def clean_picture(clean: Path, index: int, side: int) -> np.ndarray:
    """Return a picture of ``clean``, mirrored until it is ``side`` pixels high and wide."""
    paths = sorted(p for p in clean.iterdir() if p.suffix.lower() in (".png", ".jpg", ".jpeg"))
    small = read(paths[index % len(paths)])
    repeats = [(0, max(0, side - size)) for size in small.shape[:2]]
    return np.pad(small, (*repeats, (0, 0)), mode="symmetric")[:side, :side]


def make_pictures(
    clean: Path, folder: Path, count: int, megapixels: float, image_format: str = "png"
) -> None:
    """Write ``count`` pictures with noise of ``SIGMA`` to ``folder``/noisy, without to clean.

    Args:
        clean: folder of clean pictures; they are mirrored to the size.
        folder: is made.
        count: of pictures.
        megapixels: of each, about.
        image_format: png or jpeg, of the noisy ones; the clean ones are PNG.
    """
    side = max(64, round((1e6 * megapixels) ** 0.5 / 16) * 16)
    for kind in ("clean", "noisy"):
        (folder / kind).mkdir(parents=True)
    for index in range(count):
        pixels = clean_picture(clean, index, side)
        write(pixels, folder / "clean" / f"{index}.png")
        noise = np.random.default_rng(index).normal(0, SIGMA, pixels.shape)
        write(pixels + noise, folder / "noisy" / f"{index}{SUFFIXES[image_format]}")
