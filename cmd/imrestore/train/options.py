"""The options that all trainings share, and how lists and ranges of numbers are read."""

import glob
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imrestore.recipes import load_recipe
from restore.checks import LARGEST_SEED, seconds_in

if TYPE_CHECKING:
    from restore.training.session import Settings

__all__ = ["TrainingOptions", "layer_widths", "number_range"]


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """Which file a training writes, how long it takes, and where it runs."""

    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="NAME.safetensors", help="Weight file to write."),
    ]
    steps: Annotated[
        int | None, typer.Option(metavar="N", help="Train for N steps.", show_default=False)
    ] = None
    time: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Training time: 90s, 30m, 2h or 1d. The learning-rate schedule ends with it.",
            show_default=False,
        ),
    ] = None
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue the stopped run of the same output; --steps or --time may be larger.",
        ),
    ] = False
    resume_auto: Annotated[
        bool,
        typer.Option(
            "--resume-auto",
            help="Start, continue a stopped run, or end at once where the output is finished, "
            "whichever it is: for jobs that are requeued. Also written --resume auto.",
        ),
    ] = False
    batch: Annotated[int, typer.Option(metavar="N", help="Crops per step, all processes.")] = 16
    accumulate: Annotated[
        int,
        typer.Option(
            metavar="N", help="Compute each batch in N parts one after the other, to save memory."
        ),
    ] = 1
    optimizer: Annotated[
        str,
        typer.Option(
            metavar="muon|adam",
            help="Muon orthogonalises the updates of hidden convolutions and gets further in the "
            "same time.",
        ),
    ] = "muon"
    learning_rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 1e-3
    schedule: Annotated[
        str,
        typer.Option(
            metavar="cosine|step",
            help="How the learning rate falls: along a cosine, or to a tenth from 60 % of the "
            "run and a hundredth from 90 %.",
        ),
    ] = "cosine"
    warmup: Annotated[
        int, typer.Option(metavar="N", min=0, help="Steps in which the learning rate rises.")
    ] = 100
    weight_decay: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Share of the weights that a step of learning rate 1 removes.",
            show_default="0.3 of muon's kernels, else 0",
        ),
    ] = None
    early_stop: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="End when N validations in a row, of 20 in the whole run, bring no improvement.",
            show_default=False,
        ),
    ] = None
    seed: Annotated[
        int,
        typer.Option(metavar="N", min=0, max=LARGEST_SEED, help="Seed of all random numbers."),
    ] = 0
    device: Annotated[
        str, typer.Option(metavar="auto|cpu|cuda[:N]|mps", help="Where to train.")
    ] = "auto"
    precision: Annotated[
        str,
        typer.Option(
            metavar="auto|fp32|bf16",
            help="Number format of the forward pass. Weights trained in bf16 lose next to nothing "
            "when they run in bf16.",
        ),
    ] = "auto"
    compile: Annotated[
        bool,
        typer.Option("--compile", help="Compile the network first (minutes; needs a compiler)."),
    ] = False
    checkpoint_every: Annotated[
        str, typer.Option(metavar="TIME", help="Time between checkpoints.")
    ] = "2m"
    cache: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keep decoded pictures in this folder, memory-mapped: as many as the disk holds. "
            "Later runs, and others at the same time, need not decode them again. Without it, "
            "memory holds 4 GiB of them.",
            show_default=False,
        ),
    ] = None
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="auto|HOST:PORT",
            help="Train on the machines of a Ray cluster, which this command runs on one of. "
            "Pictures and output are on a drive that all of them mount, or in a bucket.",
            show_default="this machine alone",
        ),
    ] = None
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=1024,
            help="With --cluster, how many processes train: each takes a GPU or, where there are "
            "none, its share of the cores. When one is lost, all continue from the last "
            "checkpoint.",
            show_default=False,
        ),
    ] = None
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing output and its checkpoint.")
    ] = False
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml",
            help="Take arguments and options from a recipe file, one `key = value` each; what the "
            "command line says comes first.",
            show_default=False,
            is_eager=True,
            callback=load_recipe,
        ),
    ] = None
    print_config: Annotated[
        bool,
        typer.Option("--print-config", help="Print this command line as a recipe file, and end."),
    ] = False
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print errors only.")] = False

    def schedule_values(self) -> dict[str, Any]:
        """Return the recipe fields that all tasks share, except the patch size.

        Raises:
            UsageError: a time is malformed.
        """
        return {
            "steps": self.steps,
            "seconds": None if self.time is None else seconds_in("time", self.time),
            "batch": self.batch,
            "accumulate": self.accumulate,
            "optimizer": self.optimizer,
            "learning_rate": self.learning_rate,
            "schedule": self.schedule,
            "warmup": self.warmup,
            "weight_decay": self.weight_decay,
            "early_stop": self.early_stop,
            "seed": self.seed,
        }

    @property
    def finished(self) -> Path | None:
        """The output if --resume auto finds it, and nothing to continue."""
        is_done = self.resume_auto and self.output.exists() and not self._is_begun
        return self.output if is_done else None

    @property
    def _is_begun(self) -> bool:
        """Whether a stopped run of the same output, or of one of its folds, is there."""
        stem, folder = self.output.stem, self.output.parent
        folds = folder.glob(f"{glob.escape(stem)}.fold[0-9]*")
        return (folder / f"{stem}.checkpoint").exists() or any(folds)

    def settings(self) -> "Settings":
        """Return how the training runs.

        Raises:
            UsageError: a time is malformed.
        """
        from restore.training.session import Settings

        return Settings(
            device=self.device,
            precision=self.precision,
            compiled=self.compile,
            checkpoint_every=seconds_in("checkpoint_every", self.checkpoint_every),
            resume=self.resume or (self.resume_auto and self._is_begun),
            overwrite=self.overwrite,
            cache=self.cache,
        )


def number_range(option: str, text: str, example: str) -> tuple[float, float]:
    """Return the range that ``LOW:HIGH``, or one number, stands for.

    Raises:
        UsageError: the text is neither.
    """
    from restore.errors import UsageError

    low, _, high = text.partition(":")
    try:
        return float(low), float(high or low)
    except ValueError:
        raise UsageError(
            f"{option} {text}: give LOW:HIGH, as in {example}, or one number"
        ) from None


def layer_widths(text: str | None, example: str) -> tuple[int, ...]:
    """Return the feature channels in ``N[,N...]``; empty for the network's default.

    Raises:
        UsageError: one is not a positive whole number.
    """
    from restore.errors import UsageError

    try:
        widths = tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError:
        widths = (0,)
    if any(width < 1 for width in widths):
        raise UsageError(f"--width {text}: give positive whole numbers, as in {example}")
    return widths
