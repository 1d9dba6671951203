"""The bytes of uploads and answers that the service holds at once, within a bound."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from imrestore.serve.refused import Refused

__all__ = ["Budget", "Share"]


class Budget:
    """Bounds the bytes that all requests hold together; used by one event loop.

    Args:
        most: The bound in bytes.
        retry_after: Says in how many seconds it is worth to try again.
        told: Called with the bytes that are held, whenever they change.
    """

    def __init__(
        self, most: int, retry_after: Callable[[], int], told: Callable[[int], None]
    ) -> None:
        self.most, self._retry_after, self._told = most, retry_after, told
        self._held = 0

    @contextmanager
    def share(self) -> Iterator["Share"]:
        """Yield the share of one request, which ends with the block."""
        share = Share(self)
        try:
            yield share
        finally:
            share.hold(0)

    def check(self, more: int) -> None:
        """Refuse what does not fit in now.

        Raises:
            Refused: So many more bytes are too many.
        """
        if self._held + more > self.most:
            raise Refused(
                429,
                f"the service holds {self._held:,} of {self.most:,} bytes of uploads and answers "
                f"(imrestore serve --max-held), and this request needs {more:,} more; try again "
                "later",
                {"Retry-After": str(self._retry_after())},
            )

    def _change(self, by: int) -> None:
        self._held += by
        self._told(self._held)


class Share:
    """What one request holds.

    Args:
        budget: What it is a share of.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget, self._count = budget, 0

    def hold(self, count: int) -> None:
        """Hold so many bytes, instead of those before.

        Raises:
            Refused: They are too many; nothing has changed.
        """
        if count > self._count:
            self.budget.check(count - self._count)
        self.budget._change(count - self._count)
        self._count = count
