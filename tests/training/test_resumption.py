import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from restore.errors import TrainingError, TrainingStopped
from restore.training.loop import Trainer
from restore.training.recipe import Recipe
from restore.training.resumption import changes_of, touched
from restore.training.schedule import Progress, TrainerConfig
from restore.training.state import load_checkpoint, save_checkpoint, state_of
from restore.training.team import Team

PLAN = TrainerConfig(steps=6, seconds=None, learning_rate=1e-3, optimizer="adam", validations=6)


def trained(
    checkpoint: Path,
    plan: TrainerConfig = PLAN,
    *,
    stop_at: int | None = None,
    resume: bool = False,
    figures: list[float] | None = None,
    **others: Any,
) -> list[Progress]:
    """Train a tiny network; ``figures`` are what its validations find, the last again and again."""
    torch.manual_seed(0)
    reports: list[Progress] = []
    left = list(figures or [])

    def validate(_network: nn.Module) -> float:
        return left.pop(0) if len(left) > 1 else left[0]

    trainer = Trainer(
        nn.Conv2d(1, 1, 3),
        lambda rng: torch.randn(1, 1, 8, 8, generator=rng.host),
        lambda forward, batch: forward(batch).square().mean(),
        plan,
        device=torch.device("cpu"),
        checkpoint=checkpoint,
        recipe={"recipe": {"steps": plan.steps, "patch": 8}},
        report=reports.append,
        validate=validate if figures else None,
        should_stop=lambda: stop_at is not None and bool(reports) and reports[-1].step >= stop_at,
        **others,
    )
    trainer.run(resume=resume)
    return reports


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """The checkpoint of a run that was stopped in the step after the third."""
    with pytest.raises(TrainingStopped):
        trained(tmp_path / "mine.checkpoint", stop_at=3)
    return tmp_path / "mine.checkpoint"


def test_steps_may_grow(checkpoint: Path, caplog: pytest.LogCaptureFixture) -> None:
    reports = trained(checkpoint, replace(PLAN, steps=9), resume=True)
    assert [each.step for each in reports] == [5, 6, 7, 8, 9]
    assert "steps was 6, is now 9: the learning rate goes on along the longer" in caplog.text


def test_steps_may_not_shrink(checkpoint: Path) -> None:
    with pytest.raises(TrainingError, match="another run: steps was 6, is now 5"):
        trained(checkpoint, replace(PLAN, steps=5), resume=True)


@pytest.mark.parametrize("processes", [1, 3])
def test_another_number_of_processes_goes_on(
    checkpoint: Path, caplog: pytest.LogCaptureFixture, processes: int
) -> None:
    state = load_checkpoint(checkpoint)
    state["recipe"]["processes"] = processes
    state["rngs"] = state["rngs"] * processes
    save_checkpoint(checkpoint, state)
    assert trained(checkpoint, resume=True)[-1].step == 6
    said = f"processes was {processes}, is now 1: the batch stays as large"
    assert (said in caplog.text) is (processes != 1)


def test_more_processes_than_before_go_on(checkpoint: Path) -> None:
    trainer: Trainer[Any] = Trainer(
        nn.Conv2d(1, 1, 3),
        lambda _: None,
        lambda _forward, _batch: torch.zeros(()),
        PLAN,
        device=torch.device("cpu"),
        checkpoint=checkpoint,
        recipe={"recipe": {"steps": 6, "patch": 8}},
        team=Team(rank=1, size=1),
    )
    trainer._load()
    assert trainer.step == 4


def test_settings_that_an_older_checkpoint_lacks_are_as_they_were() -> None:
    recipe = {"recipe": {"steps": 6}}
    now = {"recipe": {"steps": 6, "warmup": 100, "weight_decay": None, "early_stop": None}}
    assert changes_of(recipe, now) == []
    now["recipe"]["warmup"] = 7
    with pytest.raises(ValueError, match="warmup was -, is now 7"):
        changes_of(recipe, now)


def test_a_teacher_that_the_other_run_had_not_is_another_run() -> None:
    with pytest.raises(ValueError, match="teacher was -, is now big"):
        changes_of({"recipe": {}}, {"recipe": {}, "teacher": "big"})


def test_pictures_that_changed_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pictures = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in pictures:
        path.write_bytes(b"1")
    checkpoint = tmp_path / "mine.checkpoint"
    with pytest.raises(TrainingStopped):
        trained(checkpoint, stop_at=2, pictures=pictures)
    with pytest.raises(TrainingStopped):
        trained(checkpoint, resume=True, stop_at=3, pictures=pictures)
    assert "changed since" not in caplog.text
    pictures[1].write_bytes(b"22")
    trained(checkpoint, resume=True, pictures=pictures)
    assert f"{pictures[1]} changed since the run was stopped" in caplog.text


@pytest.mark.parametrize("about", [3, None, "text", []])
def test_a_malformed_entry_about_a_picture_counts_as_changed(tmp_path: Path, about: object) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"1")
    (line,) = touched({str(picture): about}, [picture])
    assert f"{picture} changed since" in line
    assert touched({str(picture): list(state_of([picture])[str(picture)])}, [picture]) == []


def test_the_first_validation_comes_before_the_first_step(tmp_path: Path) -> None:
    reports = trained(tmp_path / "mine.checkpoint", figures=[20.0, 21.0])
    assert (reports[0].step, reports[0].validation, reports[0].validated) == (0, 20.0, True)
    assert reports[1].step == 1


def test_a_run_that_does_not_improve_ends_early(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    plan = replace(PLAN, steps=60, validations=60, patience=3)
    figures = [20.0, 21.0, 22.0, 21.0]
    reports = trained(tmp_path / "mine.checkpoint", plan, figures=figures)
    assert reports[-1].step == 6, "three validations after the best, at step 2, and one step"
    assert reports[-1].best == 22.0
    assert "3 validations brought no improvement" in caplog.text


def test_warmup_may_be_left_out() -> None:
    plan = replace(PLAN, warmup=0)
    assert plan.rate(0, 0.0) == pytest.approx(plan.learning_rate)
    assert replace(PLAN, warmup=10).rate(0, 0.0) == pytest.approx(plan.learning_rate / 10)


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_weight_decay_shrinks_the_weights(tmp_path: Path, optimizer: str) -> None:
    def size(decay: float | None) -> float:
        torch.manual_seed(0)
        network = nn.Sequential(*(nn.Conv2d(i, o, 3) for i, o in ((1, 16), (16, 16), (16, 1))))
        trainer: Trainer[torch.Tensor] = Trainer(
            network,
            lambda rng: torch.randn(1, 1, 12, 12, generator=rng.host),
            lambda forward, batch: forward(batch).square().mean(),
            replace(PLAN, optimizer=optimizer, weight_decay=decay, warmup=0),
            device=torch.device("cpu"),
            checkpoint=tmp_path / f"{optimizer}{decay}.checkpoint",
            recipe={},
        )
        trainer.run()
        return sum(float(weight.detach().square().sum()) for weight in network.parameters())

    assert size(50.0) < 0.9 * size(0.0)


@pytest.mark.parametrize("wrong", [{"warmup": -1}, {"weight_decay": -1.0}, {"early_stop": 0}])
def test_recipes_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    from restore.errors import UsageError

    with pytest.raises(UsageError):
        Recipe(steps=3, **wrong)
