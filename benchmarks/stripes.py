"""How well stripes are found: false alarms, and what is left of them.

    python benchmarks/stripes.py kodak24/ [CLEAN_DIR...]

First, in how many pictures of each folder stripes are found though none were added. Then offsets of
all rows, alike in all channels, are added to the pictures of the first folder, with white noise or
without, and rounded to 8 bits: in how many they are found, which level is read on average, and the
root mean square of what is left of the offsets, which is the level itself where none are found.
"""

import argparse
from pathlib import Path

import numpy as np

from restore.batch.inputs import pictures_in
from restore.denoise.stripes import stripes_of
from restore.errors import InputError
from restore.image.decode import decode
from tables import table

LEVELS, NOISE_LEVELS = (2, 6, 12), (0, 15)


def false_alarms(folder: Path) -> tuple[int, int]:
    """Return the number of pictures that can be read, and of those that seem to have stripes."""
    count = alarms = 0
    for path in pictures_in(folder, recursive=True):
        try:
            pixels = decode(path).pixels
        except InputError:
            continue
        count += 1
        alarms += stripes_of(pixels, None) is not None
    return count, alarms


def with_stripes(paths: list[Path], level: float, noise: float) -> tuple[int, float, float]:
    """Return in how many pictures stripes are found, the mean level read, and the RMS left."""
    read: list[float] = []
    left: list[float] = []
    for index, path in enumerate(paths):
        clean, rng = decode(path).pixels, np.random.default_rng(index)
        offsets = rng.normal(0, level / 255, (1, clean.shape[1], 1))
        noisy = clean + offsets + rng.normal(0, noise / 255, clean.shape)
        codes = np.rint(noisy.clip(0, 1) * 255)
        stripes = stripes_of((codes / 255).astype(np.float32), None)
        error = offsets[0, :, 0] - (0 if stripes is None else stripes.rows.mean(axis=0))
        left.append(255**2 * float(error.var()))
        read += [] if stripes is None else [255 * stripes.sigma_rows]
    return len(read), float(np.mean(read)), float(np.mean(left)) ** 0.5


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, help="pictures without stripes")
    options = parser.parse_args()
    alarms = [(folder.name, *map(str, false_alarms(folder))) for folder in options.folders]
    print(table(("folder", "pictures", "with stripes"), alarms))
    paths = pictures_in(options.folders[0], recursive=True)
    rows = []
    for level in LEVELS:
        for noise in NOISE_LEVELS:
            count, read, left = with_stripes(paths, level, noise)
            figures = (f"{count} of {len(paths)}", f"{read:.2f}", f"{left:.2f}")
            rows.append((str(level), str(noise), *figures))
    print(table(("level", "white noise", "found in", "read", "left"), rows))


if __name__ == "__main__":
    main()
