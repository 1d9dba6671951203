"""The training recipe of a network, which is stored with its weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any, ClassVar, Self, get_args, get_origin

from restore.arguments import argument
from restore.checks import LARGEST_SEED
from restore.errors import UsageError
from restore.training.optimizers import OPTIMIZERS
from restore.training.schedule import SCHEDULES
from restore.weights.file import WeightFile

__all__ = ["Recipe"]

_MOST_STEPS = 10**9
_LONGEST_S = 10 * 365 * 86400.0
_LARGEST_BATCH = 65_536
_LARGEST_PATCH = 4096
_MOST_LEVELS, _MOST_CHANNELS = 8, 2048


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings that the recipes of all tasks share.

    Attributes:
        patch: side of the training crops in pixels.
        batch: crops per step, over all processes and accumulated parts.
        accumulate: number of parts that a batch is split into, to save memory.
        optimizer: muon or adam.
        learning_rate: peak learning rate of the schedule.
        schedule: cosine or step.
        warmup: steps in which the learning rate rises.
        weight_decay: share of the weights that a step of learning rate 1 removes; None for the
            optimiser's own, 0.3 of muon's kernels and nothing of all else.
        early_stop: validations, of 20 in the whole run, without an improvement after which it ends;
            None for none.
        steps: optimiser steps, or None when ``seconds`` decides.
        seconds: training time, or None.
        ema: decay of the averaged weights.
        seed: seed of all random generators.
    """

    arguments: ClassVar[Mapping[str, str]] = {"seconds": "time"}
    """Settings that callers give by other names."""
    least_steps: ClassVar[int] = 1

    patch: int = 64
    batch: int = 16
    accumulate: int = 1
    optimizer: str = "muon"
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    warmup: int = 100
    weight_decay: float | None = None
    early_stop: int | None = None
    steps: int | None = None
    seconds: float | None = None
    ema: float = 0.999
    seed: int = 0

    @classmethod
    def filled(cls, given: Mapping[str, Any], _start: WeightFile | None = None) -> Self:
        """Return the recipe of some settings; what is not given suits the network.

        Args:
            given: settings by the names of their fields. Lists serve as tuples, and so does a
                single value: a range of one number, one width, one kind of noise.
            _start: weights that the training starts from, if any.

        Raises:
            UsageError: a setting that this recipe does not have, or an invalid value.
        """
        kinds = {field.name: field.type for field in fields(cls)}
        for name in given.keys() - kinds.keys():
            close = get_close_matches(name, kinds, 1)
            advice = f"did you mean {close[0]}?" if close else f"it has {', '.join(sorted(kinds))}"
            raise UsageError(f"{name}: {cls.__name__} has no such setting; {advice}")
        return cls(**{name: _checked(name, kinds[name], value) for name, value in given.items()})

    def __post_init__(self) -> None:
        """Refuse invalid settings."""
        if (self.steps is None) == (self.seconds is None):
            raise UsageError(f"give either {argument('steps')}, or {argument('time')}, as in 2h")
        self.check(
            {
                "steps": (
                    self.steps is None or self.least_steps <= self.steps <= _MOST_STEPS,
                    f"give a number from {self.least_steps} to {_MOST_STEPS:,}",
                ),
                "seconds": (
                    self.seconds is None or 0 < self.seconds <= _LONGEST_S,
                    "give a time above 0, of at most ten years",
                ),
                "optimizer": (self.optimizer in OPTIMIZERS, f"use {' or '.join(OPTIMIZERS)}"),
                "learning_rate": (0 < self.learning_rate <= 10, "give a number above 0, up to 10"),
                "schedule": (self.schedule in SCHEDULES, f"use {' or '.join(SCHEDULES)}"),
                "warmup": (
                    0 <= self.warmup <= _MOST_STEPS,
                    f"give a number from 0 to {_MOST_STEPS:,}",
                ),
                "weight_decay": (
                    self.weight_decay is None or 0 <= self.weight_decay <= 1000,
                    "give a number from 0 to 1000",
                ),
                "early_stop": (
                    self.early_stop is None or self.early_stop >= 1,
                    "give a number from 1 on",
                ),
                "batch": (
                    1 <= self.batch <= _LARGEST_BATCH,
                    f"give a number from 1 to {_LARGEST_BATCH:,}",
                ),
                "accumulate": (
                    1 <= self.accumulate <= self.batch,
                    "give a number from 1 to the batch",
                ),
                "patch": (
                    16 <= self.patch <= _LARGEST_PATCH,
                    f"give a side from 16 to {_LARGEST_PATCH} pixels",
                ),
                "seed": (
                    0 <= self.seed <= LARGEST_SEED,
                    f"give a number from 0 to {LARGEST_SEED}",
                ),
                "ema": (0 <= self.ema < 1, "give a number from 0 on, below 1"),
            }
        )

    def check_widths(self, widths: tuple[int, ...], name: str = "widths") -> None:
        """Raise a UsageError where the feature channels of a network's levels are out of range.

        Args:
            widths: Feature channels of each level.
            name: Name of the setting.
        """
        if len(widths) > _MOST_LEVELS:
            raise UsageError(f"{argument(name)}: give at most {_MOST_LEVELS} levels")
        if not all(1 <= width <= _MOST_CHANNELS for width in widths):
            raise UsageError(f"{argument(name)}: give numbers from 1 to {_MOST_CHANNELS}")

    def check_patch(self, step: int, network: object) -> None:
        """Raise a UsageError where crops do not suit a network: their side is a multiple."""
        self.check(
            {
                "patch": (
                    self.patch % step == 0,
                    f"give a multiple of {step} for this {type(network).__name__}",
                )
            }
        )

    def check(self, rules: Mapping[str, tuple[bool, str]]) -> None:
        """Refuse a setting that breaks a rule.

        Args:
            rules: whether each of some settings is valid, by its name, and what to give instead.

        Raises:
            UsageError: names the first that is not, as the caller gave it.
        """
        for name, (is_valid, advice) in rules.items():
            if not is_valid:
                given = argument(self.arguments.get(name, name))
                raise UsageError(f"{given} {_shown(getattr(self, name))}".rstrip() + f": {advice}")


def _shown(value: Any) -> str:
    """Return a setting as it would be given, nothing for an empty list."""
    if isinstance(value, tuple):
        return ":".join(map(_shown, value))
    return f"{value:g}" if isinstance(value, float) else f"{value!r:.80}"


def _checked(name: str, kind: Any, value: Any) -> Any:
    """Return a value in the type of its field.

    Raises:
        UsageError: it has another type.
    """
    if get_origin(kind) is tuple:
        of = get_args(kind)
        listed = value if isinstance(value, Sequence) and not isinstance(value, str) else None
        if listed is None:
            listed = [value] if of[-1] is Ellipsis else [value] * len(of)
        if of[-1] is not Ellipsis and len(listed) != len(of):
            raise UsageError(f"{name} {value!r:.80}: give a range, as in (low, high)")
        return tuple(_checked(name, of[0], each) for each in listed)
    allowed = get_args(kind) or (kind,)
    for each in allowed:
        if _is_a(value, each):
            # NumPy's numbers cannot be stored with the weights.
            return each(value) if each in (int, float) else value
    names = " or ".join(getattr(each, "__name__", str(each)) for each in allowed)
    raise UsageError(f"{name} {value!r:.80}: give {names.replace('NoneType', 'None')}")


def _is_a(value: object, kind: Any) -> bool:
    if kind in (int, float):
        number = Integral if kind is int else Real
        return isinstance(value, number) and not isinstance(value, bool)
    return isinstance(value, kind)
