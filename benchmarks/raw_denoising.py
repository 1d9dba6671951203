"""What a RAW file costs to denoise and to develop, beside a JPEG of as many pixels.

    python benchmarks/raw_denoising.py [--megapixels 24] [--raw-model auto] [--model auto]
        [--precision auto] [--format dng] [--only denoise-raw,denoise-jpeg,dark-enhance]

Each is a run of the command in a process of its own, with the noise measured. Seconds are those
of all processors, LibRaw's child process among them, less what a picture of a few pixels takes;
memory is the highest sum of what the command and its child processes hold, a few times in a second.
The pictures are waves with noise.
"""

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from processes import Cost, run
from restore.image.dng import write_cfa_dng
from restore.image.raw_picture import REFERENCE_CFA, RawPicture
from tables import table

_SIDES = (3, 2)
_BLACK, _WHITE = 512, 15871
_SMALL = 64


class Memory(threading.Thread):
    """Watches, as a context, how much the processes below this one hold."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak_mb = 0.0
        self._is_over = threading.Event()

    def run(self) -> None:
        """Look a few times in a second."""
        while not self._is_over.wait(0.05):
            held = sum(_resident_mb(process) for process in _below(os.getpid()))
            self.peak_mb = max(self.peak_mb, held)

    def __enter__(self) -> "Memory":
        """Begin."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._is_over.set()
        self.join()


def _below(parent: int) -> Iterator[int]:
    for task in Path(f"/proc/{parent}/task").iterdir():
        try:
            children = (task / "children").read_text().split()
        except OSError:
            continue
        for child in map(int, children):
            yield child
            yield from _below(child) if Path(f"/proc/{child}").exists() else ()


def _resident_mb(process: int) -> float:
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def write_files(folder: Path, megapixels: float) -> None:
    """Write a RAW file and a JPEG, each whole and as a small part."""
    rng = np.random.default_rng(0)
    width, height = (int(side * (megapixels * 1e6 / 6) ** 0.5) // 6 * 6 for side in _SIDES)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    light = 0.1 + 0.125 * (np.sin(x / 300) * np.cos(y / 200) + 1)
    noise = rng.standard_normal((height, width), dtype=np.float32)
    levels = (_WHITE - _BLACK) * (light + np.sqrt(6e-5 * light + 4e-7) * noise) + _BLACK
    raw = RawPicture(
        mosaic=levels.clip(0, _WHITE).astype(np.uint16),
        cfa=REFERENCE_CFA[2],
        black_level=(_BLACK,) * 4,
        white_level=_WHITE,
        white_balance=(2.0, 1.0, 1.5),
    )
    codes = (255 * np.sqrt(light)[..., None] + 12 * rng.standard_normal((height, width, 3))).clip(
        0, 255
    )
    image = Image.fromarray(codes.astype(np.uint8))
    small = replace(raw, mosaic=raw.mosaic[:_SMALL, :_SMALL].copy())
    for name, mosaic in (("whole", raw), ("small", small)):
        (folder / f"{name}.dng").write_bytes(write_cfa_dng(mosaic))
    image.save(folder / "whole.jpg", quality=95)
    image.crop((0, 0, _SMALL, _SMALL)).save(folder / "small.jpg", quality=95)


def cost(folder: Path, name: str, words: Sequence[str]) -> tuple[Cost, float]:
    """Return what a task cost for a file, and the memory that it took in MB."""
    task, *others = words
    command = [sys.executable, "-m", "imrestore", task, str(folder / name)]
    with Memory() as memory:
        spent = run([*command, "-o", f"{folder}/out/", "--overwrite", "-q", *others])
    return spent, memory.peak_mb


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megapixels", type=float, default=24)
    parser.add_argument("--raw-model", default="auto")
    parser.add_argument("--model", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--format", default="dng")
    parser.add_argument("--only", default="denoise-raw,denoise-jpeg,dark-enhance")
    options = parser.parse_args()
    raw = ["denoise", "--model", options.raw_model, "--format", options.format]
    jobs = {
        "denoise-raw": (".dng", raw),
        "denoise-jpeg": (".jpg", ["denoise", "--model", options.model]),
        "dark-enhance": (".dng", ["dark-enhance"]),
    }
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder, options.megapixels)
        for job in options.only.split(","):
            suffix, words = jobs[job]
            words = [*words, "--precision", options.precision]
            little, _ = cost(folder, f"small{suffix}", words)
            started = time.strftime("%H:%M")
            spent, peak_mb = cost(folder, f"whole{suffix}", words)
            seconds = (spent.cpu_s - little.cpu_s) / options.megapixels
            rows.append([job, f"{seconds:.2f}", f"{peak_mb:.0f}", started])
    print(table(["task", "processor seconds/megapixel", "memory, MB", "at"], rows))


if __name__ == "__main__":
    main()
