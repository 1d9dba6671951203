"""`imrestore anomaly join`: the reports of shards made one."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imrestore.anomaly.inspect import named
from imrestore.anomaly.options import InspectingNetwork, VerdictOptions
from imrestore.exits import ExitCode
from imrestore.expansion import with_options
from imrestore.output import say
from imrestore.view import ViewOptions

if TYPE_CHECKING:
    from restore.anomaly.shards import Joined

__all__ = ["join"]


@dataclass(frozen=True, kw_only=True)
class JoinOptions:
    """Which reports are joined, and where to."""

    reports: Annotated[
        list[Path],
        typer.Argument(
            metavar="REPORT",
            help="Folders of reports, or one in which all shards lie.",
            show_default=False,
        ),
    ]
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="REPORT",
            help="Folder of the joined report; maps and pictures are linked into it, or copied.",
            show_default="the report itself, if there is one",
        ),
    ] = None
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the tables and the page of OUT.")
    ] = False
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print errors only.")] = False


@with_options
def join(
    files: JoinOptions, network: InspectingNetwork, *, verdict: VerdictOptions, view: ViewOptions
) -> None:
    """Join the reports of shards, which `imrestore anomaly --shard I/N` made, into one.

    The model and the options for its verdicts must be those of the shards.

    Exit codes: 0 joined; 1 a shard or a file is missing, the others are joined; 2 wrong usage.

    \b
    Examples:
      imrestore anomaly join report --model part.safetensors
      imrestore anomaly join node1/report node2/report --model part.safetensors -o joined
    """  # noqa: D301 (the escape is Typer's mark for lines to be kept)
    from restore.anomaly.results import Results
    from restore.anomaly.shards import join_records
    from restore.batch.plan import Existing
    from restore.errors import UsageError

    reports = list(dict.fromkeys(path.resolve() for path in files.reports))
    for path in files.reports:
        if not path.is_dir():
            raise UsageError(f"{path}: is no folder of a report")
    if files.output is None and len(reports) > 1:
        raise UsageError("several reports are joined into a new one: give -o REPORT")
    target = files.output or files.reports[0]
    results = Results(target)
    if target.resolve() not in reports:
        results.refuse_to_replace(Existing.OVERWRITE if files.overwrite else Existing.REFUSE)
    joined = join_records(files.reports)
    detector = verdict.detector(named(network), view)
    strange = [name for name, each in joined.records.items() if not each.was_made_by(detector)]
    if strange:
        raise UsageError(
            f"{joined.reports[strange[0]]}: {strange[0]} was inspected with other weights or "
            "another threshold; give the --model and the options that the shards had"
        )
    with closing(results):
        lost = _take(joined, target)
        results.begin(joined.records.values())
        results.finish((), detector)
    for sentence in joined.missing:
        say(sentence)
    if lost:
        say(f"{lost} files of the reports are missing, as maps, masks or pictures")
    if not files.quiet:
        say(f"{results.inspected} parts joined; {results.page}")
    raise typer.Exit(ExitCode.SOME_FAILED if joined.missing or lost else ExitCode.DONE)


def _take(joined: "Joined", target: Path) -> int:
    """Put the files of all reports into the joined one; return how many are missing."""
    from restore.anomaly.shards import take_files
    from restore.errors import OutputError

    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{target}: this folder cannot be made: {error.strerror}") from error
    lost = 0
    for report in dict.fromkeys(joined.reports.values()):
        own = [joined.records[name] for name, of in joined.reports.items() if of == report]
        lost += take_files(own, report, target)
    return lost
