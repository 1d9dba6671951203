"""Which made defects a detector finds: AUROC against good parts, kind by kind.

    python benchmarks/made_defects.py part.safetensors parts/good [--count 40]

Give good parts that the detector was not trained on. Each is scored in full, as it is and with one
defect of every kind; figures for several ways to make one score of a map stand side by side.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from restore.anomaly.defects import KINDS, make_defect
from restore.anomaly.metrics import auroc
from restore.anomaly.part import read_part
from restore.anomaly.perlin import Dice
from restore.anomaly.runner import Detector
from restore.batch.inputs import pictures_in

Map = NDArray[np.float32]

WAYS: dict[str, Callable[[Map], float]] = {
    "highest": lambda scores: float(scores.max()),
    "mean of the top 0.1 %": lambda scores: _top(scores, 0.001),
    "mean of the top 1 %": lambda scores: _top(scores, 0.01),
    "mean": lambda scores: float(scores.mean()),
}


def _top(scores: Map, share: float) -> float:
    count = max(1, int(scores.size * share))
    return float(np.partition(scores.ravel(), -count)[-count:].mean())


def main() -> None:
    """Score good and spoilt parts and print a row for each kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="weight file or name")
    parser.add_argument("folder", type=Path, help="good parts")
    parser.add_argument("--count", type=int, default=40, help="parts to use")
    options = parser.parse_args()
    torch.set_num_threads(1)
    detector = Detector(options.model, threshold=0.0)
    paths = pictures_in(options.folder, recursive=True)[: options.count]
    dice = Dice(torch.Generator().manual_seed(0), torch.Generator().manual_seed(1))
    maps: dict[str, list[Map]] = {name: [] for name in ("good", *KINDS)}
    for path in paths:
        part = torch.from_numpy(read_part(path).pixels)
        maps["good"].append(detector.network(part.numpy()).scores)
        for name, kind in KINDS.items():
            # The other part would need the same size: the same one turned serves as well.
            spoilt, mask = make_defect(part, part.flip(1), kind, dice)
            if mask.any():
                maps[name].append(detector.network(spoilt.numpy()).scores)
    print("| defect | made | " + " | ".join(WAYS) + " |\n|" + "---|" * (2 + len(WAYS)))
    for name in KINDS:
        cells = [
            auroc([way(each) for each in maps["good"]], [way(each) for each in maps[name]])
            for way in WAYS.values()
        ]
        figures = " | ".join("-" if cell is None else f"{cell:.3f}" for cell in cells)
        print(f"| {name} | {len(maps[name])} | {figures} |")


if __name__ == "__main__":
    main()
