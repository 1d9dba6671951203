"""The page of a run: every picture before and after, written while the run goes on."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import BinaryIO

from restore.arguments import argument
from restore.batch.plan import BatchPlan, Existing
from restore.batch.refusals import how_to_go_on
from restore.batch.stream import Outcome, Status
from restore.errors import OutputError, UsageError
from restore.files import check_name, identity_of, open_atomically
from restore.pages.environment import page_environment

__all__ = ["PageText", "RunPage", "check_page"]

_SUFFIXES = (".html", ".htm")
_PICTURES, _COUNTS = "<!-- pictures -->", "<!-- counts -->"
_COUNTS_BYTES = 1024
"""Room for the counts, which are known at the end."""
_GENERATOR = b'<meta name="generator" content="imrestore">'
_HEAD_BYTES = 4096
_PICTURE = re.compile(
    rb'<li class="picture (\w+)" data-key="([^"]*)" data-name="[^"]*" '
    rb'data-megapixels="([\d.]+)" data-seconds="([\d.]+)">'
)
_LONGEST_LINE = 1 << 20
_DAMAGED = "damaged"
_LABELS = {"sigma": "noise level, of 255", "sigma_estimated": "noise level estimated"}


@dataclass(frozen=True)
class PageText:
    """What a page says that depends on the task.

    Attributes:
        title: Its heading.
        explanation: What before and after are, in a sentence or two.
        difference: Name of the view of what was removed.
    """

    title: str
    explanation: str
    difference: str


def check_page(path: Path, plan: BatchPlan, existing: Existing) -> None:
    """Refuse a page that would replace something.

    Raises:
        UsageError: the name is no page's or taken, by an input, a result or a file that is there.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise UsageError(
            f"{argument('report')} {path}: give the name of an HTML file, as in report.html"
        )
    check_name(path)
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; a report cannot take its place")
    identity = identity_of(path)
    for item in plan.items:
        if identity is not None and item.source and identity == identity_of(item.source):
            raise UsageError(f"{path}: is an input; choose another name for the report")
        if os.path.abspath(path) in map(os.path.abspath, item.outputs):
            raise UsageError(f"{path}: is a result; choose another name for the report")
    if not os.path.lexists(path):
        return
    if existing is Existing.REFUSE:
        raise UsageError(f"{path}: exists already; {how_to_go_on('adds what is missing')}")
    if existing is Existing.SKIP and not _is_page(path):
        raise UsageError(
            f"{path}: exists already and is no report; use {argument('overwrite', True)}"
        )


def _is_page(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return _GENERATOR in file.read(_HEAD_BYTES)
    except OSError:
        return False


@dataclass
class _Kept:
    """A picture of an earlier page: where its line is, and whether it is in the new one."""

    start: int
    is_taken: bool = False


class RunPage:
    """Writes the page of a run.

    Each picture goes to the file at once, so that memory does not grow with their number, and that
    little is left to do when the run is stopped. The file gets its name at the end.

    Args:
        path: The page; ``check_page`` has accepted it.
        text: What depends on the task.
        existing: With ``SKIP``, pictures of a page that is there are kept.
        closed: Sentences about folders that could not be read.

    Raises:
        OutputError: it cannot be written.
    """

    def __init__(
        self, path: Path, text: PageText, existing: Existing, closed: Sequence[str] = ()
    ) -> None:
        self._path = path
        self._counts: Counter[str] = Counter()
        self._megapixels = self._seconds = 0.0
        self._failure: OSError | None = None
        environment = page_environment(Path(__file__).parent)
        self._part = environment.get_template("picture.html")
        self._figures = environment.get_template("counts.html")
        html = environment.get_template("page.html").render(
            title=text.title,
            explanation=text.explanation,
            removed=text.difference,
            closed=closed,
            counts=_COUNTS,
            pictures=_PICTURES,
        )
        head, self._tail = map(_encoded, html.split(_PICTURES))
        start, rest = head.split(_encoded(_COUNTS))
        self._counts_at = len(start)
        self._old: BinaryIO | None = None
        self._kept: dict[bytes, _Kept] = {}
        with ExitStack() as stack:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                if existing is Existing.SKIP and path.exists():
                    self._old = stack.enter_context(path.open("rb"))
                    self._kept = dict(_pictures(self._old))
                self._file = stack.enter_context(
                    open_atomically(path, overwrite=True, is_of_run=True)
                )
                self._file.write(start + b" " * _COUNTS_BYTES + rest)
            except OSError as error:
                raise _failure(path, error) from error
            self._opened = stack.pop_all()

    def add(self, outcome: Outcome) -> None:
        """Write what became of a picture; trouble with the disk waits for ``finish``."""
        key = _encoded(outcome.item.source_name)
        kept = self._kept.get(key)
        if kept:
            kept.is_taken = True
        if kept and outcome.status is Status.SKIPPED:
            self._append(self._line(kept))
        else:
            self._append(self._rendered(outcome))

    def finish(self) -> None:
        """Complete the page.

        Raises:
            OutputError: it cannot be written; nothing is left behind.
        """
        with self._opened:
            for kept in self._kept.values():
                if not kept.is_taken:
                    self._append(self._line(kept))
            if self._failure:
                raise _failure(self._path, self._failure) from self._failure
            self._file.write(self._tail)
            self._file.seek(self._counts_at)
            self._file.write(self._rendered_counts())

    def _line(self, kept: _Kept) -> bytes:
        assert self._old is not None
        self._old.seek(kept.start)
        return self._old.readline()

    def _append(self, line: bytes) -> None:
        match = _PICTURE.match(line)
        assert match is not None
        status, _, megapixels, seconds = match.groups()
        self._counts[status.decode()] += 1
        self._megapixels += float(megapixels)
        self._seconds += float(seconds)
        try:
            self._file.write(line)
        except OSError as error:
            self._failure = error

    def _rendered_counts(self) -> bytes:
        counts: list[tuple[str, float]] = [("pictures", self._counts[Status.DONE])]
        counts += [(s, self._counts[s]) for s in (Status.SKIPPED, Status.FAILED) if self._counts[s]]
        counts += [("megapixels", self._megapixels), ("seconds", self._seconds)]
        return _encoded(self._figures.render(counts=[(name, _total(n)) for name, n in counts]))

    def _rendered(self, outcome: Outcome) -> bytes:
        record = outcome.record
        html = self._part.render(
            status=outcome.status,
            key=outcome.item.source_name,
            name=outcome.item.source_name,
            short_name=Path(outcome.item.source_name).name,
            megapixels=_number(record.get("megapixels")),
            seconds=_number(record.get("seconds")),
            views=outcome.views,
            facts=list(_facts(outcome)),
            notes=list(_notes(outcome)),
        )
        return _encoded(" ".join(line.strip() for line in html.splitlines()).strip() + "\n")


def _pictures(page: BinaryIO) -> Iterator[tuple[bytes, _Kept]]:
    """Yield the pictures of a page by their keys."""
    start = 0
    while line := page.readline(_LONGEST_LINE):
        if match := _PICTURE.match(line):
            yield _encoded(unescape(match[2].decode(errors="replace"))), _Kept(start)
        start += len(line)


def _facts(outcome: Outcome) -> Iterator[tuple[str, str]]:
    if outcome.status is Status.DONE:
        yield "written to", outcome.item.destination_name
    for name, value in outcome.record.items():
        if name != _DAMAGED and not (_is_texts(value) or isinstance(value, Mapping)):
            yield _LABELS.get(name, name.replace("_", " ")), _shown(value)


def _is_texts(value: object) -> bool:
    """Return whether a value is a list of sentences, not of numbers."""
    return isinstance(value, list | tuple) and any(isinstance(each, str) for each in value)


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _notes(outcome: Outcome) -> Iterator[dict[str, str]]:
    """Yield what a person should know: why it failed, and what was lost, as records list it."""
    if outcome.error:
        yield {"kind": "error", "text": outcome.error}
    for name, value in outcome.record.items():
        if _is_texts(value) and isinstance(value, list | tuple):
            label = name.replace("_", " ")
            yield from ({"kind": "warning", "text": f"{label}: {each}"} for each in value)
    if _DAMAGED in outcome.record:
        yield {"kind": "warning", "text": f"damaged: {outcome.record[_DAMAGED]}"}
    if outcome.status is Status.SKIPPED:
        yield {"kind": "note", "text": "Its result was there already and is kept."}
    if outcome.status is Status.DONE and outcome.views is None:
        yield {"kind": "note", "text": "Larger than memory: its pixels are not shown here."}


def _total(value: float) -> str:
    """Return a number without an exponent, with separators of thousands."""
    return f"{value:,.0f}" if round(value) >= 1000 else f"{round(value, 3):.4g}"


def _number(value: object) -> str:
    return f"{value:.6f}" if isinstance(value, int | float) else "0"


def _encoded(text: str) -> bytes:
    """Return UTF-8; what is none in a file's name is escaped."""
    return text.encode(errors="backslashreplace")


def _failure(path: Path, error: OSError) -> OutputError:
    return OutputError(f"{path}: the report cannot be written: {error.strerror or error}")
