"""Shards: the parts of a plan that several machines do."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from restore.arguments import argument
from restore.errors import UsageError

__all__ = ["COUNT_VARIABLE", "FROM_ENVIRONMENT", "Shard", "parse_shard", "shard_of_environment"]

FROM_ENVIRONMENT = "env"
"""Stands for the shard that a job array gave to this process."""

COUNT_VARIABLE = "IMRESTORE_SHARD_COUNT"
"""Number of shards, where the system that runs the jobs tells only their index."""

_SLURM, _KUBERNETES, _AWS = (
    "SLURM_ARRAY_TASK_ID",
    "JOB_COMPLETION_INDEX",
    "AWS_BATCH_JOB_ARRAY_INDEX",
)
_AWS_COUNT = "AWS_BATCH_JOB_ARRAY_SIZE"


@dataclass(frozen=True)
class Shard:
    """Part ``index`` (from 1) of ``count`` parts of a plan."""

    index: int
    count: int


def parse_shard(text: str) -> Shard:
    """Return the shard that ``I/N`` stands for.

    Raises:
        UsageError: not two whole numbers with 1 <= I <= N.
    """
    if re.fullmatch(r"[0-9]{1,9}/[0-9]{1,9}", text):
        index, count = map(int, text.split("/"))
        if 1 <= index <= count:
            return Shard(index, count)
    raise UsageError(
        f"{argument('shard')} {text[:40]}: give I/N with 1 <= I <= N, as in 2/8, or "
        f"{FROM_ENVIRONMENT}"
    )


def shard_of_environment(variables: Mapping[str, str]) -> tuple[Shard, str]:
    """Return the shard that a Slurm job array, a Kubernetes Indexed Job or AWS Batch gave.

    Args:
        variables: The environment of the process.

    Returns:
        The shard, and the name of the variable that tells its index.

    Raises:
        UsageError: no such variable is set, two are, or they do not make a shard.
    """
    given = [name for name in (_SLURM, _KUBERNETES, _AWS) if variables.get(name)]
    if not given:
        raise UsageError(
            f"{_asked()}: this is no job of an array: none of {_SLURM}, {_KUBERNETES} and {_AWS} "
            "is set; give I/N"
        )
    if len(given) > 1:
        raise UsageError(f"{_asked()}: {' and '.join(given)} are set; give I/N")
    name = given[0]
    if name == _SLURM:
        index, count = _of_slurm(variables)
    else:
        own = _AWS_COUNT if name == _AWS and variables.get(_AWS_COUNT) else COUNT_VARIABLE
        index, count = _number(variables, name), _number(variables, own)
    if not 0 <= index < count:
        raise UsageError(
            f"{_asked()}: {name} says {variables[name]}, which is none of {count} jobs counted "
            "from 0"
        )
    return Shard(index + 1, count), name


def _asked() -> str:
    return argument("shard", FROM_ENVIRONMENT)


def _of_slurm(variables: Mapping[str, str]) -> tuple[int, int]:
    """Return the position of the task in its array, from 0, and the number of tasks.

    Of an array such as ``1,5,7`` Slurm tells each task its number, but not its position.
    """
    number, count = _number(variables, _SLURM), _number(variables, "SLURM_ARRAY_TASK_COUNT")
    first = _number(variables, "SLURM_ARRAY_TASK_MIN", 0)
    last = _number(variables, "SLURM_ARRAY_TASK_MAX", first + count - 1)
    step = max(1, (last - first) // max(1, count - 1))
    index, rest = divmod(number - first, step)
    if rest or last != first + (count - 1) * step:
        raise UsageError(
            f"{_asked()}: the {count} tasks of this Slurm array are not evenly numbered from "
            f"{first} to {last}; give I/N"
        )
    return index, count


def _number(variables: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = variables.get(name, "")
    if not text and default is not None:
        return default
    if not re.fullmatch(r"[0-9]{1,9}", text):
        what = f"says {text[:40]}, which is no number" if text else "is not set"
        raise UsageError(f"{_asked()}: {name} {what}; give I/N")
    return int(text)
