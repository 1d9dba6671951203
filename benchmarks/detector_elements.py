"""What edge profile and textures give a detector: its figures with and without them.

    python benchmarks/detector_elements.py magnetic-tile/ [--model anomaly-magnetic-tile]

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
    """Print a row for each kind of defect, with each of them and without."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="anomaly-magnetic-tile")
    options = parser.parse_args()
    weights = load(options.model)
    inspection = weights.provenance["inspection"]
    rows = []
    with tempfile.TemporaryDirectory(prefix="imrestore-bench-") as folder:
        for name, left_out in (
            ("as stored", {}),
            ("without the edge profile", {"edge_factors": []}),
            ("without textures", {"texture": None}),
        ):
            path = Path(folder) / f"{name}.safetensors"
            told = weights.provenance | {"inspection": inspection | left_out}
            save_weights(replace(weights, provenance=told), path)
            for kind in evaluate_detector(
                Detector(path), find_test_set(options.folder).parts
            ).kinds:
                figures = (kind.image_auroc, kind.pixel_auroc, kind.au_pro)
                told_figures = ["" if value is None else f"{value:.3f}" for value in figures]
                rows.append((name, kind.kind, *told_figures))
    print(table(("detector", "defect", "image AUROC", "pixel AUROC", "AU-PRO@30%"), rows))


if __name__ == "__main__":
    main()
