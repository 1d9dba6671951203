"""`imrestore train`: new weights from folders of pictures."""

import typer

from imrestore.train.anomaly import anomaly
from imrestore.train.dark_enhance import dark_enhance
from imrestore.train.denoise import denoise
from imrestore.train.hdr import hdr

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Train new weights from folders of pictures.")


@app.callback()
def train() -> None:
    """Train new weights from folders of pictures."""


app.command("anomaly")(anomaly)
app.command("denoise")(denoise)
app.command("hdr")(hdr)
app.command("dark-enhance")(dark_enhance)
