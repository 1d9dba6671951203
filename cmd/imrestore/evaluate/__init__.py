"""`imrestore evaluate`: how good networks are, measured."""

import typer

from imrestore.evaluate.anomaly import anomaly
from imrestore.evaluate.dark_enhance import dark_enhance
from imrestore.evaluate.denoise import denoise
from imrestore.evaluate.hdr import hdr

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Measure how good networks and results are.")


@app.callback()
def evaluate() -> None:
    """Measure how good networks and results are."""


app.command("anomaly")(anomaly)
app.command("denoise")(denoise)
app.command("dark-enhance")(dark_enhance)
app.command("hdr")(hdr)
