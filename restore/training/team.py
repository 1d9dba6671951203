"""Several processes that train one network, as `torchrun` starts them."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from restore.arguments import argument
from restore.errors import RestoreError, TrainingError, UsageError
from restore.training import LOST_ANOTHER

__all__ = ["Team", "assembled", "team_rank", "team_size"]

_Seen = TypeVar("_Seen")


@dataclass(frozen=True)
class Team:
    """The processes of a run; with a single process, its methods cost nothing.

    Attributes:
        rank: rank of this process; 0 leads: it validates, reports and writes.
        size: number of processes.
        restarts: how often `torchrun` has started this run again after losing a process.
    """

    rank: int = 0
    size: int = 1
    restarts: int = 0

    @property
    def leads(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def device_name(self, name: str) -> str:
        """Return the name of this process's own GPU if ``name`` does not specify one.

        Raises:
            UsageError: ``name`` is one GPU for all processes.
        """
        if self.size == 1:
            return name
        if name.startswith("cuda:"):
            raise UsageError(
                f"device {name}: processes that train together have a GPU each; leave it out"
            )
        if name == "cuda" or (name == "auto" and torch.cuda.is_available()):
            return f"cuda:{os.environ.get('LOCAL_RANK', self.rank)}"
        return name

    def averaging(self, network: nn.Module) -> nn.Module:
        """Return ``network`` with gradients that are averaged over all processes."""
        return DistributedDataParallel(network) if self.size > 1 else network

    def without_averaging(self, network: nn.Module) -> AbstractContextManager[None]:
        """Return a context in which gradients stay with their process and add up."""
        if isinstance(network, DistributedDataParallel):
            return network.no_sync()
        return nullcontext()

    def highest(self, *values: float) -> list[float]:
        """Return the maximum of each value over all processes."""
        if self.size == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64)
        distributed.all_reduce(tensor, op=distributed.ReduceOp.MAX)
        return tensor.tolist()

    def gathered(self, value: Any) -> list[Any]:
        """Return every process's ``value`` by rank."""
        values = [value]
        if self.size > 1:
            values = [None] * self.size
            distributed.all_gather_object(values, value)
        return values

    def as_leader_sees(self, look: Callable[[], _Seen]) -> _Seen:
        """Return what ``look`` returns in the leading process: others may see older files.

        Raises:
            RestoreError: the one that it raises there, in all processes.
        """
        if self.size == 1:
            return look()
        seen: list[object] = [None]
        if self.leads:
            try:
                seen = [look()]
            except RestoreError as error:
                seen = [error]
        distributed.broadcast_object_list(seen, src=0)
        if isinstance(seen[0], RestoreError):
            raise seen[0]
        return cast(_Seen, seen[0])

    def wait(self) -> None:
        """Block until all processes have called this."""
        if self.size > 1:
            distributed.barrier()


def team_size() -> int:
    """Return how many processes `torchrun` started, 1 without it.

    Raises:
        UsageError: ``WORLD_SIZE`` is not a number of processes.
    """
    return _variable("WORLD_SIZE", 1, 1)


def team_rank() -> int:
    """Return the rank of this process, 0 without `torchrun`, whatever ``RANK`` says then.

    Raises:
        UsageError: there are several processes, and ``RANK`` is none of theirs.
    """
    size = team_size()
    rank = _variable("RANK", -1, 0) if size > 1 else 0
    if not 0 <= rank < size:
        raise UsageError(
            f"WORLD_SIZE is {size}, but RANK is {os.environ.get('RANK') or 'not set'}: start the "
            "processes with torchrun, or unset WORLD_SIZE to train with this one"
        )
    return rank


def _variable(name: str, absent: int, least: int) -> int:
    text = os.environ.get(name)
    if not text:
        return absent
    if text.isdecimal() and len(text) < 10 and int(text) >= least:
        return int(text)
    raise UsageError(f"{name} is {text[:40]}: set it to a number from {least} on, or unset it")


@contextmanager
def assembled() -> Iterator[Team]:
    """Join the processes that `torchrun` started; without it, the team is this process alone."""
    size, rank = team_size(), team_rank()
    restarts = _variable("TORCHELASTIC_RESTART_COUNT", 0, 0)
    if size == 1:
        yield Team(restarts=restarts)
        return
    try:
        # torchrun keeps its store across restarts: a prefix for each start hides the addresses of
        # processes that are gone.
        store, _, _ = next(distributed.rendezvous("env://"))  # type: ignore[attr-defined]
        distributed.init_process_group(
            # Agreements are a few numbers on the host; gradients travel between GPUs.
            "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
            store=distributed.PrefixStore(f"start-{restarts}", store),  # type: ignore[attr-defined]
            rank=rank,
            world_size=size,
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise TrainingError(
            f"the {size} processes of this run did not find each other; start them with torchrun: "
            f"{str(error).partition(chr(10))[0]}"
        ) from error
    try:
        yield Team(rank=rank, size=size, restarts=restarts)
    except RuntimeError as error:
        if not _is_loss_of_another(error):
            raise
        raise TrainingError(
            f"{LOST_ANOTHER}; continue from the checkpoint with {argument('resume', True)}"
        ) from error
    finally:
        distributed.destroy_process_group()


def _is_loss_of_another(error: RuntimeError) -> bool:
    """Return whether an error says that a connection between processes is gone."""
    return isinstance(error, distributed.DistError) or any(
        sign in str(error) for sign in ("gloo", "Connection closed", "Connection reset")
    )
