"""A damaged checkpoint is refused in one line; it is never resumed from, and never a traceback."""

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from restore.errors import TrainingError, TrainingStopped
from restore.training.loop import Trainer
from restore.training.schedule import TrainerConfig
from restore.training.state import load_checkpoint, save_checkpoint


def trainer(checkpoint: Path, *, should_stop: Callable[[], bool] = lambda: False) -> Trainer[Any]:
    torch.manual_seed(0)
    return Trainer(
        nn.Sequential(*(nn.Conv2d(i, o, 3) for i, o in ((1, 16), (16, 16), (16, 1)))),
        lambda rng: torch.randn(1, 1, 8, 8, generator=rng.host),
        lambda forward, batch: forward(batch).square().mean(),
        TrainerConfig(steps=3, seconds=None, learning_rate=1e-3, optimizer="muon"),
        device=torch.device("cpu"),
        checkpoint=checkpoint,
        recipe={"patch": 8},
        validate=lambda _: 30.0,
        should_stop=should_stop,
    )


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """The checkpoint of a run that was stopped after a step."""
    path = tmp_path / "mine.checkpoint"
    with pytest.raises(TrainingStopped):
        trainer(path, should_stop=lambda: True).run()
    return path


def is_same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(is_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(is_same, one, other))
    return bool(one == other)


def damaged(whole: bytes, dice: random.Random) -> bytes:
    data = bytearray(whole)
    place, length = dice.randrange(len(data)), dice.choice([1, 64, 4096])
    kind = dice.randrange(3)
    if kind == 0:
        return bytes(data[:place])
    if kind == 1:
        data[place] ^= 1 << dice.randrange(8)
    else:
        data[place : place + length] = bytes(len(data[place : place + length]))
    return bytes(data)


def test_damage_is_found_wherever_it_is(checkpoint: Path) -> None:
    whole, state = checkpoint.read_bytes(), load_checkpoint(checkpoint)
    dice = random.Random(0)
    refused = 0
    for _ in range(150):
        checkpoint.write_bytes(damaged(whole, dice))
        try:
            assert is_same(load_checkpoint(checkpoint), state)  # damage in a gap
        except TrainingError:
            refused += 1
    assert refused > 120


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("step",), "2"),
        (("loss",), None),
        (("psnr",), []),
        (("rngs",), []),
        (("rngs",), [[torch.zeros(3)] * 2]),
        (("network",), {}),
        (("average", "0.weight"), torch.zeros(2)),
        (("best",), {"0.weight": torch.zeros(2)}),
        (("recipe",), 7),
        (("optimizer",), {}),
        (("optimizer", "0", "state", 0, "exp_avg"), torch.zeros(2)),
        (("optimizer", "0", "state", 0, "step"), torch.zeros(2)),
        (("optimizer", "0", "state", 0), {"step": torch.ones(())}),
        (("optimizer", "1", "state", 0, "momentum"), torch.zeros(2)),
        (("optimizer", "1", "state", 0, "input_mean"), torch.zeros(2)),
    ],
    ids=str,
)
def test_a_state_of_something_else_is_refused_before_a_step(
    checkpoint: Path, path: tuple[Any, ...], value: Any
) -> None:
    state = load_checkpoint(checkpoint)
    place = state
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    save_checkpoint(checkpoint, state)
    with pytest.raises(TrainingError):
        trainer(checkpoint).run(resume=True)


def test_the_settings_of_the_optimisers_are_the_recipes(checkpoint: Path) -> None:
    state = load_checkpoint(checkpoint)
    state["optimizer"]["0"]["param_groups"][0]["betas"] = "none"
    save_checkpoint(checkpoint, state)
    _, progress = trainer(checkpoint).run(resume=True)
    assert progress.step == 3
