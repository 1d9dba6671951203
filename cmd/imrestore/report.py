"""The report of a run: a bar, a line or a JSON record per picture, and a summary at the end."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from imrestore.exits import ExitCode
from imrestore.output import ProgressBar, json_of, log, say, visible
from restore.words import counted

if TYPE_CHECKING:
    from restore.batch.plan import BatchPlan, Item
    from restore.batch.stream import Outcome

__all__ = ["Report", "filled_in_words", "print_plan", "tell_of_empty", "tell_of_twins"]

Describe = Callable[[Mapping[str, object]], str]


class Report(ProgressBar):
    """Reports on a run while it goes on.

    Args:
        total: Number of pictures in the plan; None if it is not known.
        describe: Returns a task's record in a few words, for --verbose.
        as_json: Print a record per picture to standard output.
        quiet: Print errors only.
        verbose: Print a line per picture.
        overwrites: Whether existing results are replaced.
        is_endless: Whether it goes on until it is stopped.
    """

    def __init__(
        self,
        total: int | None,
        describe: Describe,
        *,
        as_json: bool = False,
        quiet: bool = False,
        verbose: bool = False,
        overwrites: bool = False,
        is_endless: bool = False,
    ) -> None:
        super().__init__(total, quiet=quiet)
        self._describe, self._as_json = describe, as_json
        self._quiet, self._verbose, self._overwrites = quiet, verbose, overwrites
        self._is_endless, self._is_stopped = is_endless, False
        self._started = time.perf_counter()
        self._counts: Counter[str] = Counter()
        self._has_bug = False

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the run so far."""
        if self._has_bug:
            return ExitCode.BUG
        return ExitCode.SOME_FAILED if self._counts["failed"] else ExitCode.DONE

    def add(self, outcome: "Outcome") -> None:
        """Report the outcome of one picture."""
        self._counts[outcome.status] += 1
        self._has_bug |= outcome.is_bug
        if outcome.error:
            self._say_error(outcome)
        elif self._verbose:
            done = self._describe(outcome.record) if outcome.record else str(outcome.status)
            self.write(f"{_arrow(outcome.item)}: {done}")
        if not self._quiet:
            self._say_remarks(outcome)
        if self._as_json:
            error = {"error": outcome.error} if outcome.error else {}
            _print_record(outcome.item, status=str(outcome.status), **error, **outcome.record)
        self.bar.update()

    def announce(self, message: str) -> None:
        """Print one line about the run, unless errors only are wanted."""
        if not self._quiet:
            self.say(message)

    def add_closed_folder(self, message: str) -> None:
        """Report a folder that could not be read."""
        self._counts["failed"] += 1
        self.say(message)

    def add_empty_inputs(self, empty: Mapping[str, str]) -> None:
        """Report the inputs in which there was nothing to do, each with a phrase that says so."""
        tell_of_empty(empty, self.announce, as_json=self._as_json)

    def add_twins(
        self, twins: Mapping[str, str], *, advice: str = "", is_told: bool = False
    ) -> None:
        """Report the pictures that are left out because their RAW files are taken.

        Args:
            twins: the pictures, each with its RAW file.
            advice: what to say of it beside that.
            is_told: whether that was said already, so that records are enough.
        """
        is_quiet = self._quiet or is_told
        tell = log.debug if is_quiet else self.say
        tell_of_twins(twins, tell, as_json=self._as_json, advice=advice)

    def summarize(self) -> None:
        """Print how many pictures are done, skipped and failed, and the time taken."""
        self.bar.close()
        if not self._quiet:
            counts = [f"{self._counts['done']} done"]
            counts += [f"{n} {s}" for s in ("skipped", "failed") if (n := self._counts[s])]
            seconds = time.perf_counter() - self._started
            say(f"{', '.join(counts)} in {seconds:.1f} s")

    def stopped(self) -> None:
        """Print how to resume after a signal; once, whoever notices it."""
        if self._is_stopped:
            return
        self._is_stopped = True
        self.summarize()
        if self._is_endless:
            say("stopped; the same command goes on with what is new")
        elif self._overwrites:
            say("stopped; what was not reached is as before: the same command does all of it again")
        else:
            say("stopped; the same command with --skip-existing does the rest")

    def _say_remarks(self, outcome: "Outcome") -> None:
        """Print what of the picture was guessed, and what is not in its result."""
        for key, before in (("remarks", ""), ("lost", "lost: ")):
            found = outcome.record.get(key)
            for each in found if isinstance(found, list) else ():
                self.say(f"{outcome.item.source_name}: {before}{each}")

    def _say_error(self, outcome: "Outcome") -> None:
        bug = " (a bug: please report it; run with --debug for the traceback)"
        self.say(f"{outcome.error}{bug if outcome.is_bug else ''}")
        log.debug(outcome.traceback.rstrip())


def tell_of_empty(empty: Mapping[str, str], tell: Callable[[str], None], *, as_json: bool) -> None:
    """Report the inputs in which there was nothing to do.

    Args:
        empty: each of them, with a phrase that says so.
        tell: prints a line.
        as_json: print a record of each, too.
    """
    for name, phrase in empty.items():
        tell(f"{name}: {phrase}")
        if as_json:
            print(json_of({"source": name, "status": "skipped", "remarks": [phrase]}), flush=True)


def tell_of_twins(
    twins: Mapping[str, str],
    tell: Callable[[str], None],
    *,
    as_json: bool,
    advice: str = "",
) -> None:
    """Report the pictures that are left out because their RAW files are taken.

    Args:
        twins: the pictures, each with its RAW file.
        tell: prints a line.
        as_json: print a record of each, too.
        advice: what to say of it beside that.
    """
    for picture, raw in twins.items() if as_json else ():
        twin = {"source": picture, "status": "skipped", "twin_of": raw}
        print(json_of(twin), flush=True)
    if twins:
        count, first = len(twins), next(iter(twins))
        others = counted(count - 1, "more picture")
        what = f"{first} has" if count == 1 else f"{first} and {others} have"
        tell(f"{what} a RAW file of the same name, which is taken instead{advice}")


def print_plan(
    plan: "BatchPlan",
    *,
    as_json: bool,
    beside: "Callable[[Item], Mapping[str, str]]" = lambda _: {},
) -> None:
    """Print to standard output what a run would do.

    Args:
        plan: the plan.
        as_json: print a record per picture.
        beside: returns what else would become of an item, by a name with underscores.
    """
    for item in plan.items:
        if as_json:
            _print_record(item, status="skipped" if item.skip else "planned", **beside(item))
        else:
            print(visible(_arrow(item)) + (" (exists, skipped)" if item.skip else ""))
            for name, value in beside(item).items():
                print(visible(f"    {name.replace('_', ' ')} {value}"))


def filled_in_words(record: Mapping[str, object]) -> str:
    """Return in words how many photosites were filled, and how many were not."""
    count, in_doubt = cast("int", record["defects"]), record.get("defects_in_doubt")
    left = f", {in_doubt} left that may be light" if in_doubt else ""
    return f"{counted(count, 'hot or dead photosite')} filled{left}"


def _arrow(item: "Item") -> str:
    sources = " + ".join((item.source_name, *map(str, item.also)))
    return f"{sources} -> {item.destination_name}"


def _print_record(item: "Item", **values: Any) -> None:
    record = {"source": item.source_name, "destination": item.destination_name}
    if item.also:
        values = {"also": [str(path) for path in item.also], **values}
    if item.compare:
        record["compare"] = str(item.compare)
    # Flushed at once: whoever reads the records acts on each as it comes.
    print(json_of(record | values), flush=True)
