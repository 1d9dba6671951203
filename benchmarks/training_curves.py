"""What the last minutes of trainings gave: their validation against training time, side by side.

    python benchmarks/training_curves.py NAME.history.csv ... [-o docs/pictures/training-curves.png]

Reads the tables that every training leaves beside its weights, draws one panel for each, and prints
what the validation was at the start, after three quarters and at the end of the time.
"""

import argparse
import csv
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Points = list[tuple[float, float]]
"""Minutes of training and validation."""


def validations(path: Path) -> tuple[str, Points]:
    """Return the name of a history's figure, and its values."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    (figure,) = (key for key in rows[0] if key.startswith("validation"))
    return figure, [(float(row["seconds"]) / 60, float(row[figure])) for row in rows if row[figure]]


def main() -> None:
    """Print a row and draw a panel for each history."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("histories", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, default=Path("training-curves.png"))
    options = parser.parse_args()
    columns = min(3, len(options.histories))
    rows = -(-len(options.histories) // columns)
    sheet = Figure(figsize=(4 * columns, 3 * rows), layout="constrained")
    FigureCanvasAgg(sheet)
    print("| training | minutes | first | after 3/4 of the time | last |\n|---|---|---|---|---|")
    for place, path in enumerate(options.histories, 1):
        figure, points = validations(path)
        name, minutes = path.name.removesuffix(".history.csv"), points[-1][0]
        late = next(value for when, value in points if when >= 0.75 * minutes)
        print(f"| {name} | {minutes:.0f} | {points[0][1]:.2f} | {late:.2f} | {points[-1][1]:.2f} |")
        axis = sheet.add_subplot(rows, columns, place, title=name, xlabel="minutes")
        axis.plot(*zip(*points, strict=True), marker=".")
        axis.set_ylabel(figure.removeprefix("validation_").replace("_", " "))
    sheet.savefig(options.output, dpi=100)


if __name__ == "__main__":
    main()
