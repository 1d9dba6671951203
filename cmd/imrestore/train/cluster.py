"""A training whose processes a Ray cluster places, and starts again when one is lost."""

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imrestore.checks import without_effect
from imrestore.exits import Signalled, noted_signals
from imrestore.output import say
from imrestore.places import elsewhere
from imrestore.recipes import recipe_of
from imrestore.train.member import Member, Order
from imrestore.train.supervision import WARNINGS

if TYPE_CHECKING:
    import typer

    from restore.batch.cluster import Cluster

__all__ = ["train_on_cluster"]

_MOST_LOSSES = 3
_WAIT_S, _UNTOLD_S, _GRACE_S = 0.2, 15.0, 30.0
_SIGNALS = 128
"""Exit codes above this tell of a signal."""


def train_on_cluster(context: "typer.Context", values: Mapping[str, Any]) -> int:
    """Have the processes of a cluster carry a training command out, and return the exit code.

    When one is lost, all are started again and continue from the last checkpoint. When that has
    happened three times in a row, each time before another checkpoint was written, the next loss
    ends it.

    Args:
        context: the command.
        values: its options, those of ``TrainingOptions`` among them.

    Raises:
        UsageError: no such cluster, a machine of it that is another, or one option without another.
        OutputExists: the output is there already.
        InputError: the head of the cluster is gone.
    """
    from restore.errors import OutputExists, UsageError
    from restore.remote.paths import exists
    from restore.training.team import team_size

    if not values["cluster"] or not values["workers"]:
        without_effect(workers=not values["cluster"] and "it is for --cluster")
        raise UsageError("--cluster: give --workers N, the number of processes that train")
    if team_size() > 1:
        raise UsageError("--cluster starts the processes itself; run the command without torchrun")
    with elsewhere(values["output"]) as output:
        if exists(output) and not (values["overwrite"] or values["resume_auto"]):
            # A process that is started again would take it for that of the run.
            raise OutputExists(f"{output}: exists already; --overwrite replaces it")
        return _train(context, values, output)


def _train(context: "typer.Context", values: Mapping[str, Any], output: Path) -> int:
    """Have teams train until one is not lost."""
    from importlib.metadata import version

    from restore.batch.cluster import Cluster
    from restore.training.state import checkpoint_path

    checkpoint = checkpoint_path(output)
    takes_gpus = values["device"] != "cpu"
    words = context.command_path.split()[1:]
    recipe = recipe_of(context, {**values, "cluster": None, "workers": None})
    order = Order(words, recipe, os.getcwd(), version("imrestore"))
    cluster = Cluster(values["cluster"])
    workers, quiet = values["workers"], values["quiet"]
    losses = starts = 0
    try:
        with noted_signals(*WARNINGS, at_once=False) as signalled:
            while True:
                written = _version_of(checkpoint)
                with _members(cluster, order, workers, takes_gpus) as members:
                    team = _Team(cluster, members, signalled, quiet=quiet)
                    is_lost = team.train(starts)
                if signalled():
                    return _SIGNALS + signalled.number if team.code else 0
                if not is_lost:
                    return team.code
                starts += team.is_started
                losses = losses + 1 if _version_of(checkpoint) == written else 1
                if losses > _MOST_LOSSES:
                    say(f"workers died {losses} times in a row; continue with --resume")
                    return 1
                if not quiet:
                    say("a worker died; all continue from the last checkpoint")
    finally:
        cluster.close()


def _version_of(checkpoint: Path) -> object:
    """Return what tells two states of a checkpoint apart; None if there is none, or no answer."""
    from restore.errors import InputError
    from restore.remote.paths import look_again, version_of

    try:
        look_again(checkpoint)
    except InputError:  # the store does not answer
        return None
    return version_of(checkpoint)


@contextmanager
def _members(
    cluster: "Cluster", order: Order, workers: int, takes_gpus: bool
) -> "Iterator[list[Any]]":
    """Ask for actors, and have them end with the block, and the processes of theirs with them."""
    ray = cluster.ray
    gpus = int(takes_gpus and cluster.has_gpus)
    cores = 1 if gpus else _cores_of_each(ray.nodes(), workers)
    actor = ray.remote(Member).options(num_cpus=cores, num_gpus=gpus, max_concurrency=2)
    sent = ray.put(order)
    members = [actor.remote(sent) for _ in range(workers)]
    try:
        yield members
    finally:
        for member in members:
            with contextlib.suppress(Exception):
                ray.kill(member, no_restart=True)


def _cores_of_each(nodes: Sequence[Mapping[str, Any]], workers: int) -> int:
    """Return the most cores that each of the workers can have, 1 if there are too few."""
    cores = [int(each["Resources"].get("CPU", 0)) for each in nodes if each["Alive"]]
    fitting = (n for n in range(max(cores), 1, -1) if sum(each // n for each in cores) >= workers)
    return next(fitting, 1)


class _Team:
    """The members of one start.

    Args:
        cluster: where they are.
        members: their actors, by rank.
        signalled: whether to stop.
        quiet: print errors only.

    Attributes:
        code: exit code of the training, once it has ended.
        is_started: whether its processes were started.
    """

    def __init__(
        self, cluster: "Cluster", members: Sequence[Any], signalled: Signalled, *, quiet: bool
    ) -> None:
        self._cluster, self._ray = cluster, cluster.ray
        self._members, self._signalled, self._quiet = members, signalled, quiet
        self._running: dict[Any, int] = {}
        self._codes: dict[int, int] = {}
        self._lines: list[list[str]] = [[] for _ in members]
        self._is_lost = self._is_stopping = self.is_started = False
        self.code = 0

    def train(self, starts: int) -> bool:
        """Have all begin and go on until they end; return whether one was lost.

        Args:
            starts: how often the training was started before.

        Raises:
            UsageError: a machine is another.
            InputError: the head is gone.
        """
        places = self._places()
        if len(places) < len(self._members):
            return self._is_lost
        self.is_started = True
        host, port = places[0]
        shared = {
            "MASTER_ADDR": host,
            "MASTER_PORT": str(port),
            "WORLD_SIZE": str(len(self._members)),
            "LOCAL_RANK": "0",  # each sees no other GPU than its own
            "TORCHELASTIC_RESTART_COUNT": str(starts),
        }
        for rank, member in enumerate(self._members):
            work = member.work.options(num_returns="streaming")
            self._running[work.remote(shared | {"RANK": str(rank)})] = rank
        ended = 0.0
        while self._running:
            self._step()
            if ended == 0.0 and (self._is_lost or any(self._codes.values())):
                ended = time.monotonic()  # the others notice
            if ended and time.monotonic() - ended > _GRACE_S:
                break
        self._tell_of_others()
        failed = [code for _, code in sorted(self._codes.items()) if code]
        self.code = failed[0] if failed else int(self._is_lost)
        return self._is_lost and not self._is_stopping

    def _places(self) -> list[tuple[str, int]]:
        """Return where each member is; fewer than all if one dies, or on a signal."""
        from restore.batch.cluster_run import reason_of
        from restore.errors import RestoreError, UsageError

        ray, begun = self._ray, [member.begin.remote() for member in self._members]
        since, places = time.monotonic(), list[tuple[str, int]]()
        while len(places) < len(begun) and not self._signalled():
            ready, _ = ray.wait([begun[len(places)]], num_returns=1, timeout=_WAIT_S)
            self._cluster.check_head("continue with --resume")
            if ready:
                try:
                    places.append(ray.get(ready[0]))
                except ray.exceptions.RayTaskError as error:
                    cause = error.cause
                    known = cause if isinstance(cause, RestoreError) else None
                    raise known or UsageError(reason_of(error)) from None
                except ray.exceptions.RayError:
                    self._is_lost = True
                    break
            if since and time.monotonic() - since > _UNTOLD_S:
                since = 0.0
                if not self._quiet:
                    say(f"waiting for {len(begun)} free places on the cluster")
        if self._signalled():
            self.code = 1
        return places

    def _step(self) -> None:
        """Take in what is told."""
        from restore.batch.cluster_run import reason_of
        from restore.errors import UsageError

        if self._signalled() and not self._is_stopping:
            self._is_stopping = True
            for member in self._members:
                member.stop.remote()
        ready, _ = self._ray.wait(
            list(self._running), num_returns=1, timeout=_WAIT_S, fetch_local=False
        )
        self._cluster.check_head("continue with --resume")
        for told in ready:
            rank = self._running[told]
            try:
                value = self._ray.get(next(told))
            except StopIteration:
                del self._running[told]
                continue
            except self._ray.exceptions.RayTaskError as error:
                raise UsageError(f"a worker failed: {reason_of(error)}") from None
            except self._ray.exceptions.RayError:
                del self._running[told]
                self._is_lost = True
                continue
            if isinstance(value, int):
                self._codes[rank] = value
                self._is_lost |= value < 0 or value > _SIGNALS
                continue
            self._lines[rank].append(value)
            if rank == 0:
                _say(value)

    def _tell_of_others(self) -> None:
        """Print what the processes said that do not lead, where they failed on their own."""
        if self._is_lost or self._is_stopping:
            return
        said = set(self._lines[0])
        for rank, lines in enumerate(self._lines):
            for line in lines if self._codes.get(rank) else ():
                if line not in said:
                    said.add(line)
                    _say(line)


def _say(line: str) -> None:
    """Print what a process printed, unless it only tells that another is lost."""
    from restore.training import LOST_ANOTHER

    text = line.removeprefix("imrestore: ")
    if not text.startswith(LOST_ANOTHER):
        say(text)
