"""`imrestore weights`: look at, check, convert, export, round and measure weight files."""

import typer

from imrestore.weights.make import convert, export, measure, round_weights
from imrestore.weights.show import list_weights, show, verify

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="List, show, verify, convert, export, round and measure weights.",
)
app.command("list")(list_weights)
app.command()(show)
app.command()(verify)
app.command()(convert)
app.command()(export)
app.command("round")(round_weights)
app.command()(measure)
