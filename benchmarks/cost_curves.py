"""How the cost of denoising grows with the pixels of a picture and with the number of files.

    python benchmarks/cost_curves.py [--model NAME] [--most-megapixels 100] [--most-files 10000]
        [-o docs/pictures/cost.png]

Processor seconds and peak memory of whole runs of the command, from its start to the last file, on
pictures of noise. Each table ends with the straight line that fits best in relative terms, and how
far the measured values are from it; the plot shows both.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from processes import in_a_process, run
from tables import table

MEGAPIXELS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 24.0, 50.0, 100.0)
FILES = (1, 10, 100, 300, 1000, 3000, 10_000)
SMALL_SIDE = 64
BAND_PX = 256

Row = tuple[float, float, float]
"""An amount, the processor seconds that it took, and the peak memory in MB."""


def make_pictures(folder: Path, count: int, side: int) -> None:
    """Write ``count`` pictures of gray 128 with noise, ``side`` pixels high and wide."""
    folder.mkdir(parents=True)
    for index in range(count):
        rng = np.random.default_rng(index)
        pixels = np.empty((side, side, 3), np.uint8)
        for top in range(0, side, BAND_PX):
            band = pixels[top : top + BAND_PX]
            band[...] = rng.normal(128, 25, band.shape).clip(0, 255)
        Image.fromarray(pixels).save(folder / f"{index}.png", compress_level=1)


def cost(folder: Path, model: str) -> tuple[float, float]:
    """Return processor seconds and peak memory in MB of denoising a folder."""
    options = ["--model", model, "--sigma", "25", "--quiet", "-o", str(folder / "out")]
    command = [sys.executable, "-m", "imrestore", "denoise", str(folder), *options]
    spent = run(command)
    return spent.cpu_s, spent.peak_mb


def line_through(amounts: np.ndarray, values: np.ndarray) -> tuple[float, float, float]:
    """Return slope and intercept of the line that fits best, and the largest relative error."""
    slope, intercept = np.polyfit(amounts, values, 1, w=1 / values)
    errors = np.abs((slope * amounts + intercept) / values - 1)
    return float(slope), float(intercept), float(errors.max())


def told(what: str, rows: list[Row]) -> str:
    """Return what was measured as a table, and the lines through it."""
    cells = ((f"{amount:g}", f"{seconds:.2f}", f"{mb:.0f}") for amount, seconds, mb in rows)
    lines = [table((what, "processor s", "peak MB"), cells), ""]
    if len(rows) > 2:
        amounts, *measured = map(np.array, zip(*rows, strict=True))
        for unit, values in zip(("processor s", "MB"), measured, strict=True):
            slope, intercept, error = line_through(amounts, values)
            line = f"{intercept:.3g} + {slope:.3g} for each of the {what}"
            lines.append(f"{unit}: {line}; measured values are within {error:.1%}")
    return "\n".join(lines)


def draw(title: str, label: str, rows: list[Row], axes: Any) -> None:
    amounts, seconds, megabytes = map(np.array, zip(*rows, strict=True))
    right = axes.twinx()
    ends = np.array([0, amounts.max()])
    kinds = (
        (axes, seconds, "o", "tab:blue", "processor s"),
        (right, megabytes, "s", "tab:orange", "peak memory, MB"),
    )
    drawn = []
    for on, values, mark, colour, name in kinds:
        drawn += on.plot(amounts, values, mark, color=colour, label=name)
        if len(rows) > 2:
            slope, intercept, _ = line_through(amounts, values)
            on.plot(ends, slope * ends + intercept, "-", color=colour, linewidth=1)
        on.set(ylabel=name, ylim=(0, 1.1 * values.max()))
    axes.set(title=title, xlabel=label, xlim=(0, None))
    axes.legend(drawn, [mark.get_label() for mark in drawn], loc="lower right")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="resunet-color")
    parser.add_argument("--most-megapixels", type=float, default=MEGAPIXELS[-1])
    parser.add_argument("--most-files", type=int, default=FILES[-1])
    parser.add_argument("--folder", type=Path, help="with room for the pictures")
    parser.add_argument("-o", "--output", type=Path, default=Path("cost.png"))
    options = parser.parse_args()
    pixels: list[Row] = []
    files: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="imrestore-bench-", dir=options.folder) as name:
        in_a_process(make_pictures, Path(name) / "first", 1, SMALL_SIDE)
        cost(Path(name) / "first", options.model)
        for megapixels in (each for each in MEGAPIXELS if each <= options.most_megapixels):
            folder = Path(name) / f"pixels-{megapixels}"
            in_a_process(make_pictures, folder, 1, round((1e6 * megapixels) ** 0.5))
            pixels.append((megapixels, *cost(folder, options.model)))
            print(f"{megapixels:g} megapixels: {pixels[-1][1]:.1f} processor s", file=sys.stderr)
        for count in (each for each in FILES if each <= options.most_files):
            folder = Path(name) / f"files-{count}"
            in_a_process(make_pictures, folder, count, SMALL_SIDE)
            files.append((count, *cost(folder, options.model)))
            print(f"{count} files: {files[-1][1]:.1f} processor s", file=sys.stderr)
    print(f"{options.model}, {os.cpu_count()} processors\n")
    print(told("megapixels", pixels), "\n")
    print(told("files", files))
    # Not before: what this process has in memory would count as the command's.
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    draw("one picture", "megapixels", pixels, left)
    draw(f"pictures of {SMALL_SIDE}x{SMALL_SIDE} pixels", "files", files, right)
    figure.tight_layout()
    figure.savefig(options.output, dpi=100)


if __name__ == "__main__":
    main()
