"""How bright networks guess overexposed surfaces that are merely white.

    python benchmarks/white_surfaces.py FOLDER NAME|FILE...

FOLDER holds photographs. Of each the brightest square that is hardly clipped is taken: clouds,
walls, snow, cloth, paper, skin. It is overexposed so that its brightest thousandth lies at 1.8
times white, and clipped at white, in 8 bits. No pixel is then a lamp: guesses should stay below
twice white. Squares of which less than 2 % are lost are left out.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restore.batch.inputs import pictures_in
from restore.hdr.runner import HdrReconstructor
from restore.image.colour import linear_to_srgb, srgb_to_linear
from restore.image.decode import decode
from restore.image.picture import Picture

_SIDE, _STEP = 256, 32
_BRIGHT, _CLIPPED, _MOST_CLIPPED = 180 / 255, 252 / 255, 0.002
_PEAK, _LEAST_LOST, _LEAST = 1.8, 0.02, 1e-3


def main() -> None:
    """Print for each network the share of lost pixels below twice white, and their error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("models", nargs="+")
    arguments = parser.parse_args()
    squares = [
        _square(decode(path).pixels) for path in pictures_in(arguments.folder, recursive=False)
    ]
    scenes = [scene for square in squares if square is not None and (scene := _scene(square))]
    print(f"{len(scenes)} surfaces")
    for model in arguments.models:
        reconstruct = HdrReconstructor("single", model)
        guesses, errors = [], []
        for truth, picture in scenes:
            lost = (truth >= 1).any(axis=0)
            guess = reconstruct(picture, saturation=1.0).picture.pixels[:, lost]
            guesses.append(guess.max(axis=0))
            light = [np.maximum(each, _LEAST) for each in (guess, truth[:, lost])]
            errors.append(np.abs(np.log2(light[0] / light[1])).ravel())
        brightest, error = np.concatenate(guesses), np.concatenate(errors)
        print(
            f"{model}: {(brightest < 2).mean():.1%} below twice white, 95 % below "
            f"{np.quantile(brightest, 0.95):.2f}, error {error.mean():.3f} stops"
        )


def _square(pixels: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Return the brightest square that is hardly clipped, if there is one."""
    best, found = 0.0, None
    for top in range(0, pixels.shape[1] - _SIDE + 1, _STEP):
        for left in range(0, pixels.shape[2] - _SIDE + 1, _STEP):
            square = pixels[:, top : top + _SIDE, left : left + _SIDE]
            brightest = square.max(axis=0)
            share = float((brightest > _BRIGHT).mean())
            if (brightest >= _CLIPPED).mean() <= _MOST_CLIPPED and share > best:
                best, found = share, square
    return found


def _scene(square: NDArray[np.float32]) -> tuple[NDArray[np.float32], Picture] | None:
    """Return the light of a square, 1 the camera's white, and the picture that shows it."""
    light = srgb_to_linear(square)
    light = light * np.float32(_PEAK / np.quantile(light.max(axis=0), 0.999))
    if (light >= 1).any(axis=0).mean() < _LEAST_LOST:
        return None
    codes = np.rint(linear_to_srgb(light.clip(0, 1)) * 255) / np.float32(255)
    return light, Picture(pixels=codes.astype(np.float32))


if __name__ == "__main__":
    main()
