"""What the edge profile of a detector gives: its figures with and without it.

    python benchmarks/edge_profile.py magnetic-tile/ [--model anomaly-magnetic-tile]

The folder has MVTec's layout. Figures are those of `imrestore evaluate anomaly`.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from restore.anomaly.evaluate import evaluate_detector
from restore.anomaly.runner import Detector
from restore.anomaly.testset import find_test_set
from restore.tasks import load
from restore.weights.store import save_weights
from tables import table


def main() -> None:
    """Print a row for each kind of defect, with the profile and without."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="anomaly-magnetic-tile")
    options = parser.parse_args()
    weights = load(options.model)
    inspection = weights.provenance["inspection"]
    rows = []
    with tempfile.TemporaryDirectory(prefix="imrestore-bench-") as folder:
        for name, factors in (("with", inspection["edge_factors"]), ("without", [])):
            path = Path(folder) / f"{name}.safetensors"
            told = weights.provenance | {"inspection": inspection | {"edge_factors": factors}}
            save_weights(replace(weights, provenance=told), path)
            for kind in evaluate_detector(
                Detector(path), find_test_set(options.folder).parts
            ).kinds:
                figures = (kind.image_auroc, kind.pixel_auroc, kind.au_pro)
                told_figures = ["" if value is None else f"{value:.3f}" for value in figures]
                rows.append((name, kind.kind, *told_figures))
    print(table(("edge profile", "defect", "image AUROC", "pixel AUROC", "AU-PRO@30%"), rows))


if __name__ == "__main__":
    main()
