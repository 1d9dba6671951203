"""The items of a plan, done by the workers of a Ray cluster.

Each worker is a Ray actor that holds one network; files are read and written by the workers, and
only records travel back. There is always one worker more asked for than the cluster has given, so
that machines which join later are used, and an autoscaler knows what is wanted.
"""

import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

from restore.arguments import argument
from restore.batch.cluster_run import CALLS_AHEAD, WAIT_S, ClusterRun, reason_of
from restore.batch.cluster_worker import Job, Worker
from restore.batch.plan import BatchPlan
from restore.batch.stream import Outcome
from restore.errors import InputError, UsageError

__all__ = ["Cluster"]

AUTO = "auto"
_LOOK_S, _GIVEN_UP_S, _CONNECT_S = 1.0, 6.0, 3.0


class Cluster:
    """A Ray cluster that is running; this process must be on one of its machines.

    Args:
        address: ``HOST:PORT`` of its head, or auto for the one that runs on this machine.

    Attributes:
        ray: the library.

    Raises:
        UsageError: Ray is not installed, no cluster is there, or one of another version.
    """

    def __init__(self, address: str) -> None:
        # The library would end this process when the head is gone; here that is noticed first.
        os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "3600")
        os.environ["RAY_TQDM_PATCH_PRINT"] = "0"  # or it prints what this program does
        try:
            import ray
        except ImportError as error:
            raise UsageError(
                f"{argument('cluster')} needs Ray: pip install 'imrestore[ray]'"
            ) from error
        self.ray: Any = ray
        if address != AUTO and not _answers(address):
            raise UsageError(
                f"{argument('cluster')} {address}: no cluster answers there; start one with "
                "`ray start --head`, and give HOST:PORT as it says"
            )
        try:
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
        except Exception as error:
            raise UsageError(f"{argument('cluster')} {address}: {reason_of(error)}") from error
        self._address = str(ray.get_runtime_context().gcs_address)
        self._seen, self._gone_since = time.monotonic(), 0.0

    def close(self) -> None:
        """Let go of it; what its workers still do is ended."""
        with contextlib.suppress(Exception):
            self.ray.shutdown()

    @property
    def has_gpus(self) -> bool:
        """Whether any of its machines has a GPU."""
        return bool(self.ray.cluster_resources().get("GPU", 0) > 0)

    def check_head(self, advice: str) -> None:
        """Look from time to time whether the head is there.

        Args:
            advice: how to go on without it.

        Raises:
            InputError: it has been gone for some seconds.
        """
        if time.monotonic() - self._seen <= _LOOK_S:
            return
        if _answers(self._address, self._gone_since or None):
            self._seen, self._gone_since = time.monotonic(), 0.0
            return
        self._gone_since = self._gone_since or self._seen
        if time.monotonic() - self._gone_since > _GIVEN_UP_S:
            raise InputError(f"the head of the cluster at {self._address} is gone; {advice}")

    def outcomes(
        self,
        plan: BatchPlan,
        job: Job,
        *,
        cores: int,
        takes_gpus: bool,
        should_stop: Callable[[], bool] = lambda: False,
        say: Callable[[str], None] = lambda _: None,
    ) -> Iterator[Outcome]:
        """Yield an outcome for every item of a plan, in the order in which they are done.

        Args:
            plan: the items.
            job: what workers are told first.
            cores: processor cores of each worker.
            takes_gpus: whether each worker takes a GPU, if the cluster has any.
            should_stop: whether to have workers stop; what they have finished is still yielded.
            say: is given lines for the user.

        Raises:
            RestoreError: no worker can begin, or the head of the cluster is gone.
        """
        gpus = int(takes_gpus and self.has_gpus)
        options = {"num_cpus": cores, "num_gpus": gpus, "max_concurrency": CALLS_AHEAD + 1}
        run = ClusterRun(self.ray, self.ray.remote(Worker).options(**options), plan, job, say)
        try:
            while run.has_work():
                yield from run.step()
                if should_stop():
                    yield from run.stop()
                    return
                advice = f"the same run with {argument('skip_existing', True)} does the rest"
                self.check_head(advice)
        finally:
            run.end()


def _answers(address: str, since: float | None = None) -> bool:
    """Return whether anything listens at HOST:PORT; the longer nothing has, the less is waited."""
    host, _, port = address.rpartition(":")
    try:
        limit = _CONNECT_S if since is None else WAIT_S
        with socket.create_connection((host.strip("[]"), int(port)), timeout=limit):
            return True
    except (OSError, ValueError, OverflowError):
        return False
