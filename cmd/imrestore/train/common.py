"""What all trainings share: their options, their signals, and the line that says how they go."""

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imrestore.exits import Stopped, heeded_signals, say

if TYPE_CHECKING:
    from restore.training.schedule import Progress
    from restore.training.session import Settings

__all__ = ["Supervision", "TrainingOptions", "layer_widths", "number_range", "supervised"]

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """What is written, how long it takes, and where it runs."""

    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="NAME.safetensors", help="Weight file to write."),
    ]
    steps: Annotated[
        int | None, typer.Option(metavar="N", help="Train for N steps.", show_default=False)
    ] = None
    time: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Train for this long: 90s, 30m, 2h or 1d. The schedule ends when the time does.",
            show_default=False,
        ),
    ] = None
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the stopped run of the same output.")
    ] = False
    batch: Annotated[int, typer.Option(metavar="N", help="Crops per step, all processes.")] = 16
    accumulate: Annotated[
        int,
        typer.Option(
            metavar="N", help="Compute each batch in N parts, one after the other: less memory."
        ),
    ] = 1
    optimizer: Annotated[
        str,
        typer.Option(
            metavar="muon|adam",
            help="Muon makes the steps of hidden convolutions orthogonal and gets further in the "
            "same time.",
        ),
    ] = "muon"
    learning_rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 1e-3
    schedule: Annotated[
        str,
        typer.Option(
            metavar="cosine|step",
            help="How the learning rate falls: along a cosine, or to a tenth from 60 % of the "
            "run and a hundredth from 90 %.",
        ),
    ] = "cosine"
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of everything random.")] = 0
    device: Annotated[
        str, typer.Option(metavar="auto|cpu|cuda[:N]|mps", help="Where to train.")
    ] = "auto"
    precision: Annotated[
        str,
        typer.Option(
            metavar="auto|fp32|bf16",
            help="Number format of the forward pass. Weights trained in bf16 lose next to nothing "
            "when they run in bf16.",
        ),
    ] = "auto"
    compile: Annotated[
        bool,
        typer.Option("--compile", help="Compile the network first (minutes; needs a compiler)."),
    ] = False
    checkpoint_every: Annotated[
        str, typer.Option(metavar="TIME", help="Time between checkpoints.")
    ] = "2m"
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing output and its checkpoint.")
    ] = False
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print errors only.")] = False

    def schedule_values(self) -> dict[str, Any]:
        """Return the fields that the recipes of all tasks have, but for the patch.

        Raises:
            UsageError: a time that is none.
        """
        return {
            "steps": self.steps,
            "seconds": None if self.time is None else _seconds("--time", self.time),
            "batch": self.batch,
            "accumulate": self.accumulate,
            "optimizer": self.optimizer,
            "learning_rate": self.learning_rate,
            "schedule": self.schedule,
            "seed": self.seed,
        }

    def settings(self) -> "Settings":
        """Return how the training runs.

        Raises:
            UsageError: a time that is none.
        """
        from restore.training.session import Settings

        return Settings(
            device=self.device,
            precision=self.precision,
            compiled=self.compile,
            checkpoint_every=_seconds("--checkpoint-every", self.checkpoint_every),
            resume=self.resume,
            overwrite=self.overwrite,
        )


@dataclass(frozen=True)
class Supervision:
    """What a training is given to be seen and stopped."""

    report: "Callable[[Progress], None]"
    tell: Callable[[str], None]
    should_stop: Callable[[], bool]


@contextmanager
def supervised(options: TrainingOptions) -> Iterator[Supervision]:
    """Show a training's progress and stop it in order when a signal comes.

    Only the first process of several that train together says anything.
    """
    from restore.errors import TrainingStopped

    quiet = options.quiet or os.environ.get("RANK", "0") != "0"
    with _stop_on_signal() as signalled, _progress(quiet) as report:
        try:
            yield Supervision(
                report=report,
                tell=lambda line: None if quiet else say(line),
                should_stop=signalled,
            )
        except TrainingStopped as stopped:
            if os.environ.get("RANK", "0") == "0":
                say(str(stopped))
            # Another process of the team may have caught the signal.
            raise typer.Exit(128 + (signalled.number or signal.SIGTERM)) from stopped


def number_range(option: str, text: str, example: str) -> tuple[float, float]:
    """Return the range that ``LOW:HIGH``, or one number, stands for.

    Raises:
        UsageError: neither.
    """
    from restore.errors import UsageError

    low, _, high = text.partition(":")
    try:
        return float(low), float(high or low)
    except ValueError:
        raise UsageError(
            f"{option} {text}: give LOW:HIGH, as in {example}, or one number"
        ) from None


def layer_widths(text: str | None, example: str) -> tuple[int, ...]:
    """Return the feature channels of ``N[,N...]``, none for those of the network's own.

    Raises:
        UsageError: something that is no positive whole number.
    """
    from restore.errors import UsageError

    try:
        widths = tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError:
        widths = (0,)
    if any(width < 1 for width in widths):
        raise UsageError(f"--width {text}: give positive whole numbers, as in {example}")
    return widths


def _seconds(option: str, text: str) -> float:
    from restore.errors import UsageError

    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not match:
        raise UsageError(f"{option} {text}: give a number with s, m, h or d, as in 90s or 2h")
    return float(match[1]) * _SECONDS[match[2]]


class _Signalled:
    """Whether a signal came; asking begins the time in which one is waited for."""

    def __init__(self) -> None:
        self.number, self.is_asked_for = 0, False

    def __call__(self) -> bool:
        self.is_asked_for = True
        return self.number != 0


@contextmanager
def _stop_on_signal() -> Iterator[_Signalled]:
    """Note SIGINT and SIGTERM, so that the loop can write its checkpoint first.

    Before it runs there is nothing to write: while pictures are read, a signal ends the run at
    once, as a second one does at any time.
    """
    signalled = _Signalled()

    def note(number: int, _frame: Any) -> None:
        signalled.number = number
        for known, handler in before.items():
            signal.signal(known, handler)
        if not signalled.is_asked_for:
            raise Stopped(number)

    before = {number: signal.signal(number, note) for number in heeded_signals()}
    try:
        yield signalled
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(quiet: bool) -> "Iterator[Callable[[Progress], None]]":
    """Show a bar on a terminal, and elsewhere one line a minute."""
    from tqdm import tqdm

    terminal = sys.stderr.isatty()
    last_line = -60.0
    with tqdm(
        total=100,
        disable=quiet or not terminal,
        bar_format="{percentage:3.0f}%|{bar}| {postfix}",
        file=sys.stderr,
    ) as bar:

        def report(progress: "Progress") -> None:
            nonlocal last_line
            line = _progress_line(progress)
            if terminal:
                bar.n = round(100 * progress.progress, 2)
                bar.set_postfix_str(line)
            elif not quiet and progress.elapsed - last_line >= 60:
                last_line = progress.elapsed
                say(line)

        yield report


def _progress_line(progress: "Progress") -> str:
    left = progress.elapsed * (1 / max(progress.progress, 1e-6) - 1)
    validation, figure = progress.validation, progress.figure
    parts = [
        f"step {progress.step}",
        f"loss {progress.loss:.5f}",
        *([f"validation {validation:.2f} {figure.unit}"] if validation is not None else []),
        f"{progress.images_per_second:.0f} crops/s",
        f"{_clock(left)} left",
    ]
    return ", ".join(parts)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
