"""What a pixel costs in each engine, precision and size of tile: the network alone.

    python benchmarks/engines.py [--models dncnn-color,resunet-color] [--tiles 256,512,1024]
        [--seconds 4] [--threads N]

Every tile is a picture of its own in memory, and every lane has one. At every seam a halo is
computed twice, so that large tiles waste less of what they cost: the last column is for a picture
without end, cut into such tiles.
"""

import argparse
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np

from tables import table


def seconds_per_megapixel(
    model: str, engine: str, precision: str, tile: int, seconds: float
) -> tuple[float, float]:
    """Return clock seconds per megapixel of a tile, and of an endless picture."""
    # PyTorch reads the number of threads when it is imported.
    from restore.engine.backend import ENGINE_VARIABLE, Backend
    from restore.weights.file import read_weight_file

    os.environ[ENGINE_VARIABLE] = engine
    backend = Backend(read_weight_file(model), device="cpu", precision=precision, tile=tile)
    side = tile // backend.multiple * backend.multiple
    noise = np.random.default_rng(0).normal(0.5, 0.1, (backend.channels, side, side))
    picture = noise.astype(np.float32)
    backend(picture, 0.1)
    taken: list[float] = []
    pictures = [picture] * backend.lanes
    with ThreadPoolExecutor(backend.lanes) as pool:
        while sum(taken) < seconds or len(taken) < 3:
            started = time.perf_counter()
            list(pool.map(lambda each: backend(each, 0.1), pictures))
            taken.append(time.perf_counter() - started)
    alone = float(np.median(taken)) / (backend.lanes * side**2) * 1e6
    core = max(side - 2 * backend.halo, 1)
    return alone, alone * (side / core) ** 2


def main() -> None:
    """Print a row for each way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="dncnn-color,resunet-color")
    parser.add_argument("--tiles", default="256,512,1024")
    parser.add_argument("--seconds", type=float, default=4, help="of each measurement, at least")
    parser.add_argument("--threads", type=int, default=0, help="of the network; 0: all")
    options = parser.parse_args()
    if options.threads:
        os.environ["OMP_NUM_THREADS"] = str(options.threads)
    rows = []
    models, tiles = options.models.split(","), options.tiles.split(",")
    for way in product(models, ("pytorch", "openvino"), ("fp32", "bf16"), tiles):
        model, engine, precision, tile = way
        costs = seconds_per_megapixel(model, engine, precision, int(tile), options.seconds)
        rows.append([f"`{model}`", *way[1:], *(f"{cost:.2f}" for cost in costs)])
        print(*rows[-1], file=sys.stderr)
    head = ("network", "engine", "precision", "tile", "s/MP of the tile", "s/MP of a picture")
    print(table(head, rows))


if __name__ == "__main__":
    main()
