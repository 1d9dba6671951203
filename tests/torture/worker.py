"""A worker process: takes jobs as lines of JSON and answers each with a line of JSON."""

import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pool import HANGING_SECONDS
from table import Result

__all__: list[str] = []

Do = Callable[[dict[str, Any]], Result]


def main(folder: Path, memory_mb: int) -> None:
    """Do jobs until standard input ends."""
    jobs, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what libraries print is no answer
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)  # a shell may have had them ignored
    os.environ |= {"OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(folder / "cache")}
    doing: Do | None = None
    for line in jobs:
        job = json.loads(line)
        if doing is None:
            is_run = job["what"] in ("kill", "count", "fail")
            doing = _runs(folder) if is_run else _files(folder, memory_mb)
        # A file that never ends ends this process.
        signal.setitimer(signal.ITIMER_PROF, HANGING_SECONDS)
        print(json.dumps(asdict(doing(job))), file=answers, flush=True)


def _files(folder: Path, memory_mb: int) -> Do:
    """Return what judges files: each job names one, or one to be damaged first."""
    os.environ["IMRESTORE_ENGINE"] = "pytorch"  # OpenVINO would convert each network first
    from imrestore.output import say_warnings
    from judge import Judge
    from mutate import mutant

    say_warnings()
    most = memory_mb << 20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    wholes: dict[Path, bytes] = {}
    known: set[str] = set()

    def whole(name: str) -> bytes:
        path = Path(name)
        if path not in wholes:
            wholes[path] = path.read_bytes()
        return wholes[path]

    def do(job: dict[str, Any]) -> Result:
        path = Path(job["path"])
        os.chdir(job["place"])
        judge = Judge(folder, Path(job["place"]))
        if job["what"] == "mutant":
            if job["kind"] not in known:  # what a first file has imported is not its memory
                known.add(job["kind"])
                judge(job["kind"], path)
            damaged = mutant(whole(job["path"]), [whole(o) for o in job["others"]], job["recipe"])
            path = folder / f"mutant{path.suffix}"
            path.write_bytes(damaged)
        return judge(job["kind"], path)

    return do


def _runs(folder: Path) -> Do:
    """Return what tries runs: ends one, counts its writes, or fails one of them."""
    from faults import count_writes, fail_once
    from forked import import_everything
    from kill import Site, kill_once
    from runs import RUNS
    from table import Verdict

    import_everything()
    sites = {name: Site(folder / name, run) for name, run in RUNS.items()}

    def do(job: dict[str, Any]) -> Result:
        site = sites[job["run"]]
        if job["what"] == "kill":
            return kill_once(site, job["recipe"])
        if job["what"] == "count":
            return Result(verdict=Verdict.ACCEPTED, why=str(count_writes(site)))
        return fail_once(site, job["number"], job["reason"])

    return do


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
