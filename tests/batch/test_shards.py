"""Which part of a plan a machine does."""

import pytest

from restore.batch.shards import Shard, parse_shard
from restore.errors import UsageError


@pytest.mark.parametrize(
    "text", ["", "1", "0/2", "3/2", "a/b", "1/0", "-1/2", "1/2/3", "1.5/2", "1/" + "9" * 5000]
)
def test_nonsense_is_no_shard(text: str) -> None:
    with pytest.raises(UsageError, match="I/N"):
        parse_shard(text)


def test_a_shard_is_read() -> None:
    assert parse_shard("2/8") == Shard(2, 8)
