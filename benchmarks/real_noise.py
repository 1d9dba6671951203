"""How `photo` and denoisers that need no training fare on a camera's noise.

    pip install '.[compare]'
    python benchmarks/real_noise.py polyu/clean/ polyu/noisy/ [--every 5] [--crop 256]

Mean PSNR in dB over the pairs: the noisy pictures; OpenCV's non-local means and CBM3D (`bm3d` from
PyPI, by its authors) told several levels of noise, of which the best can be chosen only by whoever
knows the clean pictures; and imrestore's `photo`, which is told nothing.
CBM3D takes most of a minute for a picture of 512x512: --every and --crop make it less.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import bm3d
import cv2
import numpy as np
from numpy.typing import NDArray

import restore
from restore.image.decode import decode
from restore.image.metrics import psnr_chw

LEVELS = (4, 8, 12)
"""Of 255. Noise of cameras is correlated: methods for white noise need more than its own level."""


def results(noisy: NDArray[np.float32]) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield the name of each method and what it makes of ``noisy``, ``[3, H, W]``."""
    yield "noisy", noisy
    codes = np.rint(noisy.transpose(1, 2, 0) * 255).astype(np.uint8)
    for level in LEVELS:
        smooth = cv2.fastNlMeansDenoisingColored(codes, None, level, level, 7, 21)
        yield f"non-local means, h = {level}", smooth.transpose(2, 0, 1).astype(np.float32) / 255
    for level in LEVELS:
        clean = bm3d.bm3d_rgb(noisy.transpose(1, 2, 0), level / 255)
        yield f"CBM3D, sigma {level}", clean.transpose(2, 0, 1).clip(0, 1).astype(np.float32)
    yield "imrestore, photo", restore.denoise(noisy.transpose(1, 2, 0), "photo").transpose(2, 0, 1)


def middle(pixels: NDArray[np.float32], side: int | None) -> NDArray[np.float32]:
    """Return the middle of a picture ``[C, H, W]``, or all of it."""
    if side is None:
        return pixels
    top, left = ((size - side) // 2 for size in pixels.shape[1:])
    return np.ascontiguousarray(pixels[:, top : top + side, left : left + side])


def main() -> None:
    """Print a row for each method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clean", type=Path)
    parser.add_argument("noisy", type=Path)
    parser.add_argument("--every", type=int, default=1, help="only every N-th pair")
    parser.add_argument("--crop", type=int, help="only the middle of each, this wide and high")
    options = parser.parse_args()
    scores: dict[str, list[float]] = defaultdict(list)
    for path in sorted(options.clean.iterdir())[:: options.every]:
        reference, noisy = (
            middle(decode(each).pixels, options.crop) for each in (path, options.noisy / path.name)
        )
        for name, result in results(noisy):
            scores[name].append(psnr_chw(result, reference))
    print(f"| method, {len(scores['noisy'])} pairs | PSNR |\n|---|---|")
    for name, values in scores.items():
        print(f"| {name} | {sum(values) / len(values):.2f} |")


if __name__ == "__main__":
    main()
