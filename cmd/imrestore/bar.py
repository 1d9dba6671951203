"""A bar on standard error for pictures that are worked through."""

import sys
from types import TracebackType
from typing import Self

__all__ = ["WithBar"]


class WithBar:
    """What shows a bar while it is entered, where standard error is a terminal.

    Args:
        total: pictures to come.
        quiet: show no bar.
    """

    def __init__(self, total: int, *, quiet: bool) -> None:
        from tqdm import tqdm

        self.bar = tqdm(
            total=total,
            unit=" images",
            file=sys.stderr,
            disable=quiet or not sys.stderr.isatty(),
            dynamic_ncols=True,
            leave=False,
        )

    def __enter__(self) -> Self:
        """Nothing to prepare."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the bar away."""
        self.bar.close()
