"""Training a denoiser: from a folder of pictures to a weight file."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from restore.engine.device import resolve_device, training_dtype
from restore.engine.precision import measured
from restore.errors import OutputExists, UsageError
from restore.metrics import psnr
from restore.models.dncnn import DnCNN
from restore.models.resunet import ResUNet
from restore.training.checkpoint import checkpoint_path
from restore.training.data import Batch
from restore.training.distillation import Distilled
from restore.training.loop import Plan, Progress, run
from restore.training.losses import LOSSES
from restore.training.recipes import DenoiseRecipe
from restore.training.sources import open_source
from restore.weights import Weights, build, load, save_weights

__all__ = ["train_denoiser"]


def train_denoiser(
    recipe: DenoiseRecipe,
    output: Path,
    *,
    clean: Path | None = None,
    pairs: tuple[Path, Path] | None = None,
    start_from: str | Path | None = None,
    teacher: str | Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    report: Callable[[Progress], None] = lambda _: None,
    warn: Callable[[str], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Weights:
    """Train a denoiser and write its weight file.

    Args:
        recipe: what to train and how.
        output: the weight file; the run's checkpoint lies beside it while it trains.
        clean: folder (tree) of clean pictures, to which Gaussian noise is added.
        pairs: instead, folders of noisy and clean pictures with the same relative names.
        start_from: weights to begin with; a shallower DnCNN grows to the recipe's depth, and
            layers of another shape start afresh.
        teacher: weights whose results are learned instead of the clean pictures.
        device: auto, cpu, cuda, cuda:N or mps.
        precision: auto, fp32 or bf16 (autocast).
        resume: continue from the checkpoint.
        overwrite: replace ``output``.
        report: called after every step.
        warn: told one line about everything left out.
        should_stop: asked after every step.

    Raises:
        TrainingError: no usable pictures, a loss that is not finite, a checkpoint of another run.
        TrainingStopped: ``should_stop`` said so.
        OutputExists: ``output`` or a checkpoint is there and may not be replaced.
    """
    checkpoint = checkpoint_path(output)
    _check_outputs(output, checkpoint, resume=resume, overwrite=overwrite)
    target = resolve_device(device)
    torch.manual_seed(recipe.seed)
    network = recipe.network()
    if start_from is not None:
        network = _started_from(network, load(start_from), warn)
    source = open_source(recipe, clean=clean, pairs=pairs, warn=warn)
    provenance: dict[str, Any] = {"recipe": asdict(recipe), "data": source.description}
    if start_from is not None:
        provenance["started_from"] = Path(start_from).stem
    batches = source.batches
    if teacher is not None:
        batches = Distilled(batches, load(teacher), channels=recipe.channels)
        provenance["teacher"] = Path(teacher).stem
    plan = Plan(
        steps=recipe.steps,
        seconds=recipe.seconds,
        learning_rate=recipe.learning_rate,
        ema=recipe.ema,
        precision=training_dtype(precision, target),
        seed=recipe.seed,
    )
    trained, progress = run(
        network,
        batches,
        LOSSES[recipe.loss],
        plan,
        device=target,
        checkpoint=checkpoint,
        resume=resume,
        recipe=_plain(provenance),
        validate=lambda candidate: _validation_psnr(candidate, source.held_out, target),
        report=report,
        should_stop=should_stop,
    )
    provenance |= {
        "steps": progress.step,
        "hours": round(progress.elapsed / 3600, 3),
        "validation_psnr_db": progress.validation_psnr,
        "device": target.type,
        "precision": str(plan.precision).removeprefix("torch."),
    }
    weights = _finished(trained.cpu(), name=output.stem, provenance=_plain(provenance))
    save_weights(weights, output, overwrite=overwrite)
    checkpoint.unlink(missing_ok=True)
    return weights


def _finished(network: nn.Module, *, name: str, provenance: dict[str, Any]) -> Weights:
    """Return a trained denoiser as weights: batch norm folded, precision losses measured."""
    if isinstance(network, DnCNN):
        network = network.fold()
    weights = Weights(
        name=name,
        architecture=type(network).__name__,
        config=network.config,
        task="denoise",
        tensors={key: tensor.float() for key, tensor in network.state_dict().items()},
        provenance=provenance,
    )
    return measured(weights)


def _check_outputs(output: Path, checkpoint: Path, *, resume: bool, overwrite: bool) -> None:
    if output.suffix != ".safetensors":
        raise UsageError(f"{output}: weight files end in .safetensors")
    if not output.parent.is_dir():
        raise UsageError(f"{output.parent}: no such folder")
    if output.exists() and not overwrite:
        raise OutputExists(f"{output}: exists already; use --overwrite to replace it")
    if checkpoint.exists() and not resume and not overwrite:
        raise OutputExists(
            f"{checkpoint}: a stopped run is there; use --resume to continue it "
            "or --overwrite to start again"
        )


def _started_from(
    network: DnCNN | ResUNet, weights: Weights, warn: Callable[[str], None]
) -> DnCNN | ResUNet:
    if weights.architecture != type(network).__name__:
        raise UsageError(
            f"{weights.name} is a {weights.architecture}, not a {type(network).__name__}"
        )
    old = build(weights)
    if isinstance(old, DnCNN) and isinstance(network, DnCNN):
        old = old.deepened(network.config.depth)
    own = network.state_dict()
    fitting = {
        key: tensor for key, tensor in old.state_dict().items()
        if key in own and own[key].shape == tensor.shape
    }  # fmt: skip
    if len(fitting) < len(own):
        warn(f"{len(own) - len(fitting)} of {len(own)} tensors start afresh")
    network.load_state_dict(own | fitting)
    return network.requires_grad_(True)


def _validation_psnr(network: nn.Module, held_out: Sequence[Batch], device: torch.device) -> float:
    """Return the mean PSNR in dB over the held-out pictures, results clamped to [0, 1]."""
    network.eval()
    scores = []
    with torch.inference_mode():
        for batch in held_out:
            result = network(batch.noisy.to(device), batch.sigma.to(device)).clamp(0, 1).cpu()
            scores.append(psnr(result[0].numpy(), batch.clean[0].numpy()))
    return sum(scores) / len(scores)


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """Return ``value`` as it will look after a round trip through JSON."""
    plain: dict[str, Any] = json.loads(json.dumps(value))
    return plain
