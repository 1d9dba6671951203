"""The plot of a photon transfer curve."""

import io

import numpy as np

from restore.noise.photon_transfer import Measured

__all__ = ["plotted"]

_COLOURS = ("tab:red", "tab:green", "tab:blue")
_DARKEST = 1e-4


def plotted(measured: Measured) -> bytes:
    """Return a PNG: noise against light, points as measured and curves as fitted.

    Where there were no flat frames, the curve alone is drawn, dashed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    light = np.geomspace(_DARKEST, 1, 100)
    for speed in measured.camera.speeds:
        own = [point for point in measured.points if point.iso == speed.iso]
        for colour, name in enumerate(_COLOURS):
            points = [point for point in own if point.colour == colour and point.variance > 0]
            axis.plot(
                [max(point.light, _DARKEST) for point in points],
                [point.variance**0.5 for point in points],
                ".",
                color=name,
                markersize=2,
                alpha=0.5,
            )
            sigma = np.sqrt(speed.a[colour] * light + speed.b[colour])
            axis.plot(light, sigma, "-" if own else "--", color=name, linewidth=0.8)
        last = float(np.sqrt(speed.a[1] + speed.b[1]))
        axis.annotate(f"ISO {speed.iso:g}", (1, last), xytext=(4, 0), textcoords="offset points")
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("light (white is 1)")
    axis.set_ylabel("standard deviation of the noise (white is 1)")
    axis.set_title(measured.camera.name)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    return picture.getvalue()
