"""Make the picture of a report of an inspection: drawn parts, a training, and a browser.

    python benchmarks/make_inspection.py docs/pictures/inspection.webp --time 8m

The parts are drawn (turned discs with a hole, under uneven light, with the noise of a camera), so
that the picture is free of others' rights; the training and the report are real. Needs Chromium.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

PROJECT = Path(__file__).resolve().parents[1]
SIDE, GOOD, INSPECTED_GOOD = 256, 60, 3
DEFECTS = ("scratch", "dent", "stain", "burr")
WINDOW = "1100,1380"


def disc(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a good part ``[SIDE, SIDE]`` in [0, 1], and the distance of each pixel to its axis."""
    rows, columns = np.indices((SIDE, SIDE)) - SIDE / 2
    rows, columns = rows + rng.normal(0, 1.5), columns + rng.normal(0, 1.5)
    radius, angle = np.hypot(rows, columns), np.arctan2(rows, columns)
    grooves = ndimage.gaussian_filter1d(rng.normal(0, 1, SIDE), 0.7)
    texture = 0.06 * np.interp(radius, np.arange(SIDE), grooves)
    shine = 0.12 * np.cos(2 * (angle - rng.normal(0.6, 0.05))) ** 2
    part = np.where((radius > 28) & (radius < 108), 0.55 + texture + shine, 0.12)
    part = part + 0.05 * columns / SIDE
    return ndimage.gaussian_filter(part, 0.8), radius


def damaged(part: NDArray[np.float64], kind: str, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the part with a defect."""
    rows, columns = np.indices((SIDE, SIDE)) - SIDE / 2
    turn = rng.uniform(0, 2 * np.pi)
    x = columns * np.cos(turn) + rows * np.sin(turn) - 65
    y = rows * np.cos(turn) - columns * np.sin(turn)
    if kind == "scratch":
        across = np.abs(y - 0.004 * x**2) < 0.9
        return np.where(across & (np.abs(x) < 30), part + 0.25, part)
    if kind == "dent":
        return part + 0.35 * (x / 6) * np.exp(-(x**2 + y**2) / 72)
    if kind == "stain":
        blob = ndimage.gaussian_filter(rng.normal(0, 1, part.shape), 5)
        is_stained = (np.hypot(x, y) < 20) & (blob > 0)
        return np.where(is_stained, 0.8 * part, part)
    return np.where(np.hypot(x + 37, 0.5 * y) < 5, 0.75, part)


def write(part: NDArray[np.float64], path: Path, rng: np.random.Generator) -> None:
    """Write a part with the noise of a camera."""
    noisy = part + rng.normal(0, 0.012, part.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.rint(255 * noisy.clip(0, 1)).astype(np.uint8)).save(path)


def main() -> None:
    """Draw, train, inspect, and take a picture of the report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--time", default="8m", help="how long to train")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    paths = os.pathsep.join([str(PROJECT), str(PROJECT / "cmd")])
    command = [sys.executable, "-m", "imrestore"]

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def run(*words: str) -> None:
            subprocess.run(
                [*command, *words], cwd=folder, env=os.environ | {"PYTHONPATH": paths}, check=True
            )

        for index in range(GOOD):
            write(disc(rng)[0], folder / f"good/{index:02}.png", rng)
        for index in range(INSPECTED_GOOD):
            write(disc(rng)[0], folder / f"new/good-{index}.png", rng)
        for kind in DEFECTS:
            write(damaged(disc(rng)[0], kind, rng), folder / f"new/{kind}.png", rng)
        run(
            *("train", "anomaly", "--good", "good", "-o", "disc.safetensors"),
            *("--size", "128", "--time", options.time),
        )
        run("anomaly", "new", "--model", "disc.safetensors", "-o", "report")
        browser = shutil.which("chromium") or shutil.which("google-chrome") or "chromium"
        shot = folder / "shot.png"
        page = (folder / "report/report.html").as_uri()
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        subprocess.run(
            [browser, *flags, f"--screenshot={shot}", f"--window-size={WINDOW}", page], check=True
        )
        Image.open(shot).convert("RGB").save(options.output, quality=85, method=6)
    print(options.output)


if __name__ == "__main__":
    main()
