"""What of the time that passes is training: steps and validations, not what is told of them."""

from pathlib import Path

import pytest
import torch
from torch import nn

from restore.errors import TrainingStopped
from restore.training.history import History
from restore.training.loop import Trainer
from restore.training.schedule import Progress, TrainerConfig
from restore.training.team import Team


class Clock:
    """Stands still until something takes time."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Training:
    """Steps of one second, each of whose reports takes ten."""

    def __init__(self, checkpoint: Path, team: Team | None = None, stop_after: int = 99) -> None:
        self.clock = Clock()
        self.seen: list[Progress] = []
        self.trainer = Trainer(
            nn.Linear(1, 1),
            self._draw,
            lambda forward, batch: forward(batch).square().mean(),
            TrainerConfig(steps=None, seconds=4.0, learning_rate=1e-3, clock=self.clock),
            device=torch.device("cpu"),
            checkpoint=checkpoint,
            recipe={},
            report=self._report,
            should_stop=lambda: len(self.seen) >= stop_after,
            team=team,
        )

    def _draw(self, _: object) -> torch.Tensor:
        # Each step draws the batch of the next one, and the first its own as well.
        self.clock.now += 1
        return torch.ones(1, 1)

    def _report(self, progress: Progress) -> None:
        self.clock.now += 10
        self.seen.append(progress)


def test_a_report_takes_no_time_from_the_schedule(tmp_path: Path) -> None:
    training = Training(tmp_path / "x.checkpoint")
    training.trainer.run()
    assert [round(progress.elapsed) for progress in training.seen] == [2, 3, 4]
    assert [progress.progress for progress in training.seen] == [0.5, 0.75, 1.0]
    assert training.clock.now == 34


def test_speed_is_that_of_training(tmp_path: Path) -> None:
    training = Training(tmp_path / "x.checkpoint")
    _, last = training.trainer.run()
    assert last.images_per_second == pytest.approx(3 / 4)


def test_a_resumed_run_goes_on_with_the_seconds_of_training(tmp_path: Path) -> None:
    stopped = Training(tmp_path / "x.checkpoint", stop_after=1)
    with pytest.raises(TrainingStopped):
        stopped.trainer.run()
    resumed = Training(tmp_path / "x.checkpoint")
    resumed.trainer.run(resume=True)
    assert [progress.elapsed for progress in (*stopped.seen, *resumed.seen)] == [2, 3, 5]


class Following(Team):
    """A process that does not lead, whose leader has trained 2 s more and reported 10 s a step."""

    def highest(self, *values: float) -> list[float]:
        seconds, reporting, *rest = values
        assert reporting == 0, "only the leading process reports"
        waited = 10.0 * (seconds - 2)
        return [seconds + waited + 2, waited, *rest]


def test_a_team_does_not_count_the_reports_of_its_leader(tmp_path: Path) -> None:
    training = Training(tmp_path / "x.checkpoint", Following(rank=1))
    _, last = training.trainer.run()
    assert (last.step, last.elapsed) == (1, 4.0)
    assert training.seen == []


def progress(step: int, *, elapsed: float, validated: bool = True) -> Progress:
    return Progress(
        step=step,
        progress=step / 1000,
        elapsed=elapsed,
        loss=0.1,
        learning_rate=1e-3,
        validation=30.0,
        best=30.0,
        images_per_second=5.0,
        validated=validated,
    )


@pytest.fixture
def curve(tmp_path: Path) -> Path:
    return tmp_path / "net.history.png"


def test_the_curve_is_drawn_at_most_every_30_seconds(tmp_path: Path, curve: Path) -> None:
    history = History(tmp_path / "net.safetensors", resume=False)
    drawn = []
    for step, seconds in enumerate((10, 29.9, 30, 45, 59.9, 60, 200, 229), start=1):
        history(progress(step, elapsed=seconds))
        if curve.exists():
            drawn.append(seconds)
            curve.unlink()
    history.close()
    assert drawn == [30, 60, 200]
    assert curve.exists(), "at the end"


def test_every_row_is_written_at_once_whenever_the_curve_is_drawn(tmp_path: Path) -> None:
    history = History(tmp_path / "net.safetensors", resume=False)
    for step in range(1, 6):
        history(progress(step, elapsed=step))
        lines = (tmp_path / "net.history.csv").read_text().splitlines()
        assert lines[-1] == f"{step},{step},0.1,0.001,30"
        assert len(lines) == 1 + step
