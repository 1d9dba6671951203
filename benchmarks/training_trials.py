"""What buys most in the same training time: short runs that differ in one thing each.

    python benchmarks/training_trials.py bsds432/ --seconds 200 [NAME ...]

Each trial trains a gray network from scratch for the same processor time on one thread in bfloat16
and is judged by its best validation PSNR at sigma 25, on eight pictures that it is not trained on.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from restore.denoise.recipe import DenoiseRecipe
from restore.denoise.train import train_denoiser
from restore.training.schedule import Progress
from restore.training.session import Settings

RESUNET = DenoiseRecipe(
    model="resunet", channels=1, sigma=(0, 75), patch=64, batch=8, ema=0.99, seconds=1
)
DNCNN = replace(RESUNET, model="dncnn", sigma=(0, 55), patch=40)
TRIALS = {
    "resunet": RESUNET,
    "resunet, Adam": replace(RESUNET, optimizer="adam"),
    "resunet, Adam, learning rate 5e-4": replace(RESUNET, optimizer="adam", learning_rate=5e-4),
    "resunet, Adam, learning rate 3e-3": replace(RESUNET, optimizer="adam", learning_rate=3e-3),
    "resunet, learning rate 5e-4": replace(RESUNET, learning_rate=5e-4),
    "resunet, learning rate 2e-3": replace(RESUNET, learning_rate=2e-3),
    "resunet, batch 4": replace(RESUNET, batch=4),
    "resunet, batch 16": replace(RESUNET, batch=16),
    "resunet, patch 96": replace(RESUNET, patch=96, batch=4),
    "resunet, L2": replace(RESUNET, loss="l2"),
    "resunet, step schedule": replace(RESUNET, schedule="step"),
    "dncnn": DNCNN,
    "dncnn, Adam": replace(DNCNN, optimizer="adam"),
    "dncnn, 8 layers": replace(DNCNN, depth=8),
    "dncnn, batch normalisation": replace(DNCNN, batch_norm=True),
    "dncnn, L2": replace(DNCNN, loss="l2"),
}


def best_psnr(recipe: DenoiseRecipe, folder: Path) -> tuple[int, float]:
    """Return the number of steps and the best validation in dB."""
    seen: list[Progress] = []
    with tempfile.TemporaryDirectory() as temporary:
        output = Path(temporary) / "trial.safetensors"
        settings = Settings(
            device="cpu", precision="bf16", checkpoint_every=1e9, clock=time.process_time
        )
        train_denoiser(recipe, output, clean=folder, settings=settings, report=seen.append)
    return seen[-1].step, seen[-1].best or 0.0


def main() -> None:
    """Run the trials and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="clean pictures")
    parser.add_argument("names", nargs="*", help="trials to run; all by default", default=TRIALS)
    parser.add_argument("--seconds", type=float, default=200)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| trial | steps | PSNR |\n|---|---|---|")
    for name in options.names:
        steps, psnr = best_psnr(replace(TRIALS[name], seconds=options.seconds), options.folder)
        print(f"| {name} | {steps} | {psnr:.2f} |", flush=True)


if __name__ == "__main__":
    main()
