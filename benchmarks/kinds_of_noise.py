"""What denoisers that are told nothing make of noise of other kinds, and of clean pictures.

    python benchmarks/kinds_of_noise.py kodak24/ photo resunet-color

Protocol: noise added to clean 8-bit pictures, clipped and rounded to 8 bits as in a file; PSNR over
all pixels and channels in dB, mean over pictures. Luminance noise is the same in all channels;
correlated noise was blurred by a Gaussian and scaled back to its level. Drawings are those of
``restore.noise.drawings`` from a seed that training does not use.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from restore.batch.inputs import pictures_in
from restore.denoise.runner import Denoiser
from restore.image.decode import decode
from restore.image.metrics import psnr_chw
from restore.image.picture import Picture
from restore.noise.drawings import drawings
from tables import table

Pixels = NDArray[np.float32]
_DRAWINGS, _DRAWING_SIDE, _DRAWING_SEED = 12, 192, 123
_SIDE = 200


def in_eight_bits(pixels: Pixels) -> Pixels:
    """Return pixels as a file of 8 bits holds them."""
    return np.rint(pixels.clip(0, 1) * 255).astype(np.float32) / np.float32(255)


def white(clean: Pixels, rng: np.random.Generator, sigma: float) -> Pixels:
    """Add white noise of its own to every channel."""
    return clean + np.float32(sigma / 255) * rng.standard_normal(clean.shape, np.float32)


def luminance(clean: Pixels, rng: np.random.Generator, sigma: float, blur: float) -> Pixels:
    """Add the same noise to every channel, correlated over ``blur`` pixels."""
    noise = rng.standard_normal(clean.shape[1:], np.float32)
    if blur:
        noise = ndimage.gaussian_filter(noise, blur)
    return clean + np.float32(sigma / 255) * noise / noise.std()


def impulses(clean: Pixels, rng: np.random.Generator, share: float) -> Pixels:
    """Make pixels black or white."""
    chance = rng.random(clean.shape[1:])
    noisy = np.where(chance < share / 2, np.float32(0), clean)
    return np.where(chance > 1 - share / 2, np.float32(1), noisy)


def speckle(clean: Pixels, rng: np.random.Generator, looks: int) -> Pixels:
    """Multiply by the mean of ``looks`` exponential intensities, the same in every channel."""
    factor = rng.gamma(looks, 1 / looks, clean.shape[1:]).astype(np.float32)
    return clean * factor


def stripes(clean: Pixels, rng: np.random.Generator, sigma: float) -> Pixels:
    """Offset every row, the same in every channel."""
    return clean + np.float32(sigma / 255) * rng.standard_normal((clean.shape[1], 1), np.float32)


KINDS: dict[str, Callable[[Pixels, np.random.Generator], Pixels]] = {
    "nothing": lambda clean, _rng: clean,
    "luminance noise of 12": lambda clean, rng: luminance(clean, rng, 12, 0),
    "luminance noise of 8, blurred by 0.8 px": lambda clean, rng: luminance(clean, rng, 8, 0.8),
    "white noise of 15": lambda clean, rng: white(clean, rng, 15),
    "white noise of 25": lambda clean, rng: white(clean, rng, 25),
    "5 % of the pixels black or white": lambda clean, rng: impulses(clean, rng, 0.05),
    "0.3 % of the pixels black or white": lambda clean, rng: impulses(clean, rng, 0.003),
    "speckle of 40 looks": lambda clean, rng: speckle(clean, rng, 40),
    "stripes of 6 along rows": lambda clean, rng: stripes(clean, rng, 6),
}


def main() -> None:
    """Print a table: a row for each kind of noise, a column for each model."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="clean pictures")
    parser.add_argument("models", nargs="+", help="names of weights, or weight files")
    parser.add_argument("--count", type=int, default=8, help="pictures that are used")
    parser.add_argument("--gray", action="store_true", help="take the green channel alone")
    options = parser.parse_args()
    paths = pictures_in(options.folder, recursive=False)[: options.count]
    channels = slice(1, 2) if options.gray else slice(None)
    photographs = [decode(path).pixels[channels] for path in paths]
    drawn = drawings(
        _DRAWINGS, _DRAWING_SIDE, len(photographs[0]), torch.Generator().manual_seed(_DRAWING_SEED)
    )
    board = np.indices((_SIDE, _SIDE)).sum(axis=0) % 2
    sets = {
        name: [
            (in_eight_bits(kind(clean, np.random.default_rng(index))), clean)
            for index, clean in enumerate(photographs)
        ]
        for name, kind in KINDS.items()
    }
    codes = [in_eight_bits(each) for each in drawn.numpy()]
    sets["drawings: nothing"] = [(each, each) for each in codes]
    checks = np.repeat(board[None].astype(np.float32), len(photographs[0]), axis=0)
    sets["checkerboard of 1 px: nothing"] = [(checks, checks)]
    denoisers = [Denoiser(model) for model in options.models]
    rows = []
    for name, pairs in sets.items():
        before = np.mean([psnr_chw(noisy, clean) for noisy, clean in pairs])
        after = [
            np.mean([
                psnr_chw(denoiser(Picture(pixels=noisy)).picture.pixels.clip(0, 1), clean)
                for noisy, clean in pairs
            ])
            for denoiser in denoisers
        ]  # fmt: skip
        rows.append((name, *(f"{value:.2f}" for value in (before, *after))))
    print(table(("noise", "before", *(Path(model).stem for model in options.models)), rows))


if __name__ == "__main__":
    main()
