"""Train the small network that reads noise levels from spectra (``restore/noise/level.py``).

    python benchmarks/train_noise_level.py ../shared/data/denoise/train/* --jobs 2

It sees spectra only, 28 numbers for each channel, so that thousands of examples are drawn in
minutes and fitted in seconds. ``restore/noise/level.md`` describes what is drawn, and why.
"""

import argparse
import io
import itertools
import math
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import save_file
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional as F

from restore.batch.inputs import pictures_in
from restore.noise.drawings import drawings
from restore.noise.estimate import ClippingLimits
from restore.noise.level import NETWORK, network_inputs
from restore.noise.spectrum import blocks_of, smooth_spectra

Pixels = NDArray[np.float32]

_CLEAN, _WHITE, _MIXED, _TILTED, _JPEG, _DRAWN, _SCALED, _CROPPED, _DARK = (
    0.25, 0.25, 0.15, 0.2, 0.3, 0.1, 0.35, 0.6, 0.1,
)  # fmt: skip
_LEAST_LEVEL, _MOST_LEVEL = 1.0, 60.0
_LEAST_BLUR, _MOST_BLUR = 0.3, 1.4
_SIDES = (128, 192, 256, 384)
_HIDDEN = (24, 12)
_STEPS, _JITTER, _DECAY = 1500, 0.03, 2e-5


def picture(rng: np.random.Generator, paths: Sequence[Path]) -> Pixels:
    """Return a clean photograph or drawing, ``[3, H, W]`` in [0, 1]."""
    if rng.random() < _DRAWN:
        seed = torch.Generator().manual_seed(int(rng.integers(2**31)))
        return np.asarray(drawings(1, int(rng.choice(_SIDES)), 3, seed)[0])
    with Image.open(paths[rng.integers(len(paths))]) as file:
        image = file.convert("RGB")
    if rng.random() < _SCALED:
        share = rng.uniform(0.35, 0.95)
        size = (max(100, round(share * image.width)), max(100, round(share * image.height)))
        filters = (Image.Resampling.LANCZOS, Image.Resampling.BOX, Image.Resampling.BICUBIC)
        image = image.resize(size, filters[rng.integers(len(filters))])
    pixels = np.asarray(image, np.float32).transpose(2, 0, 1) / 255
    if rng.random() < _CROPPED:
        height, width = (min(side, int(rng.choice(_SIDES))) for side in pixels.shape[1:])
        top = rng.integers(pixels.shape[1] - height + 1)
        left = rng.integers(pixels.shape[2] - width + 1)
        pixels = pixels[:, top : top + height, left : left + width]
    return pixels * np.float32(rng.uniform(0.1, 0.6) if rng.random() < _DARK else 1)


def noise(rng: np.random.Generator, shape: tuple[int, ...], blur: float) -> Pixels:
    """Return noise of unit deviation, ``[C, H, W]``, partly common to the channels."""
    common = min(1.0, 1.3 * rng.random())
    own, shared = (rng.standard_normal((n, *shape[1:]), np.float32) for n in (shape[0], 1))
    mixed = math.sqrt(common) * shared + math.sqrt(1 - common) * own
    soft: Pixels = ndimage.gaussian_filter(mixed, (0, blur, blur)) if blur else mixed
    return soft / soft.std(axis=(1, 2), keepdims=True)


def in_a_file(rng: np.random.Generator, pixels: Pixels, *, as_jpeg: bool) -> Pixels:
    """Return pixels as a file of 8 bits holds them, mostly clipped and rounded only."""
    if not as_jpeg:
        if rng.random() < 0.1:
            return pixels
        return np.rint(pixels.clip(0, 1) * 255).astype(np.float32) / np.float32(255)
    codes = np.rint(pixels.clip(0, 1) * 255).astype(np.uint8)
    file = io.BytesIO()
    image = Image.fromarray(codes[0] if len(codes) == 1 else codes.transpose(1, 2, 0))
    image.save(
        file, "JPEG", quality=int(rng.integers(60, 99)), subsampling=2 if rng.random() < 0.4 else 0
    )
    stored = np.atleast_3d(np.asarray(Image.open(file), np.float32)) / np.float32(255)
    return np.ascontiguousarray(stored.transpose(2, 0, 1))


def example(paths: Sequence[Path], seed: int) -> tuple[NDArray[np.float64], float, float] | None:
    """Return the spectra of one channel, the level of its noise in 0..255, and its blur.

    The blur in pixels is NaN where there is none, or more than one.
    """
    rng = np.random.default_rng(seed)
    as_jpeg = rng.random() < _JPEG
    clean = picture(rng, paths)
    if rng.random() < 0.35:
        clean = clean.mean(axis=0, keepdims=True)
    elif not as_jpeg:
        channel = rng.integers(3)
        clean = clean[channel : channel + 1]
    added, blur = np.zeros_like(clean), math.nan
    if rng.random() >= _CLEAN:
        blur = 0.0 if rng.random() < _WHITE else rng.uniform(_LEAST_BLUR, _MOST_BLUR)
        added = noise(rng, clean.shape, blur)
        if blur and rng.random() < _MIXED:
            share = rng.uniform(0, 0.5)
            added = math.sqrt(1 - share) * added + math.sqrt(share) * noise(rng, clean.shape, 0)
            blur = math.nan
        if rng.random() < _TILTED:
            added = added * (1 + rng.uniform(-0.7, 0.7) * (2 * clean.mean(axis=0) - 1))
        level = math.exp(rng.uniform(math.log(_LEAST_LEVEL), math.log(_MOST_LEVEL)))
        added = np.float32(level / 255) * added
    seen = in_a_file(rng, (clean + added).astype(np.float32), as_jpeg=as_jpeg)
    channel = rng.integers(len(seen))
    limits = ClippingLimits()
    limits.add(seen[channel])
    spectra = smooth_spectra(blocks_of(seen[channel]), limits)
    if spectra is None:
        return None
    return spectra, 255 * float(added[channel].std()), math.nan if as_jpeg else blur


def fitted(
    spectra: NDArray[np.float64], levels: NDArray[np.float64], blurs: NDArray[np.float64]
) -> dict[str, NDArray[np.float32]]:
    """Return the tensors of a network fitted to examples ``[N, ...]``."""
    torch.manual_seed(0)
    inputs = network_inputs(spectra)
    mean, deviation = inputs.mean(axis=0), inputs.std(axis=0)
    values, references = _tensor((inputs - mean) / deviation), _tensor(inputs[:, -1])
    values += _JITTER * torch.randn(values.shape)
    targets = _tensor(0.5 * np.log1p(levels**2))
    has_blur = _tensor(np.isfinite(blurs) & (levels > 3))
    blur = _tensor(np.nan_to_num(blurs))
    widths = (values.shape[1], *_HIDDEN, 2)
    layers = [nn.Linear(*pair) for pair in itertools.pairwise(widths)]
    network = nn.Sequential(layers[0], nn.Tanh(), layers[1], nn.Tanh(), layers[2])
    optimizer = torch.optim.LBFGS(
        network.parameters(), max_iter=_STEPS, history_size=30, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        read = network(values)
        errors = read[:, 0] + references - targets
        # Noise that is found where there is none blurs a clean picture.
        weights = torch.where((errors > 0) & (targets < 0.8), 2.0, 1.0)
        level = (weights * F.smooth_l1_loss(errors, 0 * errors, beta=0.1, reduction="none")).mean()
        blurred = (has_blur * (read[:, 1] - blur) ** 2).mean()
        decay = sum(layer.weight.square().sum() for layer in layers)
        total = level + 0.2 * blurred + _DECAY * decay
        total.backward()
        return total

    optimizer.step(loss)
    tensors = {"mean": mean.astype(np.float32), "deviation": deviation.astype(np.float32)}
    for index, layer in enumerate(layers):
        tensors[f"{index}.weight"] = layer.weight.detach().numpy()
        tensors[f"{index}.bias"] = layer.bias.detach().numpy()
    return tensors


def _tensor(values: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))


def main() -> None:
    """Draw examples, fit the network, and write it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path, help="clean pictures")
    parser.add_argument("-o", "--output", type=Path, default=NETWORK)
    parser.add_argument("--examples", type=int, default=4000)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args()
    paths = [path for folder in options.folders for path in pictures_in(folder, recursive=False)]
    with ProcessPoolExecutor(options.jobs) as pool:
        drawn = pool.map(partial(example, paths), range(options.examples), chunksize=50)
        found = [each for each in drawn if each is not None]
    spectra, levels, blurs = (np.array(values) for values in zip(*found, strict=True))
    save_file(fitted(spectra, levels, blurs), options.output)
    print(f"{options.output}: {len(found)} examples of {len(paths)} pictures")


if __name__ == "__main__":
    main()
