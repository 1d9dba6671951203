"""What a TIFF that does not fit into memory costs.

    python benchmarks/large_tiff.py [--side 32768] [--height 4096] [--model NAME] [--strength S]

Makes a tiled BigTIFF of noise in 8-bit RGB, restores it with the command, and prints processor
seconds and peak memory of the command, which hangs on the width alone.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile

from processes import in_a_process, run

TILE = 512


def make_tiff(path: Path, width: int, height: int) -> None:
    """Write gray 128 with noise of sigma 10."""
    rng = np.random.default_rng(0)
    tiles = [rng.normal(128, 10, (TILE, TILE, 3)).clip(0, 255).astype(np.uint8) for _ in range(16)]
    count = -(-width // TILE) * -(-height // TILE)
    shape = (height, width, 3)
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        tiff.write(
            (tiles[index % len(tiles)] for index in range(count)),
            shape=shape, dtype=np.uint8, tile=(TILE, TILE), photometric="rgb",
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--side", type=int, default=32_768, help="1.07 gigapixels by default")
    parser.add_argument("--height", type=int, help="of a picture that is wider than high")
    parser.add_argument("--model", default="resunet-color")
    parser.add_argument("--strength", default="1")
    parser.add_argument("--folder", type=Path, help="with room for six times the file")
    options = parser.parse_args()
    width, height = options.side, options.height or options.side
    with tempfile.TemporaryDirectory(prefix="imrestore-bench-", dir=options.folder) as name:
        source, result = Path(name) / "large.tif", Path(name) / "restored.tif"
        in_a_process(make_tiff, source, width, height)
        told = ["--model", options.model, "--sigma", "10", "--strength", options.strength]
        limit = ["--max-pixels", str(width * height + 1)]
        command = [sys.executable, "-m", "imrestore", "denoise", str(source), "-o", str(result)]
        spent = run([*command, *told, *limit, "--quiet"])
    megapixels = width * height / 1e6
    print(
        f"{megapixels:.0f} MP, {options.model}, strength {options.strength}: "
        f"{spent.cpu_s / megapixels:.3f} processor s/MP, {spent.peak_mb:.0f} MB"
    )


if __name__ == "__main__":
    main()
