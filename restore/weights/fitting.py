"""Whether tensors and settings of a weight file fit the network that it names."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from restore.errors import WeightsError, one_line

__all__ = ["check_setting", "fitting"]

_LARGEST_SETTING = 10_000
"""Upper limit on any setting; ``_Frugal`` limits what several together ask for."""


class _Frugal(TorchFunctionMode):
    """Refuses a network with more parameters than there are tensors for, while it is built.

    A few numbers of a config can ask for layers that take hours to make.
    """

    def __init__(self, name: str, tensors: int) -> None:
        super().__init__()
        self.name, self.tensors, self.made = name, tensors, 0

    def __torch_function__(
        self, function: Any, _types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function is torch.empty:  # as every layer makes its parameters
            self.made += 1
            if self.made > self.tensors:
                raise WeightsError(
                    f"{self.name}: tensors do not fit: its config asks for more than the "
                    f"{self.tensors} that it holds"
                )
        return function(*args, **(kwargs or {}))


def fitting(
    name: str, network: type[nn.Module], config: Any, shapes: Mapping[str, tuple[int, ...]]
) -> nn.Module:
    """Return the network without numbers (on the meta device), for tensors of these shapes.

    Raises:
        WeightsError: tensors are missing, too many, or of other shapes.
    """
    # On the meta device, a config that asks for more than the tensors takes no memory.
    with torch.device("meta"), _Frugal(name, len(shapes)):
        built = network(config)
    expected = {key: tuple(tensor.shape) for key, tensor in built.state_dict().items()}
    odd = [key for key in {**expected, **shapes} if expected.get(key) != shapes.get(key)]
    if odd:
        found, due = (_shape(each.get(odd[0])) for each in (shapes, expected))
        more = f", and {len(odd) - 1:,} more" if len(odd) > 1 else ""
        raise WeightsError(
            f"{name}: tensors do not fit: {one_line(odd[0], 60)} is {found}, not {due}{more}"
        )
    return built


def _shape(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else one_line(str(list(shape)), 40)


def check_setting(name: str, value: Any, kind: type | None) -> None:
    """Refuse what a config's own checks do not expect from JSON.

    Raises:
        ValueError: an unknown name, a value of another type, or a number that is too large.
    """
    values = value if kind is tuple and isinstance(value, list) else [value]
    expected = int if kind is tuple else kind
    for one in values:
        is_huge = isinstance(one, int) and abs(one) > _LARGEST_SETTING
        if type(one) is not expected or is_huge:
            raise ValueError(f"{one_line(name, 40)} cannot be {one_line(str(value), 40)}")
