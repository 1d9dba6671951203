"""How close a folder of photographs comes to the network alone.

    python benchmarks/folder_throughput.py [--count 200] [--megapixels 2] [--model NAME]
        [--formats jpeg,png] [--device auto] [--jobs N] [--rounds 1] [--clean DIR]

In every round the command restores a folder of JPEGs and one of PNGs, from cold start to the last
file. Before and after each folder the network runs alone, as the command would run it, on pictures
in memory, a quarter as many: matrix units that are shared with other machines change their pace
within minutes. The shares are the mean of those two, per megapixel, over what the folder took: in
processor seconds of all threads and by the clock. The noise level is given, not estimated. The
files of a folder are a few different pictures again and again: photographs with noise of sigma 25.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

from pictures import CLEAN, SIGMA, SUFFIXES, make_pictures, read
from processes import Cost, in_a_process, run
from tables import spread, table

DIFFERENT = 4

Seconds = tuple[float, float]
"""Of all processors and by the clock, for each megapixel."""


@dataclass(frozen=True)
class Folder:
    """What a folder took, and the network alone before and after it."""

    cost: Cost
    before: Seconds
    after: Seconds


def make_folder(clean: Path, folder: Path, count: int, megapixels: float, kind: str) -> None:
    """Write ``DIFFERENT`` pictures to ``folder``/noisy, and link them until there are ``count``."""
    make_pictures(clean, folder, min(count, DIFFERENT), megapixels, kind)
    suffix = SUFFIXES[kind]
    for index in range(DIFFERENT, count):
        first = folder / "noisy" / f"{index % DIFFERENT}{suffix}"
        os.link(first, folder / "noisy" / f"{index}{suffix}")


def print_network_alone(model: str, device: str, noisy: Path, count: int) -> None:
    """Print the processor and other seconds of ``count`` pictures, and what computed."""
    from network_alone import network_alone
    from restore.engine.tiles import in_order

    runner, denoised = network_alone(model, device)
    paths = sorted(noisy.iterdir())[:DIFFERENT]
    resident = [
        np.ascontiguousarray(read(path).transpose(2, 0, 1), np.float32) / 255 for path in paths
    ]

    def restore(number: int) -> None:
        pictures = islice(cycle(resident), number)
        for _ in in_order(denoised, pictures, workers=runner.lanes):
            pass

    restore(DIFFERENT)
    cpu, wall = time.process_time(), time.perf_counter()
    restore(count)
    seconds = [time.process_time() - cpu, time.perf_counter() - wall]
    print(json.dumps([*seconds, f"{runner.engine} on {runner.device}, {runner.precision}"]))


def command(folder: Path, options: Any) -> Cost:
    """Restore a folder."""
    told = ["--model", options.model, "--sigma", f"{SIGMA:g}", "--device", options.device]
    jobs = ["--jobs", str(options.jobs)] if options.jobs else []
    arguments = [str(folder / "noisy"), "-o", str(folder / "out"), "--overwrite", "--quiet"]
    return run([sys.executable, "-m", "imrestore", "denoise", *arguments, *told, *jobs])


def measured(folder: Path, options: Any) -> tuple[list[tuple[str, ...]], str]:
    """Return the rows of the table, and what computed."""
    formats = options.formats.split(",")
    for kind in formats:
        size = (options.count, options.megapixels, kind)
        in_a_process(make_folder, options.clean, folder / kind, *size)
        # So that no round pays for the first export of a network.
        in_a_process(make_folder, options.clean, folder / f"{kind}-first", 1, 0.01, kind)
        command(folder / f"{kind}-first", options)
    few = max(2 * DIFFERENT, options.count // 4)
    resident = (str(folder / formats[0] / "noisy"), str(few))
    worker = [sys.executable, __file__, "--worker", options.model, options.device, *resident]
    computed = ""

    def alone() -> Seconds:
        nonlocal computed
        cpu_s, wall_s, computed = json.loads(run(worker).printed)
        return cpu_s / (few * options.megapixels), wall_s / (few * options.megapixels)

    networks: list[Seconds] = []
    folders: dict[str, list[Folder]] = {kind: [] for kind in formats}
    for number in range(options.rounds):
        networks.append(alone())
        for kind in formats:
            cost = command(folder / kind, options)
            networks.append(alone())
            folders[kind].append(Folder(cost, before=networks[-2], after=networks[-1]))
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
    processor, clock = (spread(each, ".3f") for each in zip(*networks, strict=True))
    rows = [("network alone", processor, "", clock, "", "")]
    megapixels = options.count * options.megapixels
    for kind, costs in folders.items():
        peak = f"{max(each.cost.peak_mb for each in costs):.0f}"
        rows.append((f"folder of {kind.upper()}", *_cells(costs, megapixels), peak))
    return rows, computed


def _cells(folders: Sequence[Folder], megapixels: float) -> Iterator[str]:
    """Yield seconds per megapixel and shares of the network alone, of processors and the clock."""
    for which in range(2):
        own = [(each.cost.cpu_s, each.cost.wall_s)[which] / megapixels for each in folders]
        alone = [(each.before[which] + each.after[which]) / 2 for each in folders]
        yield spread(own, ".3f")
        yield spread([base / seconds for base, seconds in zip(alone, own, strict=True)], ".1%")


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        model, device, noisy, count = sys.argv[2:]
        print_network_alone(model, device, Path(noisy), int(count))
        return
    parser: Any = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--megapixels", type=float, default=2.0)
    parser.add_argument("--model", default="resunet-color")
    parser.add_argument("--formats", default="jpeg,png", help="of jpeg and png")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--jobs", type=int, help="as for the command")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--clean", type=Path, default=CLEAN, help="folder of clean pictures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="imrestore-bench-") as name:
        rows, computed = measured(Path(name), options)
    size = f"{options.count} pictures of {options.megapixels:g} megapixels"
    print(f"{options.model}, {size}, {computed}, {os.cpu_count()} processors\n")
    head = ("", "processor s/MP", "of the network alone", "s/MP", "of the network alone", "peak MB")
    print(table(head, rows))


if __name__ == "__main__":
    main()
