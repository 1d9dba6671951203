"""All subcommands under one name."""

from typing import Annotated

import typer

from imrestore import dark_enhance, denoise, hdr, noise_profile
from imrestore.anomaly import app as anomaly
from imrestore.evaluate import app as evaluate
from imrestore.manifest import app as manifest
from imrestore.option_names import as_option
from imrestore.serve import serve
from imrestore.train import app as train
from imrestore.weights import app as weights
from restore.arguments import naming_with

__all__ = ["app"]

app = typer.Typer(
    name="imrestore",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("denoise")(denoise.denoise)
app.command("dark-enhance")(dark_enhance.dark_enhance)
app.add_typer(anomaly, name="anomaly")
app.command("hdr")(hdr.hdr)
app.command("noise-profile")(noise_profile.noise_profile)
app.command("serve")(serve)
app.add_typer(train, name="train")
app.add_typer(evaluate, name="evaluate")
app.add_typer(weights, name="weights")
app.add_typer(manifest, name="manifest")


def _name_manuals(group: typer.Typer, name: str) -> None:
    """End the help of a group and of all its commands with where their documentation is."""

    def manual(page: str) -> str:
        return f"Manual: man {page}. Documentation: docs/index.md of the project, or make docs."

    group.info.epilog = manual(name)
    for command in group.registered_commands:
        function = command.callback
        own = command.name or (function.__name__.replace("_", "-") if function else "")
        command.epilog = manual(f"{name}-{own}")
    for inner in group.registered_groups:
        if inner.typer_instance and inner.name:
            _name_manuals(inner.typer_instance, f"{name}-{inner.name}")


_name_manuals(app, "imrestore")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"imrestore {version('imrestore')}")
        raise typer.Exit


@app.callback()
def imrestore(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version and exit.",
            callback=_print_version,
            is_eager=True,
        ),
    ] = False,
    # main takes --debug out of the command line, wherever it stands.
    debug: Annotated[
        bool,
        typer.Option(
            "--debug",
            help="Print the traceback of an error; may also stand after COMMAND.",
        ),
    ] = False,
) -> None:
    """Denoise and restore photographs with trained neural networks.

    Exit codes: 0 all done; 1 some inputs failed, the others are done; 2 wrong usage or nothing
    to do; 3 defects found, with anomaly --fail-on-anomaly; 70 a bug; 130 and 143 stopped by a
    signal; 141 standard output was closed.

    \b
    Examples:
      imrestore denoise photo.jpg -o clean.jpg
      imrestore denoise photos/ -r -o clean/ --compare
      imrestore dark-enhance night.nef -o night.png
      imrestore anomaly parts/ --model part.safetensors -o report
      imrestore train denoise photos/ -o mine.safetensors --time 2h
      imrestore --install-completion
    """  # noqa: D301 (the escape is Typer's mark for lines to be kept)
    del version, debug  # a callback and main have seen to them
    context.with_resource(naming_with(as_option))
