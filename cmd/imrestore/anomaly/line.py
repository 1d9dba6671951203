"""What follows a verdict on a production line: a command, a message, a part put aside."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imrestore.watching import WatchOptions

if TYPE_CHECKING:
    from restore.anomaly.aside import Aside
    from restore.anomaly.follow import Followers
    from restore.anomaly.results import Results
    from restore.batch.stream import Outcome

__all__ = ["LineOptions", "Noted"]


@dataclass(frozen=True, kw_only=True)
class LineOptions(WatchOptions):
    """What follows a verdict at once."""

    on_defect: Annotated[
        str | None,
        typer.Option(
            metavar="CMD",
            help="Run a program for each part that is not good, with the file and the verdict as "
            "its last arguments, and PART_FILE, PART_VERDICT, PART_SCORE and PART_RECORD (JSON) "
            "in its environment; without a shell, for at most 60 s.",
            show_default=False,
        ),
    ] = None
    webhook: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="POST the record of each part to a server as JSON; up to four times if it does "
            "not answer.",
            show_default=False,
        ),
    ] = None
    move_defective: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Move the pictures of defective parts to a folder after their results are "
            "written. Nothing there is overwritten: names that are taken get a number.",
            show_default=False,
        ),
    ] = None

    def followers(self) -> "Followers":
        """Return what is done about each part.

        Raises:
            UsageError: there is no such program, or no such address.
        """
        from restore.anomaly.follow import Command, Followers, Webhook

        return Followers(
            on_defect=Command.parsed(self.on_defect) if self.on_defect is not None else None,
            webhook=Webhook(self.webhook) if self.webhook is not None else None,
        )

    def aside(self, inputs: Sequence[str], *, recursive: bool, report: Path) -> "Aside | None":
        """Return where defective parts go, if anywhere; see ``Aside``.

        Raises:
            UsageError: they may not go there.
        """
        if self.move_defective is None:
            return None
        from restore.anomaly.aside import Aside

        folders = [Path(name) for name in inputs]
        return Aside(self.move_defective, folders, recursive=recursive, report=report)


@dataclass(frozen=True)
class Noted:
    """Records what became of each part, and puts defective ones aside.

    Attributes:
        results: The records.
        followers: What is done about parts that could not be inspected; the stages see to others.
        aside: Where defective parts go, if anywhere.
    """

    results: "Results"
    followers: "Followers"
    aside: "Aside | None"

    def __call__(self, outcome: "Outcome") -> "Outcome":
        """Return the outcome with all that was done about it."""
        from restore.anomaly.verdict import Verdict
        from restore.batch.stream import Status

        if outcome.status is Status.FAILED:
            outcome = _remarked(outcome, self.followers(_failed_record(outcome)))
            if outcome.item.source_name in self.results:  # a failure replaces no verdict
                self.results.remark(outcome.item.source_name, outcome.error)
            else:
                self.results.add(outcome)
            return outcome
        to = None
        if self.aside and outcome.record.get("verdict") == Verdict.DEFECTIVE:
            to = self.aside.place_of(outcome.item)
        if to is None:
            self.results.add(outcome)
            return outcome
        return self._put_aside(outcome, to)

    def _put_aside(self, outcome: "Outcome", to: Path) -> "Outcome":
        """Record where the picture goes, and then move it: a power cut between loses nothing."""
        from restore.errors import InputError, OutputError

        assert self.aside is not None
        assert outcome.item.source is not None
        planned = _with(outcome, moved_to=str(to))
        if not self.results.add(planned):
            self.results.add(outcome)
            return _remarked(
                outcome, [f"not moved to {to}: the record of it could not be written first"]
            )
        try:
            moved = self.aside.move(outcome.item.source, to)
        except (InputError, OutputError) as error:
            self.results.add(outcome)
            return _remarked(outcome, [str(error)])
        if moved != to:
            planned = _with(outcome, moved_to=str(moved))
            self.results.add(planned)
        return planned


def _with(outcome: "Outcome", **values: object) -> "Outcome":
    return replace(outcome, record={**outcome.record, **values})


def _remarked(outcome: "Outcome", remarks: Sequence[str]) -> "Outcome":
    known = outcome.record.get("remarks")
    both = [*(known if isinstance(known, list) else ()), *remarks]
    return _with(outcome, remarks=both) if remarks else outcome


def _failed_record(outcome: "Outcome") -> dict[str, object]:
    from restore.anomaly.verdict import Verdict

    return {
        "source": outcome.item.source_name,
        "verdict": str(Verdict.FAILED),
        "error": outcome.error,
    }
