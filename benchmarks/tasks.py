"""What every task costs, side by side: the command from cold start to the written file.

    python benchmarks/tasks.py [--megapixels 4] [--clean DIR] [--raw FILE] [--device auto]
        [--rounds 1] [NAME ...]

Inputs are made of clean pictures, mirrored to the size: with noise of sigma 25 (denoise), as RAW
files with 100 times too little light (dark-enhance), gray (anomaly), and exposed until a share of
their pixels saturates (hdr). --raw takes a camera's own file for the Bayer row. Processor seconds
are those of all threads, reading and writing included; the start is what a picture of 120x120
pixels takes, and is taken off where it says so.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pictures import CLEAN, SIGMA, clean_picture, write
from processes import Cost, in_a_process, run
from tables import spread, table

SMALL_SIDE = 120
RATIO = 100.0
OVEREXPOSED = 2.0
MULTIPLE = 12
"""Of the sides of pictures, for Bayer and X-Trans filters."""


@dataclass(frozen=True)
class Job:
    """A row of the table.

    Attributes:
        make: writes the input, made of a clean picture ``[H, W, 3]`` in [0, 255].
        name: of the input file.
        command: the task and its options.
        output: of the command, below a folder.
    """

    make: Callable[[np.ndarray, Path], None]
    name: str
    command: tuple[str, ...]
    output: str


def noisy(pixels: np.ndarray, path: Path) -> None:
    write(pixels + np.random.default_rng(0).normal(0, SIGMA, pixels.shape), path)


def gray(pixels: np.ndarray, path: Path) -> None:
    Image.fromarray(pixels).convert("L").save(path)


def overexposed(pixels: np.ndarray, path: Path) -> None:
    write(pixels * OVEREXPOSED, path)


def bayer(pixels: np.ndarray, path: Path) -> None:
    _raw(pixels, path, 2)


def xtrans(pixels: np.ndarray, path: Path) -> None:
    _raw(pixels, path, 6)


def _raw(pixels: np.ndarray, path: Path, side: int) -> None:
    import torch

    from restore.dark.darkening import dark_raw
    from restore.image.dng import write_cfa_dng

    clean = torch.from_numpy(pixels.transpose(2, 0, 1) / np.float32(255))
    generator = torch.Generator().manual_seed(0)
    raw, _, _ = dark_raw(clean, "Nikon D850", RATIO, generator, side=side)
    path.write_bytes(write_cfa_dng(raw))


JOBS = {
    "denoise, photo": Job(
        noisy, "noisy.jpg", ("denoise", "--model", "photo", "--sigma", f"{SIGMA:g}"), "out.jpg"
    ),
    "denoise, resunet-color": Job(
        noisy, "noisy.jpg", ("denoise", "--model", "resunet-color", "--sigma", f"{SIGMA:g}"),
        "out.jpg",
    ),
    "denoise, dncnn-color": Job(
        noisy, "noisy.jpg", ("denoise", "--model", "dncnn-color", "--sigma", f"{SIGMA:g}"),
        "out.jpg",
    ),
    "dark-enhance, Bayer": Job(bayer, "bayer.dng", ("dark-enhance",), "out.png"),
    "dark-enhance, X-Trans": Job(xtrans, "xtrans.dng", ("dark-enhance",), "out.png"),
    "anomaly, anomaly-magnetic-tile": Job(
        gray, "gray.png", ("anomaly", "--model", "anomaly-magnetic-tile"), "report"
    ),
    "hdr, hdr-single": Job(overexposed, "bright.jpg", ("hdr",), "out.exr"),
    "hdr, hdr-optics": Job(overexposed, "bright.png", ("hdr", "--mode", "optics"), "out.exr"),
}  # fmt: skip


def make_input(job: str, clean: Path, path: Path, side: int) -> None:
    JOBS[job].make(clean_picture(clean, 1, side), path)


def done(job: Job, source: Path, folder: Path, device: str) -> Cost:
    """Run the command once."""
    task, *told = job.command
    paths = [str(source), "-o", str(folder / job.output), "--overwrite", "--json", "--quiet"]
    command = [sys.executable, "-m", "imrestore", task, *paths, *told, "--device", device]
    return run(command)


def row(name: str, folder: Path, options: Any) -> tuple[str, ...]:
    """Measure one job and return its cells."""
    job = JOBS[name]
    small, source = folder / f"small-{job.name}", folder / job.name
    in_a_process(make_input, name, options.clean, small, SMALL_SIDE)
    if options.raw and job.make is bayer:
        source = options.raw
    else:
        side = round((1e6 * options.megapixels) ** 0.5 / MULTIPLE) * MULTIPLE
        in_a_process(make_input, name, options.clean, source, side)
    # The first run of a network may export it.
    start = [done(job, small, folder, options.device) for _ in range(2)][-1]
    costs = [done(job, source, folder, options.device) for _ in range(options.rounds)]
    record = json.loads(costs[-1].printed.splitlines()[0])
    megapixels = record.get("megapixels", options.megapixels)
    computed = f"{record.get('engine', 'pytorch')}, {record['precision']}"
    return (
        name,
        computed,
        spread([cost.cpu_s / megapixels for cost in costs]),
        spread([max(0.0, cost.cpu_s - start.cpu_s) / megapixels for cost in costs]),
        spread([cost.wall_s / megapixels for cost in costs]),
        f"{start.cpu_s:.1f}",
        f"{max(cost.peak_mb for cost in costs):.0f}",
    )


def main() -> None:
    parser: Any = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help="beginnings of rows; all by default")
    parser.add_argument("--megapixels", type=float, default=4.0)
    parser.add_argument("--clean", type=Path, default=CLEAN, help="folder of clean pictures")
    parser.add_argument("--raw", type=Path, help="a Bayer RAW file to develop")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    wanted = [name for name in JOBS if not options.names or name.startswith(tuple(options.names))]
    rows = []
    with tempfile.TemporaryDirectory(prefix="imrestore-bench-") as folder:
        for name in wanted:
            rows.append(row(name, Path(folder), options))
            print(" ".join(rows[-1]), file=sys.stderr)
    print(f"pictures of {options.megapixels:g} megapixels, {os.cpu_count()} processors\n")
    head = (
        "task and network",
        "computed by",
        "processor s/MP",
        "without the start",
        "s/MP",
        "start, processor s",
        "peak MB",
    )
    print(table(head, rows))


if __name__ == "__main__":
    main()
