"""The state dicts in a checkpoint, which training programs wrap in many ways."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from restore.arguments import argument
from restore.errors import UsageError, WeightsError, one_line
from restore.weights.header import MOST_TENSORS, MOST_VALUES

__all__ = ["StateDict", "state_dicts"]

_DEEPEST = 4
_MOST_CANDIDATES = 256
_MOST_FOREIGN_VALUES = 1 << 28
"""Of networks that are not ours; the largest NAFNet has 116 million."""
_AVERAGED = re.compile(r"(.*_|.*\.)?(ema|swa|averaged?)(_.*|\d*)|.*[a-z](Ema|EMA)", re.IGNORECASE)
_KNOWN = (
    "state_dict", "model_state_dict", "params", "net", "netG", "net_g", "generator", "G",
    "denoiser", "network", "weights", "model", "module", "_orig_mod", "student",
)  # fmt: skip
"""Names of what is taken first where there are several; averaged weights before all of them."""
_OTHERS = re.compile(r"optim|sched|scaler|loss|criterion|discriminator|net_?d$", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class StateDict:
    """Tensors by name, and where in the file they are.

    Attributes:
        place: keys and prefixes that lead to it, as in ``params_ema``; empty for the whole file.
        is_averaged: whether these are averaged weights, by their name.
        others: names of what lies beside it and could have been taken.
        stored: values as they are stored.
    """

    place: str
    is_averaged: bool
    others: tuple[str, ...]
    stored: Mapping[str, Any]

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors, float32 and finite, without counters.

        Raises:
            WeightsError: too many, or something other than dense floating-point tensors.
        """
        return {
            key: _as_float(key, value)
            for key, value in self._checked(MOST_VALUES).items()
            if not _is_counter(key, value)
        }

    def entries(self) -> dict[str, Tensor]:
        """Return the tensors as they are stored, also integers and counters.

        Raises:
            WeightsError: too many, or something other than dense tensors.
        """
        return self._checked(_MOST_FOREIGN_VALUES)

    def _checked(self, most_values: int) -> dict[str, Tensor]:
        if len(self.stored) > MOST_TENSORS:
            raise WeightsError(f"{len(self.stored):,} tensors; at most {MOST_TENSORS:,} are read")
        tensors = {}
        values = 0
        for key, value in self.stored.items():
            is_number = not isinstance(value, Tensor) or value.ndim == 0
            if is_number and "." not in key:
                continue  # what a program stores beside the network, such as a count
            # Many tensors can share their bytes, which copies do not.
            values += value.numel() if _is_plain(value) else 0
            if values > most_values:
                raise WeightsError(f"more than {most_values:,} values")
            tensors[key] = _dense(key, value)
        return tensors


def state_dicts(value: Any, member: str | None = None) -> list[StateDict]:
    """Return the state dicts in a checkpoint, also without the prefixes of their names.

    Averaged weights come first, then what is usually the network.

    Args:
        value: what ``read_checkpoint`` returned.
        member: name of one of several networks of a file; or, of the 25 networks of IRCNN, the
            noise level in 0..255 that it is for.

    Raises:
        UsageError: the file holds several networks and ``member`` is none of them; or it holds one.
        WeightsError: there is none.
    """
    members = _members_of(value)
    if members:
        value = _chosen(members, member)
    elif member is not None:
        raise UsageError(
            f"holds a single network, not several: leave out {argument('member', member)}"
        )
    if not isinstance(value, Mapping) or not value:
        kind = "" if isinstance(value, Mapping) else f" but a {type(value).__name__.strip('_')}"
        raise WeightsError(f"holds no state dict{kind}")
    found = list(islice(_found(value), _MOST_CANDIDATES))
    if not found:
        names = all(isinstance(key, str) for key in value)
        reason = "it has no tensors by name" if names else "its keys are not names"
        raise WeightsError(f"holds no state dict: {reason}")
    return found


def _found(value: Mapping[Any, Any]) -> Iterator[StateDict]:
    for wrapped in _wrapped(StateDict(place="", is_averaged=False, others=(), stored=value), 0):
        yield from _prefixed(wrapped, 0)


def _wrapped(outer: StateDict, depth: int) -> Iterator[StateDict]:
    """Yield the mappings with tensors in a mapping, and the mapping itself if it has any."""
    inner = {
        key: value
        for key, value in outer.stored.items()
        if isinstance(key, str) and isinstance(value, Mapping) and not _OTHERS.search(key)
    }
    own = {
        key: value
        for key, value in outer.stored.items()
        if isinstance(key, str) and not isinstance(value, Mapping)
    }
    if any(isinstance(value, Tensor) for value in own.values()):
        yield replace(outer, stored=own)
    if depth < _DEEPEST:
        for each in _parts(outer, inner):
            yield from _wrapped(each, depth + 1)


def _prefixed(whole: StateDict, depth: int) -> Iterator[StateDict]:
    """Yield a state dict, and what remains of it without the prefixes of its names."""
    yield whole
    groups: dict[str, dict[str, Any]] = {}
    for key, value in whole.stored.items():
        prefix, dot, name = key.partition(".")
        if dot and not prefix.isdigit() and not _OTHERS.search(prefix):
            groups.setdefault(prefix, {})[name] = value
    if depth < _DEEPEST:
        for each in _parts(whole, groups):
            yield from _prefixed(each, depth + 1)


def _parts(outer: StateDict, named: Mapping[str, Mapping[Any, Any]]) -> Iterator[StateDict]:
    for name in sorted(named, key=_rank):
        yield StateDict(
            place=f"{outer.place}.{name}".strip("."),
            is_averaged=outer.is_averaged or _AVERAGED.fullmatch(name) is not None,
            others=(*outer.others, *(other for other in named if other != name)),
            stored=named[name],
        )


def _rank(name: str) -> int:
    if _AVERAGED.fullmatch(name):
        return -1
    return _KNOWN.index(name) if name in _KNOWN else len(_KNOWN)


_IRCNN_MEMBERS = 25


def _members_of(value: Any) -> dict[str, Any]:
    """Return the networks of a file that holds several under numbers."""
    if not isinstance(value, Mapping) or len(value) < 2:
        return {}
    is_numbered = all(
        str(key).isdecimal() and isinstance(each, Mapping) for key, each in value.items()
    )
    return {str(key): each for key, each in value.items()} if is_numbered else {}


def _chosen(members: Mapping[str, Any], member: str | None) -> Any:
    """Return one of several networks.

    Raises:
        UsageError: ``member`` is None or none of them.
    """
    is_ircnn = set(members) == {str(number) for number in range(_IRCNN_MEMBERS)}
    names = (
        f"{argument('member')}, the noise level that it is for, up to {2 * _IRCNN_MEMBERS}"
        if is_ircnn
        else f"{argument('member')}, one of {one_line(', '.join(members), 60)}"
    )
    name = member
    if member is not None and is_ircnn:
        name = _number_of(member)
    if name is None or name not in members:
        given = f", not {one_line(member, 30)}" if member is not None else ""
        raise UsageError(f"holds {len(members)} networks: choose one with {names}{given}")
    return members[name]


def _number_of(sigma: str) -> str | None:
    """Return the number of the network of IRCNN for a noise level: 0 for up to 2, 1 for up to 4."""
    try:
        level = float(sigma)
    except ValueError:
        return None
    return str(math.ceil(level / 2) - 1) if 0 < level <= 2 * _IRCNN_MEMBERS else None


def _is_counter(key: str, value: Tensor) -> bool:
    """Whether a tensor is no part of a network but a count of the training program."""
    is_count = value.ndim == 0 and not value.is_floating_point()
    return is_count or key.endswith("num_batches_tracked")


def _is_plain(value: object) -> bool:
    if not isinstance(value, Tensor) or value.is_nested or value.is_quantized:
        return False
    return value.layout == torch.strided and value.device.type == "cpu"


def _dense(key: str, value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise WeightsError(f"holds a {type(value).__name__} under {key!r}, not a tensor")
    if not _is_plain(value):
        raise WeightsError(f"tensor {key} is nested, sparse, quantised or without data")
    # A view can claim more values than are stored, and would fill the memory when copied.
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        raise WeightsError(f"tensor {key} is larger than its data")
    tensor = value.detach()
    if tensor.is_floating_point() and not torch.isfinite(tensor).all():
        raise WeightsError(f"tensor {key} holds values that are not finite")
    return tensor


def _as_float(key: str, tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        raise WeightsError(f"tensor {key} holds {tensor.dtype}, not floating-point numbers")
    return tensor.float()
