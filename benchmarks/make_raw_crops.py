"""Make the crops of real RAW files in docs/denoise.md, before and after.

    python benchmarks/make_raw_crops.py ../shared/data/raw -o docs/pictures

Each is a place of a file at 1:1, developed by LibRaw as it came, and denoised before. Noise is
measured in the whole file; the place is denoised with a margin. Files without a container are read
as what is known of their sensors.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from restore.image.compare import viewable
from restore.image.develop import guessed_balance
from restore.image.raw import read_raw
from restore.image.raw_picture import REFERENCE_CFA, RawPicture
from restore.mosaic.develop import developed
from restore.mosaic.runner import MosaicDenoiser
from restore.noise.poisson_gaussian import estimate_profile

_WIDTH, _HEIGHT, _MARGIN = 288, 216, 96
_GAP = 8
_QUALITY = 85
_BRIGHT = 0.4
"""What the brightest of a place is shown as, at least: some frames are dark."""


def files(folder: Path) -> Iterator[tuple[str, RawPicture, tuple[int, int]]]:
    """Yield the name of a picture, the RAW file, and the corner of the place in it."""
    yield "raw-d30", read_raw(folder / "canon_d30.crw"), (600, 900)
    yield "raw-550d", read_raw(folder / "canon_550d.dng"), (300, 420)
    nikon = next((folder / "nikon").glob("*rggb*"))
    yield "raw-nikon", _bare(nikon, (512, 768), 600, 15520), (150, 240)
    openisp = next(each for each in sorted((folder / "openisp").iterdir()) if each.is_file())
    yield "raw-openisp", _bare(openisp, (1080, 1920), 0, 1023), (420, 780)


def _bare(path: Path, shape: tuple[int, int], black: float, white: float) -> RawPicture:
    mosaic = np.fromfile(path, dtype="<u2", count=shape[0] * shape[1]).reshape(shape)
    raw = RawPicture(
        mosaic=mosaic.astype(np.uint16),
        cfa=REFERENCE_CFA[2],
        black_level=(black,) * 4,
        white_level=white,
    )
    return replace(raw, white_balance=guessed_balance(raw))


def place_of(raw: RawPicture, corner: tuple[int, int]) -> RawPicture:
    """Return the part of a mosaic around a place."""
    top, left = (max(0, place - _MARGIN) // 6 * 6 for place in corner)
    mosaic = raw.mosaic[top : corner[0] + _HEIGHT + _MARGIN, left : corner[1] + _WIDTH + _MARGIN]
    balance = raw.white_balance if raw.has_white_balance else guessed_balance(raw)
    return replace(
        raw,
        mosaic=mosaic.copy(),
        default_crop=(corner[0] - top, corner[1] - left, _HEIGHT, _WIDTH),
        orientation=1,
        white_balance=balance,
        has_white_balance=True,
        dng=None,
    )


def shown(raw: RawPicture, factor: float) -> NDArray[np.uint8]:
    """Return a place as it is shown."""
    picture = developed(raw)
    return viewable(replace(picture, pixels=(picture.pixels * np.float32(factor)).clip(0, 1)))


def main() -> None:
    """Write the crops."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    denoiser = MosaicDenoiser()
    for name, raw, corner in files(options.folder):
        part = place_of(raw, corner)
        clean = denoiser(part, profile=estimate_profile(raw)).raw
        brightest = float(np.quantile(developed(part).pixels, 0.99))
        factor = max(1.0, _BRIGHT / brightest)
        before, after = shown(part, factor), shown(clean, factor)
        gap = np.full((_HEIGHT, _GAP, 3), 255, np.uint8)
        path = options.output / f"{name}.jpg"
        image = Image.fromarray(np.concatenate([before, gap, after], axis=1))
        image.save(path, quality=_QUALITY, subsampling=0)
        print(f"{path}: {path.stat().st_size // 1000} kB, {raw.width}x{raw.height}")


if __name__ == "__main__":
    main()
