"""The picture of a training: loss and validation over steps."""

import io
from collections.abc import Mapping, Sequence

from restore.training.schedule import Figure

__all__ = ["curve_of"]


def curve_of(rows: Sequence[Mapping[str, str]], figure: Figure) -> bytes:
    """Return a PNG.

    Args:
        rows: Rows of the history, with the columns step, loss and that of ``figure``.
        figure: What validation measures.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(canvas)
    left = canvas.subplots()
    right = left.twinx()
    for axis, key, colour, label in (
        (left, "loss", "tab:gray", "loss (running mean)"),
        (right, figure.key, "tab:blue", f"validation {figure.label}"),
    ):
        points = [(int(row["step"]), float(row[key])) for row in rows if row[key]]
        if points:
            axis.plot(*zip(*points, strict=True), color=colour)
        axis.set_ylabel(label, color=colour)
    if all(float(row["loss"]) > 0 for row in rows if row["loss"]):  # likelihoods may be below 0
        left.set_yscale("log")
    left.set_xlabel("step")
    picture = io.BytesIO()
    canvas.savefig(picture, format="png", dpi=120)
    return picture.getvalue()
