"""What the service does under load, beside the command on a folder of the same pictures.

    python benchmarks/serve_load.py [--clients 16] [--seconds 60] [--megapixels 0.1] [--model NAME]
        [--clean DIR]

The command denoises a folder of pictures for about as long as the clients will ask, before and
after them, since other work on the machine changes its pace. Its start is left out: what counts is
the time between its first and its last record. Then each client posts pictures one after the other;
a 429 is an answer, after which it waits as long as that says, but at most a second. Any other
answer than 200 and 429, and any result that differs from the command's, is an error. The memory of
the service is read ten times.
"""

import argparse
import json
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

DIFFERENT = 4
PROGRAM = [sys.executable, "-m", "imrestore"]
PLACEMENT = ["--device", "cpu"]
SIGMA = 25


def folder_pace(noisy: Path, out: Path, model: str, seconds: float) -> float:
    """Return how many pictures a second the command does, once it has begun."""
    sources, started = sorted(noisy.iterdir()), time.perf_counter()
    times: list[float] = []
    for turn in count():
        copies = noisy.parent / f"copies-{turn}"
        copies.mkdir(exist_ok=True)
        for index in range(200):
            name = copies / f"{index}{sources[0].suffix}"
            if not name.exists():
                os.link(sources[index % len(sources)], name)
        command = [*PROGRAM, "denoise", str(copies), "-o", str(out), "--model", model, "--json",
                   "--sigma", str(SIGMA), "--overwrite", *PLACEMENT]  # fmt: skip
        at: list[float] = []
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout
            for _ in process.stdout:
                at.append(time.perf_counter())
                if at[-1] - started > seconds and len(at) > 2:
                    process.terminate()
                    break
        times.append((len(at) - 1) / (at[-1] - at[0]))
        if time.perf_counter() - started > seconds:
            return sum(times) / len(times)
    raise AssertionError


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
            began = time.perf_counter()
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
            process.terminate()
        paces.append(folder_pace(noisy, out, options.model, options.seconds / 2))
    served, pace = load.statuses[200] / took, sum(paces) / 2
    times = sorted(load.seconds)
    print(
        table(
            ["pictures/s, service", "folder", "share", "median s", "99 % s", "answers", "MB"],
            [[
                f"{served:.2f}",
                " and ".join(f"{each:.2f}" for each in paces),
                f"{served / pace:.0%}",
                f"{times[len(times) // 2]:.2f}",
                f"{times[int(0.99 * len(times))]:.2f}",
                json.dumps(load.statuses),
                " ".join(f"{size:.0f}" for size in sizes),
            ]],
        )
    )  # fmt: skip
    if load.wrong or set(load.statuses) - {200, 429}:
        sys.exit(f"{load.wrong} results differ; answers {dict(load.statuses)}")


if __name__ == "__main__":
    main()
