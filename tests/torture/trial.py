"""All that is tried, part by part: files replayed and damaged, runs ended, writes failed."""

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle, islice
from pathlib import Path

from faults import REASONS, build
from mutate import mutant
from pool import Job, Pool
from replay import corpus_files, kinds_of, run_on
from seeds import write_seeds
from table import Result, Table

__all__ = ["KINDS", "Plan", "Trial"]

KINDS = (
    *("picture", "raw", "linear", "weights", "verified", "foreign", "psf"),
    *("checkpoint", "history", "results", "command"),
)
"""What ``Plan.kinds`` may name."""

_SHARES = {"checkpoint": 0.05, "history": 0.05, "weights": 0.3, "verified": 0.3, "results": 0.5}
"""How often kinds are taken that a whole command has to read; a picture has 1."""

_LARGEST_BASE = 200_000
_SHARE_OF_BASES = 5
_FILES_PER_COMMAND = 200
_MUTANTS_PER_FILE_OF_A_COMMAND = 50


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is tried.

    Attributes:
        kinds: Kinds of files to be damaged, in the words of ``judge.py``; ``command`` for pictures
            that are read by the whole command as well.
        mutants: Number of damaged files.
        kills: Number of runs to end.
        faults: Number of writes to fail, chosen at random; None for each one, for every reason.
        corpora: Folders of files to read.
        seed: Seed of all choices.
        jobs: Number of processes.
        memory_mb: Most address space of a process, in MB.
        keep: Folder for files that did not end well.
    """

    kinds: frozenset[str]
    mutants: int
    kills: int
    faults: int | None
    corpora: list[Path]
    seed: int
    jobs: int
    memory_mb: int
    keep: Path


@dataclass(frozen=True)
class _Base:
    """A file to be read, or damaged first."""

    kind: str
    path: Path
    row: str


class Trial:
    """Tries what a plan says and counts in a table what comes of it.

    Args:
        plan: the plan.
        scratch: empty folder.
        table: the table.
    """

    def __init__(self, plan: Plan, scratch: Path, table: Table) -> None:
        self._plan, self._scratch, self._table = plan, scratch, table
        self._seeds = self._written_seeds() if plan.mutants else {}
        self._corpus = [
            _Base(kind, path.resolve(), f"corpus {name}")
            for path, name in corpus_files(plan.corpora)
            for kind in kinds_of(path)
        ]

    def replay(self) -> None:
        """Read every file of the corpora, each by itself and many by one command."""
        self._each(self._job(base) | {"what": "file"} for base in self._corpus)
        pictures = (base.path for base in self._corpus if base.kind == "picture")
        self._command("corpora by the command", ((p.suffix, p.read_bytes()) for p in pictures))

    def mutate(self) -> None:
        """Read damaged files, each by itself and some by one command."""
        self._each(self._mutants(range(self._plan.mutants)))
        some = self._mutants(range(0, self._plan.mutants, _MUTANTS_PER_FILE_OF_A_COMMAND))
        self._command(
            "mutants by the command",
            ((Path(job["path"]).suffix, _damaged(job)) for job in some if job["kind"] == "picture"),
        )

    def kill(self) -> None:
        """End runs at random moments."""
        from runs import RUNS

        self._each(
            {
                "what": "kill",
                "run": name,
                "row": f"kills: {name}",
                "recipe": f"{self._plan.seed}/{number}",
            }
            for number, name in zip(range(self._plan.kills), cycle(RUNS), strict=False)
        )

    def fail(self) -> None:
        """Fail the writes of each run, one after the other."""
        from runs import RUNS

        if self._plan.faults == 0:
            return
        library = build(self._scratch)
        if library is None:
            print("no C compiler, or not Linux: no write was failed", file=sys.stderr)
            return
        preloaded = {"LD_PRELOAD": str(library)}
        counts: dict[str, int] = {}

        def note(job: Job, result: Result, _folder: Path) -> None:
            counts[job["run"]] = int(result.why)

        counting = ({"what": "count", "run": name} for name in RUNS)
        Pool(1, self._scratch, self._plan.memory_mb, preloaded).each(counting, note)
        jobs: list[Job] = [
            {
                "what": "fail",
                "run": name,
                "row": f"failing writes: {name}",
                "number": number,
                "reason": reason,
            }
            for name, count in counts.items()
            for number in range(1, count + 1)
            for reason in REASONS
        ]
        if self._plan.faults is not None:
            rng = random.Random(self._plan.seed)
            jobs = rng.sample(jobs, min(len(jobs), self._plan.faults))
        self._each(jobs, preloaded)

    @cached_property
    def _place(self) -> Path:
        """A folder with the inputs of runs."""
        from runs import write_inputs

        place = self._scratch / "place"
        write_inputs(place)
        return place

    def _written_seeds(self) -> dict[str, list[Path]]:
        written = write_seeds(self._scratch / "seeds", self._plan.kinds)
        return written | self._left_by_stopped_runs()

    def _left_by_stopped_runs(self) -> dict[str, list[Path]]:
        files = {
            "checkpoint": "train/mine.checkpoint",
            "history": "train/mine.history.csv",
            "results": "anomaly/results.jsonl",
        }
        if self._plan.kinds.isdisjoint(files):
            return {}
        script = Path(__file__).with_name("stopped.py")
        subprocess.run([sys.executable, script, self._place], check=True)
        stopped = self._place / "stopped"
        return {kind: [stopped / name] for kind, name in files.items() if kind in self._plan.kinds}

    def _mutants(self, numbers: Iterable[int]) -> Iterator[Job]:
        """Return jobs: a seed at random, and a file of the corpora every fifth time."""
        seeds = [
            _Base(kind, path, _row(kind, path))
            for kind, paths in self._seeds.items()
            for path in paths
        ]
        shares = [_SHARES.get(base.kind, 1.0) for base in seeds]
        small = [base for base in self._corpus if base.path.stat().st_size <= _LARGEST_BASE]
        for number in numbers:
            recipe = f"{self._plan.seed}/{number}"
            rng = random.Random(recipe)
            (base,) = rng.choices(seeds, shares)
            if small and number % _SHARE_OF_BASES == 0:
                chosen = rng.choice(small)
                base = _Base(chosen.kind, chosen.path, "mutants of corpora")
            of_its_kind = self._seeds.get(base.kind, [base.path])
            others = rng.sample(of_its_kind, min(3, len(of_its_kind)))
            yield self._job(base) | {
                "what": "mutant",
                "recipe": recipe,
                "others": list(map(str, others)),
            }

    def _job(self, base: _Base) -> Job:
        needs_a_place = base.kind not in ("picture", "raw", "linear", "foreign", "psf")
        place = str(self._place if needs_a_place else self._scratch)
        return {"kind": base.kind, "path": str(base.path), "row": base.row, "place": place}

    def _each(self, jobs: Iterable[Job], environment: Mapping[str, str] | None = None) -> None:
        pool = Pool(self._plan.jobs, self._scratch, self._plan.memory_mb, environment or {})
        pool.each(jobs, self._note)

    def _note(self, job: Job, result: Result, folder: Path) -> None:
        self._table.add(job["row"], result)
        if result.holds:
            return
        file = None
        if job["what"] in ("file", "mutant"):
            path = Path(job["path"])
            file = folder / f"mutant{path.suffix}" if job["what"] == "mutant" else path
        self._keep(job["row"], result, job, file)

    def _keep(self, row: str, result: Result, job: Job, file: Path | None) -> None:
        """Write down what did not end well, and keep the file."""
        self._plan.keep.mkdir(parents=True, exist_ok=True)
        log = self._plan.keep / "found.jsonl"
        number = len(log.read_bytes().splitlines()) if log.exists() else 0
        kept = None
        if file is not None:
            kept = self._plan.keep / f"{number}{file.suffix}"
            shutil.copyfile(file, kept)
        found = {"row": row, "verdict": result.verdict, "why": result.why, "kept": str(kept)}
        with log.open("a") as lines:
            lines.write(json.dumps(found | {"job": job}) + "\n")

    def _command(self, row: str, files: Iterator[tuple[str, bytes]]) -> None:
        if "command" not in self._plan.kinds:
            return
        weights = self._place / "in" / "net.safetensors"
        while some := list(islice(files, _FILES_PER_COMMAND)):
            folder = self._scratch / "command"
            result = run_on(some, weights, folder, self._plan.memory_mb)
            self._table.add(row, result)
            if not result.holds:
                self._keep(row, result, {"what": "command"}, None)
                shutil.copytree(folder / "pictures", self._plan.keep / row, dirs_exist_ok=True)
            shutil.rmtree(folder)


def _row(kind: str, path: Path) -> str:
    return path.suffix[1:].upper() if kind == "picture" else kind


def _damaged(job: Job) -> bytes:
    others = [Path(other).read_bytes() for other in job["others"]]
    return mutant(Path(job["path"]).read_bytes(), others, job["recipe"])
