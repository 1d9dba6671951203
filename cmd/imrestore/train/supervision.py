"""A training under supervision: its progress is shown, and a signal stops it in order."""

import math
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from imrestore.exits import noted_signals
from imrestore.output import say
from imrestore.recipes import print_if_asked

if TYPE_CHECKING:
    from imrestore.train.options import TrainingOptions
    from restore.training.recipe import Recipe
    from restore.training.schedule import Progress
    from restore.weights.store import Weights

__all__ = ["WARNINGS", "Supervision", "supervised", "train_supervised"]

WARNINGS = tuple(filter(None, [getattr(signal, "SIGUSR1", None)]))
"""What comes before the end, as Slurm sends it with ``--signal``."""


@dataclass(frozen=True)
class Supervision:
    """The callbacks by which a training reports and is stopped."""

    report: "Callable[[Progress], None]"
    tell: Callable[[str], None]
    should_stop: Callable[[], bool]


@contextmanager
def supervised(*, quiet: bool, finished: Path | None = None) -> Iterator[Supervision]:
    """Show a training's progress, and let it write its checkpoint when a signal stops it.

    Of several processes that train together, only the first prints anything.

    Args:
        quiet: Print errors only.
        finished: Output that is there already, so that there is nothing to do.

    Raises:
        typer.Exit: a signal stopped the training, or there is nothing to do.
    """
    from restore.errors import TrainingStopped
    from restore.training.team import team_rank

    is_first = team_rank() == 0
    quiet = quiet or not is_first
    if finished is not None:
        from restore.files import remove_stale_parts

        remove_stale_parts(finished.parent)
        if not quiet:
            say(f"{finished}: is there already, and no stopped run; nothing to do")
        raise typer.Exit
    with noted_signals(*WARNINGS, at_once=False) as signalled, _progress(quiet) as report:
        try:
            yield Supervision(
                report=report,
                tell=lambda line: None if quiet else say(line),
                should_stop=signalled,
            )
        except TrainingStopped as stopped:
            if is_first:
                say(str(stopped))
            # Another process of the team may have caught the signal.
            raise typer.Exit(128 + (signalled.number or signal.SIGTERM)) from stopped


def train_supervised(
    training: "TrainingOptions", recipe: "Recipe", train: "Callable[..., Weights]"
) -> None:
    """Train under supervision, and say what came of it.

    Args:
        training: how.
        recipe: what is trained.
        train: what trains, given its ``settings``, ``report``, ``warn`` and ``should_stop``.
    """
    print_if_asked(recipe)
    with supervised(quiet=training.quiet, finished=training.finished) as supervision:
        weights = train(
            settings=training.settings(),
            report=supervision.report,
            warn=supervision.tell,
            should_stop=supervision.should_stop,
        )
        supervision.tell(f"{training.output}: {weights.parameters:,} parameters")


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
    validation, figure, speed = progress.validation, progress.figure, progress.images_per_second
    parts = [
        f"step {progress.step}",
        *([] if math.isnan(progress.loss) else [f"loss {progress.loss:.5f}"]),
        *([] if validation is None else [f"validation {validation:.2f} {figure.unit}".rstrip()]),
    ]
    if progress.step and speed:  # before the first step nothing is known of it
        left = progress.elapsed * (1 / max(progress.progress, 1e-6) - 1)
        parts += [f"{speed:.0f} crops/s" if speed >= 10 else f"{speed:.1f} crops/s"]
        parts += [f"{_clock(left)} left"]
    return ", ".join(parts)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
