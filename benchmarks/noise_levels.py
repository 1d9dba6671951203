"""How well the level and the kind of noise are estimated, for noise of many kinds and levels.

    python benchmarks/noise_levels.py kodak24/ --count 12
    python benchmarks/noise_levels.py kodak24/ --count 4 --told resunet

Protocol: noise added to clean 8-bit pictures, clipped and rounded to 8 bits or compressed as JPEG.
Blurred noise was convolved with a Gaussian and scaled back to its level. In colour pictures half of
the variance is common to the channels. The level is the standard deviation of what was added.
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
from restore.noise.jpeg import compressed
from restore.noise.level import NoiseKind, estimate_noise
from tables import table

Pixels = NDArray[np.float32]
_LEVELS = (3, 5, 10, 15, 25, 50)
_BLURS = (0.4, 0.6, 0.8, 1.0, 1.2)
_QUALITIES = (70, 85, 95)
_TOLD = (0.7, 1.0, 1.3, 1.6, 2.0, 2.5)
_DRAWINGS, _DRAWING_SIDE, _DRAWING_SEED = 24, 256, 123


def with_noise(clean: Pixels, seed: int, level: float, blur: float) -> Pixels:
    """Return a picture with noise, neither clipped nor rounded."""
    rng = np.random.default_rng(seed)
    own = rng.standard_normal(clean.shape, np.float32)
    if len(clean) == 3:
        own = np.float32(0.5**0.5) * (own + rng.standard_normal(clean.shape[1:], np.float32))
    if blur:
        own = ndimage.gaussian_filter(own, (0, blur, blur))
    return clean + np.float32(level / 255) * own / own.std(axis=(1, 2), keepdims=True)


def in_eight_bits(pixels: Pixels) -> Pixels:
    """Return pixels as a file of 8 bits holds them."""
    return np.rint(pixels.clip(0, 1) * 255).astype(np.float32) / np.float32(255)


def as_jpeg(pixels: Pixels, quality: int) -> Pixels:
    """Return pixels after a round trip through JPEG, colour at full resolution."""
    return np.asarray(compressed(torch.from_numpy(pixels)[None], [quality])[0])


def kinds() -> dict[str, Callable[[Pixels, int, float], Pixels]]:
    """Return functions of a clean picture, a seed and a level, by name."""
    made: dict[str, Callable[[Pixels, int, float], Pixels]] = {}
    for blur in (0.0, *_BLURS):
        name = f"blurred by {blur} px" if blur else "white"
        made[name] = lambda clean, seed, level, blur=blur: in_eight_bits(
            with_noise(clean, seed, level, blur)
        )
    for quality in _QUALITIES:
        made[f"white, then JPEG {quality}"] = lambda clean, seed, level, quality=quality: as_jpeg(
            with_noise(clean, seed, level, 0), quality
        )
    made["blurred by 0.8 px, then JPEG 85"] = lambda clean, seed, level: as_jpeg(
        with_noise(clean, seed, level, 0.8), 85
    )
    return made


def print_levels(photographs: list[Pixels]) -> None:
    """Print mean absolute errors, and the share of pictures whose noise counts as white."""
    rows, whites = [], []
    for name, made in kinds().items():
        cells, shares = [], []
        for level in _LEVELS:
            noisy = [made(clean, seed, level) for seed, clean in enumerate(photographs)]
            found = [estimate_noise(each) for each in noisy]
            fine = [255 * each.fine for each in found]
            coarse = [255 * each.sigma for each in found]
            cells.append(f"{_error(coarse, level):.0f} ({_error(fine, level):.0f})")
            shares.append(f"{np.mean([e.kind is NoiseKind.WHITE for e in found]):.0%}")
        rows.append((name, *cells))
        whites.append((name, *shares))
    print(
        "Mean absolute error in % of the level (in brackets that of the estimate for white noise)"
    )
    print(table(("noise", *map(str, _LEVELS)), rows))
    print("\nShare of pictures whose noise counts as white")
    print(table(("noise", *map(str, _LEVELS)), whites))


def _error(found: list[float], level: float) -> float:
    return 100 * float(np.abs(np.array(found) / level - 1).mean())


def print_clean(sets: dict[str, list[Pixels]]) -> None:
    """Print the levels that are read from pictures without noise."""
    rows = []
    for name, pictures in sets.items():
        found = [estimate_noise(pixels) for pixels in pictures]
        for what, levels in (
            ("level", [255 * each.sigma for each in found]),
            ("for white noise", [255 * each.fine for each in found]),
        ):
            cells = (f"{value:.2f}" for value in np.quantile(levels, (0.5, 0.75, 0.9, 1)))
            rows.append((f"{name}: {what}", *cells))
    print("\nLevels read from clean pictures")
    print(table(("pictures", "median", "75 %", "90 %", "most"), rows))


def print_told(photographs: list[Pixels], model: str) -> None:
    """Print the PSNR of a network for white noise by the level that it is told."""
    denoiser = Denoiser(model, sigma=0)
    rows = []
    for blur in (0.0, *_BLURS):
        for level in (5, 12, 25):
            noisy = [
                Picture(pixels=in_eight_bits(with_noise(clean, seed, level, blur)))
                for seed, clean in enumerate(photographs)
            ]
            told = [estimate_noise(each.pixels).told for each in noisy]
            columns = [[255 * each for each in told], *([f * level] * len(noisy) for f in _TOLD)]
            cells = [
                np.mean([
                    psnr_chw(
                        denoiser(picture, sigma=min(sigma, 255)).picture.pixels.clip(0, 1), clean
                    )
                    for picture, sigma, clean in zip(noisy, column, photographs, strict=True)
                ])
                for column in columns
            ]  # fmt: skip
            rows.append((f"{level}, blurred by {blur} px", *(f"{cell:.2f}" for cell in cells)))
    print(f"\nPSNR in dB of {model}, told the estimate or a multiple of the level")
    print(table(("noise", "estimate", *(f"x {factor}" for factor in _TOLD)), rows))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="clean pictures")
    parser.add_argument("--count", type=int, default=12, help="pictures that are used")
    parser.add_argument("--gray", action="store_true", help="take the green channel alone")
    parser.add_argument("--told", metavar="MODEL", help="only run this network at told levels")
    options = parser.parse_args()
    paths = pictures_in(options.folder, recursive=False)
    photographs = []
    for path in paths if options.told is None else paths[: options.count]:
        pixels = decode(path).pixels
        photographs.append(pixels[len(pixels) // 2][None] if options.gray else pixels)
    if options.told is not None:
        print_told(photographs, options.told)
        return
    drawn = drawings(
        _DRAWINGS, _DRAWING_SIDE, 3, torch.Generator().manual_seed(_DRAWING_SEED)
    ).numpy()
    print_levels(photographs[: options.count])
    print_clean({"photographs": photographs, "drawings": [in_eight_bits(each) for each in drawn]})


if __name__ == "__main__":
    main()
