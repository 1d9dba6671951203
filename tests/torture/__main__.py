"""Feeds imrestore damaged files, ends its runs at random, and fails its writes.

    python tests/torture [--mutants N] [--kills N] [--faults N] [--corpus DIR ...]
        [--kinds KIND ...] [--seed N] [--jobs N] [--memory MB] [--keep DIR]

Prints one table, and exits with 1 unless all columns after "refused in one line" are zero.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from table import Table
from trial import KINDS, Plan, Trial

__all__: list[str] = []


def main() -> int:
    """Try everything, print the table, and return the exit code."""
    plan, table, started = _plan(), Table(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="torture-") as scratch:
        trial = Trial(plan, Path(scratch), table)
        for part in (trial.replay, trial.mutate, trial.kill, trial.fail):
            part()
            print(f"{part.__name__}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    print(table)
    if not table.holds:
        print(f"what did not end well is in {plan.keep}", file=sys.stderr)
    return 0 if table.holds else 1


def _plan() -> Plan:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--kinds", nargs="+", choices=KINDS, default=KINDS, help="what is read; default: all"
    )
    parser.add_argument("--mutants", type=int, default=10_000, help="damaged files to read")
    parser.add_argument("--kills", type=int, default=100, help="runs to end at random moments")
    parser.add_argument(
        "--faults", type=int, help="writes to fail, chosen at random; default: each one"
    )
    parser.add_argument(
        "--corpus", type=Path, nargs="*", default=[], help="folders of files to read"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of all choices")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--memory", type=int, default=8000, help="most MB that one may ask for")
    parser.add_argument(
        "--keep", type=Path, default=Path("build/torture"), help="folder for what did not end well"
    )
    given = parser.parse_args()
    return Plan(
        kinds=frozenset(given.kinds),
        mutants=given.mutants,
        kills=given.kills,
        faults=given.faults,
        corpora=given.corpus,
        seed=given.seed,
        jobs=given.jobs,
        memory_mb=given.memory,
        keep=given.keep.resolve(),
    )


if __name__ == "__main__":
    sys.exit(main())
