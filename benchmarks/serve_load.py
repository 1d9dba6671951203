"""What the service does under load, beside the command on a folder of the same pictures.

    python benchmarks/serve_load.py [--clients 16] [--seconds 60] [--megapixels 0.1] [--model NAME]
        [--clean DIR]

The command denoises a folder of pictures for about as long as the clients will ask, before and
after them, since other work on the machine changes its pace. Its start is left out: what counts is
the time between its first and its last record. Then each client posts pictures one after the other;
a 429 is an answer, after which it waits as long as that says, but at most a second. Any other
answer than 200 and 429, and any result that differs from the command's, is an error. The memory of
the service is read ten times. Beside the pace by the clock stand processor seconds for each
picture, which other work on the machine changes less, and which leave the clients out.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import httpx2

from pictures import CLEAN, make_pictures
from tables import table

DIFFERENT, COPIES, LEAST = 4, 5000, 8
PROGRAM = [sys.executable, "-m", "imrestore"]
PLACEMENT = ["--device", "cpu"]
SIGMA = 25


@dataclass(frozen=True)
class Pace:
    """How fast pictures are done.

    Attributes:
        a_second: Pictures a second by the clock.
        processor_s: Processor seconds for each.
    """

    a_second: float
    processor_s: float


def name_of(index: int, source: Path) -> str:
    """Return the name of a copy; copies are done in the order of their names."""
    return f"{index:05}{source.suffix}"


def processor_seconds(pid: int) -> float:
    """Return what a process has taken of all processors."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def folder_pace(noisy: Path, out: Path, model: str, seconds: float) -> Pace:
    """Return how fast the command does a folder, once it has begun."""
    sources, copies = sorted(noisy.iterdir()), noisy.parent / "copies"
    if not copies.exists():
        copies.mkdir()
        for index in range(COPIES):
            first = sources[index % len(sources)]
            os.link(first, copies / name_of(index, first))
    command = [*PROGRAM, "denoise", str(copies), "-o", str(out), "--model", model, "--json",
               "--sigma", str(SIGMA), "--overwrite", *PLACEMENT]  # fmt: skip
    times: list[float] = []
    taken: list[float] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        for _ in process.stdout:
            times.append(time.perf_counter())
            taken.append(processor_seconds(process.pid))
            if times[-1] - times[0] > seconds and len(times) > LEAST:
                process.terminate()
                break
    return Pace(
        (len(times) - 1) / (times[-1] - times[0]), (taken[-1] - taken[0]) / (len(taken) - 1)
    )


@dataclass
class Load:
    """What the clients saw."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    wrong: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


def client(url: str, bodies: list[bytes], expected: list[bytes], until: float, load: Load) -> None:
    """Post pictures until the time is over."""
    with httpx2.Client(timeout=120) as session:
        for turn in count():
            if time.perf_counter() > until:
                return
            index, began = turn % len(bodies), time.perf_counter()
            answer = session.post(f"{url}denoise?sigma={SIGMA}", content=bodies[index])
            took = time.perf_counter() - began
            with load.lock:
                load.statuses[answer.status_code] += 1
                if answer.status_code == 200:
                    load.seconds.append(took)
                    load.wrong += answer.content != expected[index]
            if answer.status_code == 429:
                time.sleep(min(1.0, float(answer.headers["retry-after"])))


def megabytes(pid: int) -> float:
    """Return the memory that a process holds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--megapixels", type=float, default=0.1)
    parser.add_argument("--model", default="dncnn-color")
    parser.add_argument("--queue", type=int, default=32)
    parser.add_argument("--clean", type=Path, default=CLEAN)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_pictures(options.clean, folder, DIFFERENT, options.megapixels, "jpeg")
        noisy, out = folder / "noisy", folder / "out"
        paces = [folder_pace(noisy, out, options.model, options.seconds / 2)]
        sources = sorted(noisy.iterdir())
        bodies = [path.read_bytes() for path in sources]
        expected = [
            (out / f"{index}{sources[0].suffix}").read_bytes() for index in range(DIFFERENT)
        ]
        command = [*PROGRAM, "serve", "--port", "0", "--queue", str(options.queue),
                   "--model", options.model, *PLACEMENT]  # fmt: skip
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr
            found = re.search(r"http://\S+:\d+/", process.stderr.readline())
            assert found
            url, load, sizes = found[0], Load(), []
            httpx2.post(f"{url}denoise?sigma={SIGMA}", content=bodies[0], timeout=120)
            began, before = time.perf_counter(), processor_seconds(process.pid)
            threads = [
                threading.Thread(
                    target=client, args=(url, bodies, expected, began + options.seconds, load)
                )
                for _ in range(options.clients)
            ]
            for thread in threads:
                thread.start()
            for _ in range(10):
                time.sleep(options.seconds / 10)
                sizes.append(megabytes(process.pid))
            for thread in threads:
                thread.join()
            took = time.perf_counter() - began
            processor = processor_seconds(process.pid) - before
            process.terminate()
        paces.append(folder_pace(noisy, out, options.model, options.seconds / 2))
    done, times = load.statuses[200], sorted(load.seconds)
    served = Pace(done / took, processor / done)
    rows = [
        ["pictures/s", served.a_second, *(each.a_second for each in paces)],
        ["processor seconds a picture", served.processor_s, *(each.processor_s for each in paces)],
    ]
    print(
        table(
            ["", "service", "folder before", "folder after"],
            [[str(name), *(f"{value:.3f}" for value in values)] for name, *values in rows],
        )
    )
    print(f"median {times[len(times) // 2]:.2f} s, 99 % {times[int(0.99 * len(times))]:.2f} s")
    print(f"answers {dict(load.statuses)}, MB {' '.join(f'{size:.0f}' for size in sizes)}")
    if load.wrong or set(load.statuses) - {200, 429}:
        sys.exit(f"{load.wrong} results differ; answers {dict(load.statuses)}")


if __name__ == "__main__":
    main()
