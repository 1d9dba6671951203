"""What the service does under load, beside the command on a folder of the same pictures.

    python benchmarks/serve_load.py [--clients 16] [--seconds 60] [--rounds 6] [--megapixels 0.1]
        [--model NAME] [--clean DIR]

Other work on the machine changes the pace of both, so they take turns in short rounds, on the same
cores, and medians count. In its turn the command denoises a folder of the pictures; its start is
left out: what counts is the time between its first and its last record. In its turn the service,
which was started once, is asked by all clients, each of which posts pictures one after the other; a
429 is an answer, after which it waits as long as that says, but at most a second. Any other answer
than 200 and 429, and any result that differs from the command's, is an error. The memory of the
service is read twice a round. Beside the pace by the clock stand processor seconds for each
picture, which other work on the machine changes less, and which leave the clients out; what these
take, of the same cores, is printed as well.
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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import median

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


@dataclass
class Service:
    """The service under load.

    Attributes:
        url: Where it is.
        pid: Its process.
        bodies: Pictures to post.
        expected: What the command makes of them.
        load: What the clients saw, in all rounds.
        megabytes: Its memory, twice a round.
        clients_s: Processor seconds that the clients took for each picture, in each round.
    """

    url: str
    pid: int
    bodies: list[bytes]
    expected: list[bytes]
    load: Load = field(default_factory=Load)
    megabytes: list[float] = field(default_factory=list)
    clients_s: list[float] = field(default_factory=list)

    def pace(self, clients: int, seconds: float) -> Pace:
        """Return how fast it answers so many clients."""
        began, before = time.perf_counter(), processor_seconds(self.pid)
        clients_before = time.process_time()
        done = self.load.statuses[200]
        threads = [
            threading.Thread(
                target=client,
                args=(self.url, self.bodies, self.expected, began + seconds, self.load),
            )
            for _ in range(clients)
        ]
        for thread in threads:
            thread.start()
        time.sleep(seconds / 2)
        self.megabytes.append(megabytes(self.pid))
        for thread in threads:
            thread.join()
        self.megabytes.append(megabytes(self.pid))
        done = self.load.statuses[200] - done
        self.clients_s.append((time.process_time() - clients_before) / done)
        took, taken = time.perf_counter() - began, processor_seconds(self.pid) - before
        return Pace(done / took, taken / done)


@contextmanager
def serving(
    model: str, queue: int, bodies: list[bytes], expected: list[bytes]
) -> Iterator[Service]:
    """Start the service, and let it open its network."""
    command = [*PROGRAM, "serve", "--port", "0", "--queue", str(queue), "--model", model,
               *PLACEMENT]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        found = re.search(r"http://\S+:\d+/", process.stderr.readline())
        assert found
        httpx2.post(f"{found[0]}denoise?sigma={SIGMA}", content=bodies[0], timeout=120)
        try:
            yield Service(found[0], process.pid, bodies, expected)
        finally:
            process.terminate()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=60, help="of each, in all rounds")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--megapixels", type=float, default=0.1)
    parser.add_argument("--model", default="dncnn-color")
    parser.add_argument("--queue", type=int, default=32)
    parser.add_argument("--clean", type=Path, default=CLEAN)
    options = parser.parse_args()
    seconds = options.seconds / options.rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_pictures(options.clean, folder, DIFFERENT, options.megapixels, "jpeg")
        noisy, out = folder / "noisy", folder / "out"
        folder_paces = [folder_pace(noisy, out, options.model, seconds)]
        sources = sorted(noisy.iterdir())
        bodies = [path.read_bytes() for path in sources]
        expected = [(out / name_of(i, sources[0])).read_bytes() for i in range(DIFFERENT)]
        with serving(options.model, options.queue, bodies, expected) as service:
            paces = [service.pace(options.clients, seconds)]
            for _ in range(options.rounds - 1):
                folder_paces.append(folder_pace(noisy, out, options.model, seconds))
                paces.append(service.pace(options.clients, seconds))
    rows = []
    for what in ("a_second", "processor_s"):
        served = [getattr(each, what) for each in paces]
        alone = [getattr(each, what) for each in folder_paces]
        ratios = [one / other for one, other in zip(served, alone, strict=True)]
        values = (median(served), median(alone), median(ratios), min(ratios), max(ratios))
        rows.append([what, *(f"{value:.3f}" for value in values)])
    print(table(["median of rounds", "service", "folder", "ratio", "least", "most"], rows))
    load = service.load
    print(f"clients {median(service.clients_s):.3f} processor seconds a picture")
    times = sorted(load.seconds)
    print(f"median {times[len(times) // 2]:.2f} s, 99 % {times[int(0.99 * len(times))]:.2f} s")
    print(
        f"answers {dict(load.statuses)}, MB {' '.join(f'{size:.0f}' for size in service.megabytes)}"
    )
    if load.wrong or set(load.statuses) - {200, 429}:
        sys.exit(f"{load.wrong} results differ; answers {dict(load.statuses)}")


if __name__ == "__main__":
    main()
