"""imrestore and others on the same noisy pictures, in turns, in one run.

    python benchmarks/side_by_side.py [--clean DIR] [--model NAME] [--count 4] [--megapixels 1]
        [--format png|jpeg] [--rounds 3] [--methods 'reference;imrestore;ceiling']
    python benchmarks/side_by_side.py --megapixels 24 --count 1 --format jpeg ...

Compared are
    reference   PyTorch in float32, whole pictures, read, run, write one after the other, as the
                public scripts of networks do
    imrestore   the command, with the engine that it chooses; and with PyTorch
    nlm         OpenCV's fastNlMeansDenoisingColored
    bm3d        the package of that name, on crops of 192x192 pixels
    ceiling     the network alone, as imrestore runs it, on pictures in memory

Each is a process of its own, from cold start to written files, except that the ceiling counts the
network only. Processor seconds are those of all threads: unlike time they hardly change when
something else runs on the machine. Ratios are taken round by round, against the reference of the
same round. PSNR is that of the crops, so that all have restored the same pixels; with JPEG it is
that of what was written at quality 95.

The reference holds whole feature maps in memory: about 17 GB for 24 megapixels.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pictures import CLEAN, SIGMA, SUFFIXES, make_pictures, read, write
from processes import Cost, in_a_process, run
from tables import spread, table

CROP = 192
REFERENCE_BYTES_PER_PIXEL = 700
"""Of its peak memory at 0.5 and 1 megapixels; the input and the output of a layer alone are 512."""
METHODS = ("reference", "imrestore", "imrestore, PyTorch", "nlm", "bm3d", "ceiling")


@dataclass
class Result:
    """What was measured of one method, a value per round."""

    cpu_s: list[float] = field(default_factory=list)
    wall_s: list[float] = field(default_factory=list)
    peak_mb: float = 0.0
    start_cpu_s: float = 0.0
    psnr_db: float = 0.0
    megapixels: float = 0.0


def restore_each(noisy: Path, out: Path, method: Callable[[np.ndarray], np.ndarray]) -> None:
    for path in sorted(noisy.iterdir()):
        write(method(read(path)), out / path.name)


def reference(model: str, noisy: Path, out: Path) -> None:
    import torch

    from restore.tasks import load

    network = load(model).build()
    level = torch.tensor([SIGMA / 255])

    def restored(pixels: np.ndarray) -> np.ndarray:
        picture = torch.from_numpy(pixels.astype(np.float32) / 255).permute(2, 0, 1)[None]
        with torch.no_grad():
            result: np.ndarray = network(picture, level)[0].permute(1, 2, 0).numpy()
        return 255 * result

    restore_each(noisy, out, restored)


def nlm(_model: str, noisy: Path, out: Path) -> None:
    import cv2

    restore_each(
        noisy, out, lambda p: cv2.fastNlMeansDenoisingColored(p, None, SIGMA, SIGMA, 7, 21)
    )


def bm3d(_model: str, noisy: Path, out: Path) -> None:
    from bm3d import bm3d_rgb

    restore_each(noisy, out, lambda p: 255 * bm3d_rgb(p[:CROP, :CROP] / 255, SIGMA / 255))


def ceiling(model: str, noisy: Path, _out: Path) -> None:
    from network_alone import network_alone

    runner, denoised = network_alone(model)
    pictures = [
        np.ascontiguousarray(read(path).transpose(2, 0, 1), np.float32) / 255
        for path in sorted(noisy.iterdir())
    ]
    denoised(pictures[0][:, :64, :64])
    cpu, wall = time.process_time(), time.perf_counter()
    for picture in pictures:
        denoised(picture)
    seconds = [time.process_time() - cpu, time.perf_counter() - wall]
    print(json.dumps([*seconds, f"{runner.engine}, {runner.precision}"]))


WORKERS = {"reference": reference, "nlm": nlm, "bm3d": bm3d, "ceiling": ceiling}


def command(method: str, model: str, noisy: Path, out: Path) -> list[str]:
    if method.startswith("imrestore"):
        options = ["--model", model, "--sigma", f"{SIGMA:g}", "--overwrite", "--quiet"]
        return [sys.executable, "-m", "imrestore", "denoise", str(noisy), "-o", str(out), *options]
    return [sys.executable, __file__, "--worker", method, model, str(noisy), str(out)]


def cost(method: str, model: str, noisy: Path, out: Path) -> Cost:
    """Run a method once."""
    out.mkdir(parents=True, exist_ok=True)
    environment = dict(os.environ)
    if method == "imrestore, PyTorch":
        environment["IMRESTORE_ENGINE"] = "pytorch"
    spent = run(command(method, model, noisy, out), environment)
    if method == "ceiling":
        cpu_s, wall_s, _ = json.loads(spent.printed)
        return replace(spent, cpu_s=cpu_s, wall_s=wall_s)
    return spent


def psnr(clean: Path, out: Path) -> float:
    """Return the PSNR of the crops that every method has restored, in dB: their mean."""
    values = []
    for path in sorted(out.iterdir()):
        result = read(path)[:CROP, :CROP].astype(np.float64)
        original = read(clean / f"{path.stem}.png")[:CROP, :CROP]
        values.append(10 * np.log10(255**2 / np.mean((result - original) ** 2)))
    return float(np.mean(values))


def measure(
    folder: Path, methods: Sequence[str], model: str, rounds: int, image_format: str
) -> dict[str, Result]:
    results = {method: Result() for method in methods}
    tiny = 64 * 64 / 1e6
    in_a_process(make_pictures, folder / "big" / "clean", folder / "tiny", 1, tiny, image_format)
    sizes = [Image.open(path).size for path in (folder / "big" / "clean").iterdir()]
    for method, result in results.items():
        # Also fills the caches of files and networks: whoever comes first must not pay for them.
        cost(method, model, folder / "tiny" / "noisy", folder / "tiny" / method)
        start = cost(method, model, folder / "tiny" / "noisy", folder / "tiny" / method)
        result.start_cpu_s = start.cpu_s
        result.megapixels = sum(height * width for width, height in sizes) / 1e6
        if method == "bm3d":
            result.megapixels = sum(min(CROP, h) * min(CROP, w) for w, h in sizes) / 1e6
    for number in range(rounds):
        for method, result in results.items():
            out = folder / "out" / method
            spent = cost(method, model, folder / "big" / "noisy", out)
            result.cpu_s.append(spent.cpu_s)
            result.wall_s.append(spent.wall_s)
            result.peak_mb = max(result.peak_mb, spent.peak_mb)
            print(f"round {number + 1}, {method}: {spent.cpu_s:.1f} processor s", file=sys.stderr)
    for method, result in results.items():
        if method != "ceiling":
            result.psnr_db = psnr(folder / "big" / "clean", folder / "out" / method)
    return results


def ratios(base: Result | None, own: Result, seconds: Callable[[Result], list[float]]) -> str:
    """Return how many times as fast as ``base`` a method is, per pixel."""
    if base is None:
        return ""
    same = base.megapixels / own.megapixels
    pairs = zip(seconds(base), seconds(own), strict=True)
    return spread([theirs / same / ours for theirs, ours in pairs])


def results_table(results: dict[str, Result]) -> str:
    """Return the results as a table in Markdown."""
    head = (
        "method",
        "processor s/MP",
        "s/MP",
        "times the reference, processor",
        "times the reference, clock",
        "peak MB",
        "start, processor s",
        "PSNR of crops, dB",
    )
    base = results.get("reference")
    rows = (
        (
            method,
            spread([cpu / result.megapixels for cpu in result.cpu_s]),
            spread([wall / result.megapixels for wall in result.wall_s]),
            ratios(base, result, lambda each: each.cpu_s),
            ratios(base, result, lambda each: each.wall_s),
            f"{result.peak_mb:.0f}",
            "" if method == "ceiling" else f"{result.start_cpu_s:.1f}",
            f"{result.psnr_db:.2f}" if result.psnr_db else "",
        )
        for method, result in results.items()
    )
    return table(head, rows)


def check_memory(megapixels: float) -> None:
    """Refuse a reference that would not fit.

    Raises:
        SystemExit: it needs more than is free.
    """
    needed_gb = megapixels * REFERENCE_BYTES_PER_PIXEL / 1e3
    lines = Path("/proc/meminfo").read_text().splitlines()
    free = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    if needed_gb > free * 1024 / 1e9:
        sys.exit(f"the reference needs {needed_gb:.0f} GB of memory; leave it out with --methods")


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        method, model, noisy, out = sys.argv[2:]
        WORKERS[method](model, Path(noisy), Path(out))
        return
    parser: Any = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clean", type=Path, default=CLEAN, help="folder of clean pictures")
    parser.add_argument("--model", default="dncnn-color")
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--megapixels", type=float, default=1.0)
    parser.add_argument("--format", choices=SUFFIXES, default="png")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--methods", default=";".join(METHODS), help="separated by semicolons")
    options = parser.parse_args()
    methods = options.methods.split(";")
    if "reference" in methods:
        check_memory(options.megapixels)
    with tempfile.TemporaryDirectory(prefix="imrestore-bench-") as name:
        folder = Path(name)
        size = (options.count, options.megapixels, options.format)
        in_a_process(make_pictures, options.clean, folder / "big", *size)
        results = measure(folder, methods, options.model, options.rounds, options.format)
    made = f"{options.count} {options.format.upper()} of {options.megapixels:g} megapixels"
    print(f"{options.model}, {made}, sigma {SIGMA:g}, {os.cpu_count()} processors\n")
    print(results_table(results))


if __name__ == "__main__":
    main()
