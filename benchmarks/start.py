"""How long the command takes to start: its help, and one small picture from cold start to file.

    python benchmarks/start.py [--model NAME] [--rounds 5]

The first row is a run that must export the network; the cache of the user is left alone.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from pictures import CLEAN, make_pictures
from processes import Cost, in_a_process, run
from tables import spread, table

SIDE = 512


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="photo")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    program = [sys.executable, "-m", "imrestore"]
    with tempfile.TemporaryDirectory(prefix="imrestore-bench-") as name:
        folder = Path(name)
        in_a_process(make_pictures, CLEAN, folder, 1, SIDE**2 / 1e6)
        environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
        picture, result = folder / "noisy" / "0.png", folder / "restored.png"
        denoise = [*program, "denoise", str(picture), "-o", str(result), "--overwrite", "--quiet"]
        denoise += ["--model", options.model]
        what = f"{SIDE}x{SIDE} through `{options.model}`"
        costs: dict[str, list[Cost]] = {
            f"{what}, first time": [run(denoise, environment)],
            what: [],
            "`--help`": [],
        }
        for _ in range(options.rounds):
            costs[what].append(run(denoise, environment))
            costs["`--help`"].append(run([*program, "--help"], environment))
    rows = (
        (name, spread([each.wall_s for each in runs]), spread([each.cpu_s for each in runs]))
        for name, runs in costs.items()
    )
    print(table(("run", "s by the clock", "processor s"), rows))


if __name__ == "__main__":
    main()
