"""How the cost of denoising grows with the pixels of a picture and with the number of files.

    python benchmarks/cost_curves.py [--model NAME] [-o docs/pictures/cost.png]

Processor seconds and peak memory of whole runs of the command, from its start to the last file.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from processes import in_a_process, run

MEGAPIXELS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
FILES = (1, 10, 100, 300, 1000)
SMALL_SIDE = 64


def make_pictures(folder: Path, count: int, side: int) -> None:
    folder.mkdir(parents=True)
    for index in range(count):
        noise = np.random.default_rng(index).normal(128, 25, (side, side, 3))
        Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(folder / f"{index}.png")


def cost(folder: Path, model: str) -> tuple[float, float]:
    """Return processor seconds and peak memory in MB of denoising a folder."""
    options = ["--model", model, "--sigma", "25", "--quiet", "-o", str(folder / "out")]
    command = [sys.executable, "-m", "imrestore", "denoise", str(folder), *options]
    spent = run(command)
    return spent.cpu_s, spent.peak_mb


def draw(title: str, label: str, rows: list[tuple[float, float, float]], axes: Any) -> None:
    amounts, seconds, megabytes = zip(*rows, strict=True)
    axes.plot(amounts, seconds, "o-", label="processor s")
    axes.set(title=title, xlabel=label, ylabel="processor s", ylim=(0, None), xlim=(0, None))
    right = axes.twinx()
    right.plot(amounts, megabytes, "s--", color="tab:orange", label="peak memory")
    right.set(ylabel="peak memory, MB", ylim=(0, None))
    lines = [*axes.get_lines(), *right.get_lines()]
    axes.legend(lines, [line.get_label() for line in lines], loc="lower right")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="resunet-color")
    parser.add_argument("-o", "--output", type=Path, default=Path("cost.png"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="imrestore-bench-") as name:
        rows: dict[str, list[tuple[float, float, float]]] = {"pixels": [], "files": []}
        in_a_process(make_pictures, Path(name) / "warm", 1, SMALL_SIDE)
        cost(Path(name) / "warm", options.model)
        for megapixels in MEGAPIXELS:
            folder = Path(name) / f"pixels-{megapixels}"
            in_a_process(make_pictures, folder, 1, round((1e6 * megapixels) ** 0.5))
            rows["pixels"].append((megapixels, *cost(folder, options.model)))
        for count in FILES:
            folder = Path(name) / f"files-{count}"
            in_a_process(make_pictures, folder, count, SMALL_SIDE)
            rows["files"].append((count, *cost(folder, options.model)))
    for kind, measured in rows.items():
        for amount, seconds, megabytes in measured:
            print(f"{kind} {amount:g}: {seconds:.2f} processor s, {megabytes:.0f} MB")
    # Not before: what this process has in memory would count as the command's.
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    draw("one picture", "megapixels", rows["pixels"], left)
    draw(f"pictures of {SMALL_SIDE}x{SMALL_SIDE} pixels", "files", rows["files"], right)
    figure.tight_layout()
    figure.savefig(options.output, dpi=100)


if __name__ == "__main__":
    main()
