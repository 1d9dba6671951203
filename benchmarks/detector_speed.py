"""How many parts a detector inspects per second, by engine and precision, and with which verdicts.

    python benchmarks/detector_speed.py anomaly-magnetic-tile magnetic-tile/test

PyTorch in float32 is what the others are compared with. Parts of a megapixel are made of those in
DIR, mirrored until they are large enough. Seconds are those of a processor core, which other work
on the machine hardly changes.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np

from restore.anomaly.measure import verdict_change
from restore.anomaly.part import Part, read_part
from restore.anomaly.runner import Detector
from restore.batch.inputs import pictures_in
from restore.engine.runner import ENGINE_VARIABLE

RUNS = (("pytorch", "fp32"), ("openvino", "fp32"), ("pytorch", "bf16"))


def main() -> None:
    """Measure, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Raw)
    parser.add_argument("model", help="weights of a detector")
    parser.add_argument("folder", type=Path, help="pictures of parts, good and defective")
    parser.add_argument("--sides", type=int, nargs="+", default=[256, 1024], help="of the parts")
    parser.add_argument("--count", type=int, default=50, help="parts whose verdicts are compared")
    parser.add_argument("--seconds", type=float, default=10, help="for each row")
    options = parser.parse_args()
    detectors = {run: _opened(options.model, *run) for run in RUNS}
    channels = detectors[RUNS[0]].weights.channels
    paths = pictures_in(options.folder, recursive=True)
    chosen = [paths[index] for index in np.linspace(0, len(paths) - 1, options.count).astype(int)]
    parts = [read_part(path).fitted_to(channels) for path in dict.fromkeys(chosen)]
    print(
        "| engine, precision | part | processor s per part | parts per second of a core | times | "
        "verdicts changed | largest shift of a score |"
    )
    print("|---|---|---|---|---|---|---|")
    for side in options.sides:
        sized = [_sized(part, side) for part in parts]
        slowest = None
        for run, detector in detectors.items():
            processor = _timed(detector, sized, options.seconds)
            slowest = slowest or processor
            change = verdict_change(detectors[RUNS[0]], detector, sized)
            print(
                f"| {run[0]}, {run[1]} | {side}x{side} | {processor:.3f} | {1 / processor:.1f} | "
                f"{slowest / processor:.2f} | {change.changed} of {change.parts} | "
                f"{100 * change.shift:.2g} % |",
                flush=True,
            )


def _opened(model: str, engine: str, precision: str) -> Detector:
    os.environ[ENGINE_VARIABLE] = engine
    detector = Detector(model, device="cpu", precision=precision)
    assert detector.network.runner.engine == engine
    return detector


def _sized(part: Part, side: int) -> Part:
    """Return the middle of a part, mirrored where it is smaller than ``side``."""
    missing = [max(0, side - size) for size in part.pixels.shape[1:]]
    pixels = np.pad(part.pixels, ((0, 0), *((0, each) for each in missing)), mode="symmetric")
    top, left = ((size - side) // 2 for size in pixels.shape[1:])
    return Part(pixels=np.ascontiguousarray(pixels[:, top : top + side, left : left + side]))


def _timed(detector: Detector, parts: list[Part], seconds: float) -> float:
    """Return the processor seconds for one part, after one to warm up."""
    detector(parts[0])
    done, started, used = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - started < seconds or done < 2:
        detector(parts[done % len(parts)])
        done += 1
    return (time.process_time() - used) / done


class _Raw(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Keeps the paragraphs of the description, and shows defaults."""


if __name__ == "__main__":
    main()
