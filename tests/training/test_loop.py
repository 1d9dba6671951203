import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from restore.denoise.crops import Batch
from restore.denoise.degradations import Degraded, Gaussian
from restore.errors import TrainingError, TrainingStopped, UsageError
from restore.models.dncnn import DnCNN, DnCNNConfig
from restore.training.crops import RandomCrops
from restore.training.loop import Forward, Trainer
from restore.training.schedule import Progress, TrainerConfig
from restore.training.state import Randomness

RECIPE = {"network": "tiny"}


def pictures() -> list[torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    ramps = [torch.linspace(0, 255, 40).expand(40, 40).T, torch.linspace(255, 0, 40).expand(40, 40)]
    noise = torch.rand((40, 40), generator=rng) * 20
    return [(ramp * 0.9 + noise).to(torch.uint8)[None] for ramp in ramps]


def train(
    checkpoint: Path,
    plan: TrainerConfig,
    *,
    stop_after: int | None = None,
    resume: bool = False,
    report: Callable[[Progress], None] | None = None,
    loss: Callable[..., torch.Tensor] = F.l1_loss,
    recipe: dict[str, Any] = RECIPE,
    batch: int = 4,
    **others: Any,
) -> tuple[nn.Module, Progress]:
    torch.manual_seed(0)
    steps: list[int] = []

    def note(progress: Progress) -> None:
        steps.append(progress.step)
        if report:
            report(progress)

    def objective(forward: Forward, examples: Batch) -> torch.Tensor:
        return loss(forward(examples.noisy, examples.sigma), examples.clean)

    crops = RandomCrops(pictures(), patch=16, batch=batch)
    trainer = Trainer(
        DnCNN(DnCNNConfig(channels=1, depth=3, width=8)),
        Degraded(crops, [Gaussian(0.1, 0.2)]),
        objective,
        plan,
        device=torch.device("cpu"),
        checkpoint=checkpoint,
        recipe=recipe,
        report=note,
        should_stop=lambda: stop_after is not None and len(steps) > 0 and steps[-1] >= stop_after,
        **others,
    )
    return trainer.run(resume=resume)


PLAN = TrainerConfig(steps=30, seconds=None, learning_rate=1e-3, warmup=5)


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    losses: list[float] = []
    plan = replace(PLAN, steps=200, learning_rate=3e-3)
    train(tmp_path / "run.checkpoint", plan, report=lambda p: losses.append(p.loss))
    assert losses[-1] < 0.7 * losses[0]


def test_resumed_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole, _ = train(tmp_path / "whole.checkpoint", PLAN)
    with pytest.raises(TrainingStopped, match="continue with resume=True"):
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


def test_resume_names_only_the_settings_that_differ(tmp_path: Path) -> None:
    checkpoint = tmp_path / "run.checkpoint"
    before = {"recipe": {"patch": 48, "loss": "l1", "extra": None}, "teacher": "big"}
    with pytest.raises(TrainingStopped):
        train(checkpoint, PLAN, stop_after=3, recipe=before)
    after = {"recipe": {"patch": 64, "loss": "l1"}}
    with pytest.raises(
        TrainingError,
        match=r"run: patch was 48, is now 64, extra was None, is now -, teacher was big, is now -$",
    ):
        train(checkpoint, PLAN, resume=True, recipe=after)


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
    plan = TrainerConfig(steps=None, seconds=100.0, learning_rate=1.0, warmup=1)
    assert plan.progress(7, 50.0) == 0.5
    assert plan.progress(7, 200.0) == 1.0
    assert plan.rate(50, 0.0) == 1.0
    assert plan.rate(50, 0.5) == pytest.approx(0.505)
    assert plan.rate(50, 1.0) == pytest.approx(0.01)


def test_rate_warms_up() -> None:
    plan = TrainerConfig(steps=1000, seconds=None, learning_rate=1.0, warmup=10)
    assert plan.rate(0, 0.0) == pytest.approx(0.1)
    assert plan.rate(9, 0.0) == pytest.approx(1.0)


def test_best_validation_is_the_result(tmp_path: Path) -> None:
    """The third of five validations is the best; its weights come back, not the last ones."""
    seen: list[Progress] = []
    judged: list[dict[str, torch.Tensor]] = []
    kept: list[int] = []
    scores = iter([28.0, 30.0, 32.0, 31.0, 29.0])

    def validate(network: nn.Module) -> float:
        judged.append({key: value.clone() for key, value in network.state_dict().items()})
        return next(scores)

    result, last = train(
        tmp_path / "run.checkpoint",
        replace(PLAN, steps=8, validations=4),
        validate=validate,
        keep=lambda _: kept.append(len(judged)),
        report=seen.append,
    )
    assert [p.validation for p in seen] == [28.0, 28.0, 30.0, 30.0, 32.0, 32.0, 31.0, 31.0, 29.0]
    assert [p.validated for p in seen] == [True, *[False, True] * 4]
    assert kept == [1, 2, 3]
    assert (last.validation, last.best) == (29.0, 32.0)
    for key, tensor in result.state_dict().items():
        assert torch.equal(tensor, judged[2][key]), key


def test_best_weights_survive_a_stop(tmp_path: Path) -> None:
    checkpoint, plan = tmp_path / "run.checkpoint", replace(PLAN, steps=8, validations=4)
    with pytest.raises(TrainingStopped):
        train(checkpoint, plan, stop_after=3, validate=lambda _: 40.0)
    _, last = train(checkpoint, plan, resume=True, validate=lambda _: 20.0)
    assert (last.validation, last.best) == (20.0, 40.0)


def test_accumulated_parts_equal_one_batch(tmp_path: Path) -> None:
    """The mean gradient of two batches is that of both together, up to the order of sums."""
    drawn: list[Batch] = []

    def remember(rng: Any) -> Batch:
        drawn.append(source(rng))
        return drawn[-1]

    source = Degraded(RandomCrops(pictures(), patch=16, batch=4), [Gaussian(0.1, 0.2)])
    plan = replace(PLAN, steps=1, ema=0.0, warmup=1)
    results = []
    for batches, accumulate in ((remember, 2), (lambda _: _joined(drawn[:2]), 1)):
        torch.manual_seed(0)
        trainer = Trainer(
            DnCNN(DnCNNConfig(channels=1, depth=3, width=8)),
            batches,
            lambda forward, batch: F.mse_loss(forward(batch.noisy, batch.sigma), batch.clean),
            replace(plan, accumulate=accumulate),
            device=torch.device("cpu"),
            checkpoint=tmp_path / "run.checkpoint",
            recipe=RECIPE,
        )
        trainer.run()
        results.append([p.grad.clone() for p in trainer.network.parameters()])
    for parts, whole in zip(*results, strict=True):
        torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-7)


def _joined(batches: list[Batch]) -> Batch:
    return Batch(
        **{
            name: torch.cat([getattr(batch, name) for batch in batches])
            for name in ("noisy", "clean", "sigma")
        }
    )


def test_step_schedule_falls_twice() -> None:
    plan = TrainerConfig(steps=100, seconds=None, learning_rate=1.0, schedule="step", warmup=1)
    assert [plan.rate(50, share) for share in (0.0, 0.59, 0.6, 0.89, 0.9, 1.0)] == [
        1.0, 1.0, 0.1, 0.1, 0.01, 0.01
    ]  # fmt: skip


def resting(
    checkpoint: Path, *, stop_after: int | None = None
) -> tuple[Trainer[Batch], list[float]]:
    """Return a trainer whose last layer rests for half of 60 steps, and how far it has moved."""
    torch.manual_seed(0)
    network = DnCNN(DnCNNConfig(channels=1, depth=3, width=8))
    last = next(iter(network.convs[-1].parameters()))
    start = last.detach().clone()
    moved: list[float] = []

    def objective(forward: Forward, examples: Batch) -> torch.Tensor:
        moved.append(float((last.detach() - start).abs().max()))
        return F.l1_loss(forward(examples.noisy, examples.sigma), examples.clean)

    trainer = Trainer(
        network,
        Degraded(RandomCrops(pictures(), patch=16, batch=4), [Gaussian(0.1, 0.2)]),
        objective,
        replace(PLAN, steps=60, schedule="step"),
        device=torch.device("cpu"),
        checkpoint=checkpoint,
        recipe=RECIPE,
        pace=lambda progress: (last,) if progress < 0.5 else (),
        should_stop=lambda: stop_after is not None and len(moved) >= stop_after,
    )
    return trainer, moved


def test_what_rests_begins_as_if_training_began(tmp_path: Path) -> None:
    """The first steps of Adam are as long as the rate, unless it has counted others before."""
    trainer, moved = resting(tmp_path / "x.checkpoint")
    trainer.run()
    assert moved[30] == 0
    assert moved[31] == pytest.approx(1e-3, rel=0.01)


@pytest.mark.parametrize("stop_after", [20, 40])
def test_what_rests_does_the_same_after_a_stop(tmp_path: Path, stop_after: int) -> None:
    whole = resting(tmp_path / "whole.checkpoint")[0].run()[0]
    with pytest.raises(TrainingStopped):
        resting(tmp_path / "parts.checkpoint", stop_after=stop_after)[0].run()
    parts = resting(tmp_path / "parts.checkpoint")[0].run(resume=True)[0]
    for key, tensor in whole.state_dict().items():
        assert torch.equal(tensor, parts.state_dict()[key]), key


def test_the_result_is_the_average_of_the_weights_on_the_way(tmp_path: Path) -> None:
    """Of the exponential kind, which forgets the start quickly while it is young."""
    moments: list[list[torch.Tensor]] = []
    networks: list[nn.Module] = []

    def disturb(network: nn.Module, _: Randomness) -> None:
        networks.append(network)
        moments.append([each.detach().clone() for each in network.parameters()])

    def note(_: Progress) -> None:
        moments.append([each.detach().clone() for each in networks[0].parameters()])

    plan = replace(PLAN, steps=20, ema=0.6, learning_rate=3e-3)
    average, _ = train(tmp_path / "run.checkpoint", plan, report=note, disturb=disturb)
    expected = moments[0]
    for step, newest in enumerate(moments[1:]):
        decay = min(0.6, (1 + step) / (10 + step))
        expected = [
            decay * old + (1 - decay) * new for old, new in zip(expected, newest, strict=True)
        ]
    for one, other in zip(average.parameters(), expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=0)


def test_gradients_are_clipped(tmp_path: Path) -> None:
    networks: list[nn.Module] = []
    norms: list[float] = []

    def note(_: Progress) -> None:
        gradients = [each.grad for each in networks[0].parameters() if each.grad is not None]
        norms.append(float(torch.linalg.vector_norm(torch.cat([g.flatten() for g in gradients]))))

    def steep(result: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        return 1e6 * F.l1_loss(result, clean)

    plan = replace(PLAN, steps=3, gradient_norm=0.5)
    train(
        tmp_path / "run.checkpoint",
        plan,
        report=note,
        loss=steep,
        disturb=lambda network, _: networks.append(network),
    )
    assert norms == pytest.approx([0.5] * 3, rel=1e-3)


def test_a_run_without_a_checkpoint_learns_from_pairs_and_cannot_be_resumed() -> None:
    torch.manual_seed(0)
    network = nn.Conv2d(1, 1, 1)

    def pairs(randomness: Randomness) -> tuple[torch.Tensor, torch.Tensor]:
        given = torch.rand(4, 1, 8, 8, generator=randomness.host)
        return given, 1 - given

    def trainer(*, stop: bool) -> Trainer[Any]:
        plan = TrainerConfig(steps=40, learning_rate=0.1, warmup=1)
        return Trainer(network, pairs, plan=plan, should_stop=lambda: stop)

    trainer(stop=False).run()
    learned = [network.weight.item(), network.bias.item()]  # type: ignore[union-attr]
    assert learned == pytest.approx([-1, 1], abs=0.05)
    with pytest.raises(TrainingStopped) as stopped:
        trainer(stop=True).run()
    assert str(stopped.value) == "stopped after 1 step"
    with pytest.raises(UsageError, match="resume=True: this run has no checkpoint"):
        trainer(stop=False).run(resume=True)
