"""`imrestore train`: new weights from a folder of pictures."""

import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imrestore.exits import say

if TYPE_CHECKING:
    from restore.training.loop import Progress

app = typer.Typer(no_args_is_help=True, help="Train new weights from a folder of pictures.")

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@app.callback()
def train() -> None:
    """Train new weights from a folder of pictures."""


@app.command()
def denoise(
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="NAME.safetensors", help="Weight file to write."),
    ],
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]", help="Folder (tree) of clean pictures.", show_default=False
        ),
    ] = None,
    pairs: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="NOISY CLEAN",
            help="Train on two folders with the same file names instead of adding noise to DIR.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[str, typer.Option(help="Network: dncnn or resunet.")] = "resunet",
    gray: Annotated[
        bool, typer.Option("--gray/--color", help="Train for gray or for colour pictures.")
    ] = False,
    depth: Annotated[int, typer.Option(help="Layers of a DnCNN.")] = 20,
    width: Annotated[
        str | None,
        typer.Option(
            metavar="N[,N...]",
            help="Feature channels: one number for a DnCNN (64), one per level for a ResUNet "
            "(32,64,128,128).",
            show_default=False,
        ),
    ] = None,
    batch_norm: Annotated[
        bool, typer.Option("--batch-norm", help="Train a DnCNN with batch normalisation.")
    ] = False,
    sigma: Annotated[
        str, typer.Option(metavar="LOW:HIGH", help="Range of the noise level, of 255.")
    ] = "0:55",
    steps: Annotated[
        int | None, typer.Option(metavar="N", help="Train for N steps.", show_default=False)
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Train for this long: 90s, 30m, 2h or 1d.", show_default=False
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the stopped run of the same output.")
    ] = False,
    start_from: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="NAME|FILE",
            help="Begin with these weights; a shallower DnCNN grows to --depth.",
            show_default=False,
        ),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Learn the results of these weights instead of the clean pictures.",
            show_default=False,
        ),
    ] = None,
    patch: Annotated[
        int | None,
        typer.Option(
            metavar="PX", help="Side of the crops (dncnn: 48, resunet: 64).", show_default=False
        ),
    ] = None,
    batch: Annotated[int, typer.Option(metavar="N", help="Crops per step.")] = 16,
    learning_rate: Annotated[float, typer.Option(help="Peak learning rate of Adam.")] = 5e-4,
    loss: Annotated[str, typer.Option(help="l1 or l2.")] = "l1",
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16 (autocast).")] = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing output and its checkpoint.")
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print errors only.")] = False,
) -> None:
    """Train a denoiser on clean pictures (noise is added) or on pairs of pictures.

    A checkpoint is written beside the output every two minutes and when the run is stopped
    (Ctrl-C, SIGTERM); --resume continues from it.

    Examples:
      imrestore train denoise photos/ -o mine.safetensors --time 2h

      imrestore train denoise photos/ -o gray.safetensors --gray --model dncnn --sigma 25:25

      imrestore train denoise --pairs noisy/ clean/ -o camera.safetensors --steps 20000
    """
    from restore.errors import TrainingStopped
    from restore.training.denoise import train_denoiser
    from restore.training.recipes import DenoiseRecipe

    low, high = _range(sigma)
    recipe = DenoiseRecipe(
        model=model,
        channels=1 if gray else 3,
        depth=depth,
        widths=_widths(width),
        batch_norm=batch_norm,
        sigma=(low, high),
        patch=patch or (48 if model == "dncnn" else 64),
        batch=batch,
        learning_rate=learning_rate,
        loss=loss,
        steps=steps,
        seconds=None if time is None else _seconds(time),
        seed=seed,
    )
    with _stop_on_signal() as caught, _progress(quiet) as report:
        try:
            weights = train_denoiser(
                recipe,
                output,
                clean=folder,
                pairs=pairs,
                start_from=start_from,
                teacher=teacher,
                device=device,
                precision=precision,
                resume=resume,
                overwrite=overwrite,
                report=report,
                warn=lambda line: None if quiet else say(line),
                should_stop=lambda: bool(caught),
            )
        except TrainingStopped as stopped:
            say(str(stopped))
            raise typer.Exit(128 + caught[0]) from stopped
    if not quiet:
        say(f"{output}: {weights.parameters:,} parameters")


def _range(text: str) -> tuple[float, float]:
    from restore.errors import UsageError

    low, _, high = text.partition(":")
    try:
        return float(low), float(high or low)
    except ValueError:
        raise UsageError(f"--sigma {text}: give LOW:HIGH, as in 0:55, or one number") from None


def _widths(text: str | None) -> tuple[int, ...]:
    from restore.errors import UsageError

    try:
        widths = tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError:
        widths = (0,)
    if any(width < 1 for width in widths):
        raise UsageError(f"--width {text}: give positive whole numbers, as in 32,64,128,128")
    return widths


def _seconds(text: str) -> float:
    from restore.errors import UsageError

    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not match:
        raise UsageError(f"--time {text}: give a number with s, m, h or d, as in 90s or 2h")
    return float(match[1]) * _SECONDS[match[2]]


@contextmanager
def _stop_on_signal() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM, so that the loop can write its checkpoint first.

    A second signal is not collected: it ends the run at once.
    """
    caught: list[int] = []

    def note(number: int, _frame: Any) -> None:
        caught.append(number)
        for known, handler in before.items():
            signal.signal(known, handler)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(quiet: bool) -> "Iterator[Callable[[Progress], None]]":
    """Show a bar on a terminal, and elsewhere one line a minute."""
    from tqdm import tqdm

    terminal = sys.stderr.isatty()
    last_line = -60.0
    with tqdm(
        total=100,
        disable=quiet or not terminal,
        bar_format="{percentage:3.0f}%|{bar}| {postfix}",
        file=sys.stderr,
    ) as bar:

        def report(progress: "Progress") -> None:
            nonlocal last_line
            line = _progress_line(progress)
            if terminal:
                bar.n = round(100 * progress.progress, 2)
                bar.set_postfix_str(line)
            elif not quiet and progress.elapsed - last_line >= 60:
                last_line = progress.elapsed
                say(line)

        yield report


def _progress_line(progress: "Progress") -> str:
    left = progress.elapsed * (1 / max(progress.progress, 1e-6) - 1)
    validation = progress.validation_psnr
    parts = [
        f"step {progress.step}",
        f"loss {progress.loss:.5f}",
        *([f"validation {validation:.2f} dB"] if validation is not None else []),
        f"{progress.images_per_second:.0f} crops/s",
        f"{_clock(left)} left",
    ]
    return ", ".join(parts)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
