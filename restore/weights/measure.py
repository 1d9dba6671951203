"""The loss of half precision: PSNR in dB against float32, measured on real pictures.

``--precision auto`` decides by these figures, so they must not depend on the machine that took
them: half precision is always emulated (see ``restore.weights.half``), at float32 speed.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from restore.errors import UsageError
from restore.image.metrics import psnr_chw
from restore.weights.half import call_rounded
from restore.weights.measurement import Example, crops_for, levels_of, measurement_of
from restore.weights.store import Weights
from restore.weights.task import Task

__all__ = [
    "check_measurable",
    "choose_storage",
    "measure_change",
    "measure_precision_loss",
    "measure_storage_loss",
    "measured",
    "storage_dtype",
]

_DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}
_MAX_STORAGE_LOSS_DB = 0.005

_Run = Callable[..., Tensor]


def measured(
    weights: Weights,
    task: Task,
    pictures: Sequence[Tensor] | None = None,
    *,
    stored: torch.dtype | None = None,
) -> Weights:
    """Return ``weights`` as they should be stored: dtype chosen, precision losses measured.

    The tensors are rounded to the chosen dtype, so that the file holds exactly what was measured.
    Weights that cannot be measured (see ``levels_of``) run in float32.

    Args:
        weights: weights to measure.
        task: task of the weights.
        pictures: as for ``measure_precision_loss``.
        stored: dtype of the tensors in the file; None for ``choose_storage``, and for float32 where
            the weights cannot be measured.

    Raises:
        UsageError: a value lies beyond the range of ``stored``.
    """
    can_be_measured = bool(levels_of(weights, task))
    if stored is None:
        if not can_be_measured:
            return weights
        stored = choose_storage(weights, task, pictures)
    rounded = {key: tensor.to(stored).float() for key, tensor in weights.tensors.items()}
    if not all(torch.isfinite(tensor).all() for tensor in rounded.values()):
        raise UsageError(f"{weights.name}: some of its numbers are too large for {stored}")
    weights = replace(weights, tensors=rounded, stored_dtype=stored)
    if not can_be_measured:
        return weights
    return replace(weights, precision_loss_db=measure_precision_loss(weights, task, pictures))


def storage_dtype(name: str) -> torch.dtype:
    """Return the dtype float32, float16 or bfloat16 by its name.

    Raises:
        UsageError: another name.
    """
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        if str(dtype) == f"torch.{name}":
            return dtype
    raise UsageError(f"dtype {name!r}: use auto, float32, float16 or bfloat16")


def check_measurable(weights: Weights, task: Task) -> None:
    """Check that ``measured`` will have the pictures it needs, before the weights are made.

    Raises:
        WeightsError: the tensors do not fit the architecture.
        UsageError: there are no pictures to measure on, or none as large as the network needs.
        InputError: one of them cannot be read.
    """
    if levels_of(weights, task):
        crops_for(weights, task, weights.build())


def measure_precision_loss(
    weights: Weights,
    task: Task,
    pictures: Sequence[Tensor] | None = None,
    levels: Sequence[float] | None = None,
) -> dict[str, dict[str, float]]:
    """Return the loss of running the network in half precision instead of float32.

    Parameters, inputs and outputs of every layer are rounded, sums are taken in float32, as
    matrix units do; the last subtraction stays in float32, as in our networks' ``forward``.

    Args:
        weights: weights to measure.
        task: task of the weights.
        pictures: clean pictures ``(C, H, W)`` in [0, 1] with the network's channels, H and W
            multiples of ``multiple_for``; None for those of ``measuring_crops``.
        levels: levels of degradation, such as sigma; None for those of the task's measurement.

    Returns:
        ``fp16`` and ``bf16`` -> level -> loss in dB: the PSNR (of ``Example.seen``) in float32
        minus that in half precision, averaged over the pictures.

    Raises:
        WeightsError: the tensors do not fit the architecture.
        UsageError: there are no pictures to measure on, or no way to measure these weights.
    """
    network = weights.build()
    runs = {name: _rounded_run(network, dtype) for name, dtype in _DTYPES.items()}
    return _losses(network, runs, _examples(weights, task, network, pictures, levels))


def measure_storage_loss(
    weights: Weights,
    task: Task,
    pictures: Sequence[Tensor] | None = None,
    levels: Sequence[float] | None = None,
) -> dict[str, float]:
    """Return the loss of storing the tensors in float16, with float32 arithmetic: level -> dB.

    The loss is infinite when a value lies beyond the range of float16. Arguments and errors are
    those of ``measure_precision_loss``.
    """
    rounded = {key: tensor.half().float() for key, tensor in weights.tensors.items()}
    if not all(torch.isfinite(tensor).all() for tensor in rounded.values()):
        return dict.fromkeys(levels_of(weights, task, levels), math.inf)
    return measure_change(weights, replace(weights, tensors=rounded), task, pictures, levels)


def measure_change(
    before: Weights,
    after: Weights,
    task: Task,
    pictures: Sequence[Tensor] | None = None,
    levels: Sequence[float] | None = None,
) -> dict[str, float]:
    """Return the loss of ``after`` against ``before``, both in float32: level -> dB.

    Both have the same architecture. Other arguments and errors are those of
    ``measure_precision_loss``.
    """
    network = before.build()
    examples = _examples(before, task, network, pictures, levels)
    return _losses(network, {"after": after.build()}, examples)["after"]


def choose_storage(
    weights: Weights, task: Task, pictures: Sequence[Tensor] | None = None
) -> torch.dtype:
    """Return float16 where storing in it costs less than 0.005 dB at every level, else float32."""
    losses = measure_storage_loss(weights, task, pictures)
    is_small = max(losses.values()) < _MAX_STORAGE_LOSS_DB
    return torch.float16 if is_small else torch.float32


def _examples(
    weights: Weights,
    task: Task,
    network: nn.Module,
    pictures: Sequence[Tensor] | None,
    levels: Sequence[float] | None,
) -> dict[str, list[Example]]:
    """Return the same pictures at every level."""
    measurement = measurement_of(weights, task)
    if pictures is None:
        pictures = crops_for(weights, task, network)
    if not pictures:
        raise UsageError("no pictures to measure on")
    return {
        measurement.name_of(level): [
            measurement.example(weights, clean, level, seed) for seed, clean in enumerate(pictures)
        ]
        for level in levels or measurement.levels
    }


def _rounded_run(network: nn.Module, dtype: torch.dtype) -> _Run:
    return lambda *inputs: call_rounded(network, dtype, *inputs)


def _losses(
    network: nn.Module,
    runs: dict[str, _Run] | dict[str, nn.Module],
    examples: dict[str, list[Example]],
) -> dict[str, dict[str, float]]:
    """Return how much lower the PSNR of each of ``runs`` is than that of ``network``, in dB."""
    losses: dict[str, dict[str, float]] = {name: {} for name in runs}
    with torch.inference_mode():
        for level, at_level in examples.items():
            exact = [_psnr(network, example) for example in at_level]
            for name, run in runs.items():
                coarse = [_psnr(run, example) for example in at_level]
                losses[name][level] = round((sum(exact) - sum(coarse)) / len(exact), 5) + 0.0
    return losses


def _psnr(run: _Run | nn.Module, example: Example) -> float:
    # An overflow must show as a large loss: a NaN would pass as a small one in comparisons.
    result = torch.nan_to_num(run(*example.inputs)[0], nan=0.0)
    return psnr_chw(example.seen(result).clamp(0, 1).numpy(), example.seen(example.clean).numpy())
