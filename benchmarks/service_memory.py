"""What a process that stays open keeps of pictures of many sizes, and how fast a warm call is.

    python benchmarks/service_memory.py [--model NAME] [--device cpu] [--pictures 2400]
        [--largest 160] [--latency 512]

Each picture has a size of its own, at random. Resident memory is read after the first hundred and
then ten times; the script fails if it grows by more than 150 MB from then on. The latency is that
of ``Denoiser`` on an array of ``--latency`` pixels a side, noise level given, after three calls.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np

import restore

WARM, MOST_MB = 100, 150


def resident_mb() -> float:
    """Return what this process has in memory."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="resunet-color")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--pictures", type=int, default=2400)
    parser.add_argument("--largest", type=int, default=160, help="longest side in pixels")
    parser.add_argument("--latency", type=int, default=512, help="side in pixels; 0 for none")
    options = parser.parse_args()

    denoiser = restore.Denoiser(options.model, device=options.device, sigma=25)
    rng = np.random.default_rng(0)
    warm_mb = grown_mb = 0.0
    for done in range(1, options.pictures + 1):
        height, width = rng.integers(16, options.largest + 1, 2)
        picture = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        record = denoiser(picture, sigma=25).record
        if done == WARM:
            warm_mb = resident_mb()
        if done == WARM or (done > WARM and done % max(1, options.pictures // 10) == 0):
            grown_mb = max(grown_mb, resident_mb() - warm_mb)
            print(f"{done} pictures: {resident_mb():.0f} MB", flush=True)
    print(f"{options.model}, {record['engine']} in {record['precision']}: {grown_mb:+.0f} MB")

    if options.latency:
        picture = rng.integers(0, 256, (options.latency, options.latency, 3), dtype=np.uint8)
        taken = []
        for _ in range(13):
            started = time.perf_counter(), time.process_time()
            denoiser(picture, sigma=25)
            ended = time.perf_counter(), time.process_time()
            taken.append([1000 * (end - start) for start, end in zip(started, ended, strict=True)])
        by_clock, of_processor = map(statistics.median, zip(*taken[3:], strict=True))
        print(
            f"{options.latency}x{options.latency}: median {by_clock:.0f} ms by the clock, "
            f"{of_processor:.0f} ms of the processor"
        )
    if grown_mb > MOST_MB:
        sys.exit(f"memory grew by {grown_mb:.0f} MB, more than {MOST_MB}")


if __name__ == "__main__":
    main()
