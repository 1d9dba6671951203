"""Long-lived worker processes: one that dies or hangs is replaced, and the rest goes on."""

import json
import os
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from table import Result, Verdict

__all__ = ["HANGING_SECONDS", "Job", "Pool"]

HANGING_SECONDS = 60.0
"""Processor time after which a job is taken to have no end."""

_WAITING_SECONDS = 600.0
"""The same by the clock, which other work on the machine cannot reach."""

Job = dict[str, Any]
"""What a worker does, as plain values; see ``worker.py``."""


class Pool:
    """Worker processes that take jobs one by one.

    Args:
        count: number of processes.
        scratch: folder in which each worker gets one of its own.
        memory_mb: most address space of a worker, in MB.
        environment: environment variables beside those of this process.
    """

    def __init__(
        self, count: int, scratch: Path, memory_mb: int, environment: Mapping[str, str]
    ) -> None:
        self._count, self._scratch, self._memory_mb = count, scratch, memory_mb
        self._environment = environment

    def each(self, jobs: Iterable[Job], done: Callable[[Job, Result, Path], None]) -> None:
        """Do all jobs; ``done`` gets each with its result and the worker's folder."""
        remaining, lock = iter(jobs), threading.Lock()
        failures: list[BaseException] = []

        def work(number: int) -> None:
            folder = self._scratch / f"worker-{number}"
            worker = _Worker(folder, self._memory_mb, self._environment)
            try:
                while not failures:
                    with lock:
                        job = next(remaining, None)
                    if job is None:
                        break
                    result = worker.do(job)
                    with lock:
                        done(job, result, worker.folder)
            except BaseException as error:
                failures.append(error)
            finally:
                worker.end()

        threads = [threading.Thread(target=work, args=(n,)) for n in range(self._count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]


class _Worker:
    def __init__(self, folder: Path, memory_mb: int, environment: Mapping[str, str]) -> None:
        self.folder, self._memory_mb, self._environment = folder, memory_mb, environment
        self._process: subprocess.Popen[bytes] | None = None

    def do(self, job: Job) -> Result:
        if self._process is None:
            self._process = self._started()
        process = self._process
        assert process.stdin
        assert process.stdout
        try:
            process.stdin.write(json.dumps(job).encode() + b"\n")
            process.stdin.flush()
            with selectors.DefaultSelector() as selector:
                selector.register(process.stdout, selectors.EVENT_READ)
                if not selector.select(_WAITING_SECONDS):
                    self.end()
                    return Result(verdict=Verdict.SLOW, why=f"no end in {_WAITING_SECONDS:g} s")
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = b""
        if not answer:
            self.end()
            if process.returncode == -signal.SIGPROF:
                return Result(verdict=Verdict.SLOW, why=f"no end in {HANGING_SECONDS:g} s")
            return Result(verdict=Verdict.CRASH, why=f"ended with {process.returncode}")
        values = json.loads(answer)
        return Result(**values | {"verdict": Verdict(values["verdict"])})

    def end(self) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        # What it started belongs to its group.
        os.killpg(process.pid, signal.SIGKILL)
        with process:
            pass

    def _started(self) -> "subprocess.Popen[bytes]":
        self.folder.mkdir(parents=True, exist_ok=True)
        script = Path(__file__).with_name("worker.py")
        return subprocess.Popen(
            [sys.executable, str(script), str(self.folder), str(self._memory_mb)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | self._environment,
            process_group=0,
        )
