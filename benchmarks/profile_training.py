"""Where the time of a training goes: processor seconds of its parts, on one thread.

    python benchmarks/profile_training.py bsds432/ [--steps 60]

Forward and backward is all that is differentiated; data is cutting crops and making them noisy; the
optimiser includes the clipping of gradients and the averaging of weights.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from restore.denoise.recipe import DenoiseRecipe
from restore.denoise.train import train_denoiser
from restore.training import loop
from restore.training.schedule import Progress
from restore.training.session import Settings

WARM_UP = 5
RECIPES = {
    "ResUNet, colour, sigma 0 to 75": DenoiseRecipe(sigma=(0, 75), steps=1),
    "ResUNet, colour, camera noise": DenoiseRecipe(noise=("camera",), blind=True, steps=1),
    "DnCNN, gray, sigma 0 to 55": DenoiseRecipe(model="dncnn", channels=1, patch=40, steps=1),
}


@contextmanager
def clocks(spent: dict[str, float]) -> Iterator[None]:
    """Count the processor seconds of the parts of every step."""

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            started = time.process_time()
            try:
                return function(*arguments, **options)
            finally:
                spent[name] += time.process_time() - started

        return call

    trainer = loop.Trainer
    with (
        patch.object(trainer, "_drawn", timed("data", trainer._drawn)),
        patch.object(trainer, "_forward", timed("forward", trainer._forward)),
        patch.object(torch.autograd, "backward", timed("backward", torch.autograd.backward)),
        patch.object(trainer, "_update", timed("step", trainer._update)),
        patch.object(trainer, "_validate", lambda _self: False),
    ):
        yield


def shares(recipe: DenoiseRecipe, folder: Path, steps: int) -> dict[str, float]:
    """Return the share of each part."""
    spent: dict[str, float] = defaultdict(float)

    def report(progress: Progress) -> None:
        if progress.step == WARM_UP:
            spent.clear()

    with clocks(spent), tempfile.TemporaryDirectory() as temporary:
        train_denoiser(
            DenoiseRecipe(**{**vars(recipe), "steps": WARM_UP + steps}),
            Path(temporary) / "profiled.safetensors",
            clean=folder,
            settings=Settings(device="cpu", precision="bf16", checkpoint_every=1e9),
            report=report,
        )
    total = spent["data"] + spent["step"]
    network = spent["forward"] + spent["backward"]
    return {
        "forward and backward": network / total,
        "optimiser": (spent["step"] - network) / total,
        "data": spent["data"] / total,
    }


def main() -> None:
    """Print a row for each recipe."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="clean pictures")
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| training | forward and backward | optimiser | data |\n|---|---|---|---|")
    for name, recipe in RECIPES.items():
        cells = " | ".join(
            f"{share:.0%}" for share in shares(recipe, options.folder, options.steps).values()
        )
        print(f"| {name} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
