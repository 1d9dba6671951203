"""Which part of a plan a machine does."""

import pytest

from restore.batch.shards import Shard, parse_shard, shard_of_environment
from restore.errors import UsageError


@pytest.mark.parametrize(
    "text", ["", "1", "0/2", "3/2", "a/b", "1/0", "-1/2", "1/2/3", "1.5/2", "1/" + "9" * 5000]
)
def test_nonsense_is_no_shard(text: str) -> None:
    with pytest.raises(UsageError, match=r"shard .*: give I/N"):
        parse_shard(text)


def test_a_shard_is_read() -> None:
    assert parse_shard("2/8") == Shard(2, 8)


@pytest.mark.parametrize(
    ("variables", "shard"),
    [
        ("SLURM_ARRAY_TASK_ID=0 SLURM_ARRAY_TASK_COUNT=4", (1, 4)),
        ("SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_COUNT=4 SLURM_ARRAY_TASK_MIN=0", (4, 4)),
        ("SLURM_ARRAY_TASK_ID=8 SLURM_ARRAY_TASK_COUNT=8 SLURM_ARRAY_TASK_MIN=1", (8, 8)),
        (
            "SLURM_ARRAY_TASK_ID=14 SLURM_ARRAY_TASK_COUNT=4 SLURM_ARRAY_TASK_MIN=10"
            " SLURM_ARRAY_TASK_MAX=16",
            (3, 4),
        ),
        (
            "SLURM_ARRAY_TASK_ID=7 SLURM_ARRAY_TASK_COUNT=1 SLURM_ARRAY_TASK_MIN=7"
            " SLURM_ARRAY_TASK_MAX=7",
            (1, 1),
        ),
        ("JOB_COMPLETION_INDEX=0 IMRESTORE_SHARD_COUNT=8", (1, 8)),
        ("AWS_BATCH_JOB_ARRAY_INDEX=7 AWS_BATCH_JOB_ARRAY_SIZE=8", (8, 8)),
        ("AWS_BATCH_JOB_ARRAY_INDEX=7 IMRESTORE_SHARD_COUNT=9", (8, 9)),
    ],
)
def test_a_job_of_an_array_knows_its_shard(variables: str, shard: tuple[int, int]) -> None:
    given = dict(each.split("=") for each in variables.split())
    found, name = shard_of_environment(given)
    assert (found.index, found.count) == shard
    assert name == variables.split("=")[0]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ("", "no job of an array"),
        ("SLURM_ARRAY_TASK_ID=0", "SLURM_ARRAY_TASK_COUNT is not set"),
        ("JOB_COMPLETION_INDEX=0", "IMRESTORE_SHARD_COUNT is not set"),
        ("JOB_COMPLETION_INDEX=x IMRESTORE_SHARD_COUNT=3", "says x, which is no number"),
        ("JOB_COMPLETION_INDEX=3 IMRESTORE_SHARD_COUNT=3", "none of 3 jobs"),
        (
            "SLURM_ARRAY_TASK_ID=5 SLURM_ARRAY_TASK_COUNT=3 SLURM_ARRAY_TASK_MIN=1"
            " SLURM_ARRAY_TASK_MAX=7",
            "not evenly numbered",
        ),
        (
            "JOB_COMPLETION_INDEX=0 AWS_BATCH_JOB_ARRAY_INDEX=0",
            "JOB_COMPLETION_INDEX and AWS_BATCH_JOB_ARRAY_INDEX are set",
        ),
    ],
)
def test_what_makes_no_shard_is_refused(variables: str, message: str) -> None:
    given = dict(each.split("=") for each in variables.split())
    with pytest.raises(UsageError, match=message):
        shard_of_environment(given)
