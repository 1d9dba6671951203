"""Ends runs at random moments, and looks at what is left and what comes of going on."""

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from forked import Ended, Forked
from runs import Run, Tree, write_inputs
from table import Result, Verdict

__all__ = ["Site", "kill_once"]

_SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_REAL_ONES = 20
_START_SECONDS = 3.0


@dataclass(frozen=True)
class Site:
    """A folder in which one run is tried again and again.

    Attributes:
        folder: the folder; made anew.
        run: the run.
    """

    folder: Path
    run: Run

    @property
    def place(self) -> Path:
        """Current folder of the run."""
        return self.folder / "place"

    @cached_property
    def inputs(self) -> Tree:
        """What the run reads."""
        shutil.rmtree(self.folder, ignore_errors=True)
        return write_inputs(self.place)

    @cached_property
    def whole(self) -> tuple[Tree, float]:
        """Results of a run that is not stopped, and its seconds."""
        assert self.inputs
        # The first one fills the cache and takes longer.
        for _ in range(2):
            self.clear()
            ended = self.start().ended()
            if ended.code:
                raise RuntimeError(f"{self.run.name} ends with {ended.code}: {ended.messages}")
        return self.run.results(self.place), ended.seconds

    def clear(self) -> None:
        """Remove the results, and the cache if it is to be empty."""
        shutil.rmtree(self.place / "out", ignore_errors=True)
        (self.place / "out").mkdir()
        if self.run.is_first:
            shutil.rmtree(self.place / "cache", ignore_errors=True)

    def start(
        self,
        arguments: tuple[str, ...] | None = None,
        prepare: Callable[[], None] = lambda: None,
    ) -> Forked:
        """Start the run, or another command; ``prepare`` is called in its process first."""
        chosen = self.run.arguments if arguments is None else arguments
        return Forked(chosen, self.place, self.folder, self.run.engine, prepare)

    def judged(self, ended: Ended, codes: tuple[int, ...]) -> Result:
        """Return what is to be said of a run that ended early, after letting it go on."""
        whole, _ = self.whole
        if not ended.is_clean:
            return Result(verdict=Verdict.TRACEBACK, why=_last_line(ended))
        if ended.code is None:
            return Result(verdict=Verdict.SLOW, why="no end")
        if ended.code not in codes:
            why = f"ended with {ended.code}: {_last_line(ended)}"
            return Result(verdict=Verdict.CRASH if ended.code < 0 else Verdict.WRONG, why=why)
        if reason := self.run.broken_promise(self.place, self.inputs, whole):
            return Result(verdict=Verdict.WRONG, why=reason)
        arguments = self.run.repeated(self.place)
        # Where nothing is left to do, the next run is refused, and tidies up.
        expected, arguments = (0, arguments) if arguments else (2, self.run.arguments)
        again = self.start(arguments).ended()
        if again.code != expected or not again.is_clean:
            why = f"{' '.join(arguments)} ends with {again.code}: {_last_line(again)}"
            return Result(verdict=Verdict.WRONG, why=why)
        if reason := self.run.difference(self.place, self.inputs, whole):
            return Result(verdict=Verdict.WRONG, why=reason)
        return Result(verdict=Verdict.ACCEPTED)


def kill_once(site: Site, recipe: str) -> Result:
    """Start a run, end it at a moment and by a signal that ``recipe`` seeds, and go on.

    One run in twenty is a process of its own and can be ended while it still imports.
    """
    rng = random.Random(recipe)
    _, seconds = site.whole
    site.clear()
    if rng.randrange(_REAL_ONES) == 0:
        return site.judged(_kill_process(site, rng.uniform(0, _START_SECONDS + seconds)), (0, -9))
    forked = site.start()
    number = rng.choice(_SIGNALS)
    if not forked.wait(rng.uniform(0, seconds)):
        forked.signal(number)
    ended = forked.ended()
    result = site.judged(ended, (0, -number, 128 + number))
    return (
        result
        if result.holds
        else Result(verdict=result.verdict, why=f"{number.name}: {result.why}")
    )


def _kill_process(site: Site, seconds: float) -> Ended:
    process = subprocess.Popen(
        [sys.executable, "-m", "imrestore", *site.run.arguments],
        cwd=site.place,
        env=os.environ
        | {
            "IMRESTORE_ENGINE": site.run.engine,
            "XDG_CACHE_HOME": str(site.place / "cache"),
            "SOURCE_DATE_EPOCH": "1000000000",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        _, messages = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        _, messages = process.communicate()
    text = messages.decode(errors="replace")
    return Ended(code=process.returncode, messages=text, seconds=seconds)


def _last_line(ended: Ended) -> str:
    lines = ended.messages.strip().splitlines()
    return lines[-1][:300] if lines else "nothing was said"
