import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from restore.errors import TrainingError, TrainingStopped
from restore.models.dncnn import DnCNN, DnCNNConfig
from restore.training.data import Batch, GaussianNoise, RandomCrops
from restore.training.loop import Plan, Progress, run

RECIPE = {"network": "tiny"}


def pictures() -> list[torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    ramps = [torch.linspace(0, 255, 40).expand(40, 40).T, torch.linspace(255, 0, 40).expand(40, 40)]
    noise = torch.rand((40, 40), generator=rng) * 20
    return [(ramp * 0.9 + noise).to(torch.uint8)[None] for ramp in ramps]


def train(
    checkpoint: Path,
    plan: Plan,
    *,
    stop_after: int | None = None,
    resume: bool = False,
    report: Callable[[Progress], None] | None = None,
    loss: Callable[..., torch.Tensor] = F.l1_loss,
    recipe: dict[str, Any] = RECIPE,
) -> tuple[nn.Module, Progress]:
    torch.manual_seed(0)
    steps: list[int] = []

    def note(progress: Progress) -> None:
        steps.append(progress.step)
        if report:
            report(progress)

    return run(
        DnCNN(DnCNNConfig(channels=1, depth=3, width=8)),
        GaussianNoise(RandomCrops(pictures(), patch=16, batch=4), sigma_range=(0.1, 0.2)),
        loss,
        plan,
        device=torch.device("cpu"),
        checkpoint=checkpoint,
        resume=resume,
        recipe=recipe,
        report=note,
        should_stop=lambda: stop_after is not None and steps[-1] >= stop_after,
    )


PLAN = Plan(steps=30, seconds=None, learning_rate=1e-3, warmup=5)


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    losses: list[float] = []
    plan = replace(PLAN, steps=200, learning_rate=3e-3)
    train(tmp_path / "run.checkpoint", plan, report=lambda p: losses.append(p.loss))
    assert losses[-1] < 0.7 * losses[0]


def test_resumed_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole, _ = train(tmp_path / "whole.checkpoint", PLAN)
    with pytest.raises(TrainingStopped, match="--resume"):
        train(tmp_path / "parts.checkpoint", PLAN, stop_after=11)
    parts, progress = train(tmp_path / "parts.checkpoint", PLAN, resume=True)
    assert progress.step == 30
    for key, tensor in whole.state_dict().items():
        assert torch.equal(tensor, parts.state_dict()[key]), key


def test_resume_refuses_another_recipe(tmp_path: Path) -> None:
    checkpoint = tmp_path / "run.checkpoint"
    with pytest.raises(TrainingStopped):
        train(checkpoint, PLAN, stop_after=3)
    with pytest.raises(TrainingError, match="network was tiny, is now large"):
        train(checkpoint, PLAN, resume=True, recipe={"network": "large"})


def test_resume_without_checkpoint_says_so(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no checkpoint"):
        train(tmp_path / "none.checkpoint", PLAN, resume=True)


def test_garbage_checkpoint_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "run.checkpoint"
    checkpoint.write_bytes(b"not a checkpoint")
    with pytest.raises(TrainingError, match="not a checkpoint"):
        train(checkpoint, PLAN, resume=True)


def test_stops_when_the_loss_is_not_finite(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="not finite after 0 steps"):
        train(tmp_path / "run.checkpoint", PLAN, loss=lambda x, y: F.l1_loss(x, y) * math.nan)


def test_result_is_the_average_of_the_weights(tmp_path: Path) -> None:
    live, averaged = (
        train(tmp_path / f"{ema}.checkpoint", replace(PLAN, ema=ema))[0] for ema in (0.0, 0.9)
    )
    first, second = (network.state_dict()["convs.1.weight"] for network in (live, averaged))
    assert not torch.equal(first, second)
    torch.testing.assert_close(first, second, rtol=0, atol=0.02)


def test_time_ends_the_schedule() -> None:
    plan = Plan(steps=None, seconds=100.0, learning_rate=1.0, warmup=1)
    assert plan.progress(7, 50.0) == 0.5
    assert plan.progress(7, 200.0) == 1.0
    assert plan.rate(50, 0.0) == 1.0
    assert plan.rate(50, 0.5) == pytest.approx(0.505)
    assert plan.rate(50, 1.0) == pytest.approx(0.01)


def test_rate_warms_up() -> None:
    plan = Plan(steps=1000, seconds=None, learning_rate=1.0, warmup=10)
    assert plan.rate(0, 0.0) == pytest.approx(0.1)
    assert plan.rate(9, 0.0) == pytest.approx(1.0)


def test_validation_is_reported(tmp_path: Path) -> None:
    seen: list[float | None] = []
    torch.manual_seed(0)
    run(
        DnCNN(DnCNNConfig(channels=1, depth=3, width=8)),
        lambda rng, _: Batch(
            noisy=torch.rand((2, 1, 8, 8), generator=rng),
            clean=torch.zeros(2, 1, 8, 8),
            sigma=torch.zeros(2),
        ),
        F.l1_loss,
        replace(PLAN, steps=10, validations=2),
        device=torch.device("cpu"),
        checkpoint=tmp_path / "run.checkpoint",
        recipe=RECIPE,
        validate=lambda network: 30.0 + sum(1 for _ in network.parameters()),
        report=lambda progress: seen.append(progress.validation_psnr),
    )
    assert seen[0] is None
    assert seen[4:] == [36.0] * 6
