"""Shards: the parts of a plan that several machines do."""

import re
from dataclasses import dataclass

from restore.errors import UsageError

__all__ = ["Shard", "parse_shard"]


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
    raise UsageError(f"shard {text[:40]}: give I/N with 1 <= I <= N, as in 2/8")
