"""What training on noisy pictures alone costs, beside clean ones: the same network and time.

    python benchmarks/noisy_training.py bsds432/ kodak24/ --seconds 120 [--from NAME]
    python benchmarks/noisy_training.py bsds432/ kodak24/ downscaled blind-spot --noise blurred
    python benchmarks/noisy_training.py bsds432/ kodak24/ downscaled n2v --careamics PYTHON

White noise of sigma 25 is added to the training pictures once, in floating point; the clean ones
are not seen again by what trains on the noisy ones. All trainings take the same processor time on
one thread. What comes out denoises the test pictures as `imrestore evaluate denoise --sigma 25` has
it. Instead, the noise is that of 30 photons in white (shot), or the white noise blurred by 0.8
pixels (blurred). n2v and n2v2 are Noise2Void and N2V2 of CAREamics, run by an interpreter that has
it (`pip install torch torchvision careamics 'setuptools<81'`).
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from restore.batch.inputs import pictures_in
from restore.denoise.evaluate import GaussianNoise, Score, evaluate_denoiser
from restore.denoise.noisy_recipe import NoisyRecipe
from restore.denoise.noisy_train import train_on_noisy
from restore.denoise.recipe import DenoiseRecipe
from restore.denoise.runner import Denoiser
from restore.denoise.train import train_denoiser
from restore.image.decode import decode
from restore.image.metrics import psnr_chw
from restore.image.picture import Picture
from restore.training.schedule import Progress
from restore.training.session import Settings

SIGMA, PHOTONS, BLUR_PX = 25.0, 30, 0.8
TEST_SEED = 10_000
"""Of the noise of the first test picture; training pictures begin at 0."""
PATCHES = {"downscaled": 128, "blind-spot": 64}
TRIALS = ("clean", "downscaled", "neighbours", "blind-spot")
OF_CAREAMICS = ("n2v", "n2v2")
KINDS = ("white", "shot", "blurred")
Samples = NDArray[np.float32]


def with_noise(pixels: NDArray[np.float32], kind: str, seed: int) -> NDArray[np.float32]:
    """Return pixels ``[H, W, 3]`` with noise of one of ``KINDS``."""
    rng = np.random.default_rng(seed)
    if kind == "shot":
        return (rng.poisson(PHOTONS * pixels) / PHOTONS).astype(np.float32)
    noise = rng.normal(0, SIGMA / 255, pixels.shape)
    if kind == "blurred":
        noise = gaussian_filter(noise, (BLUR_PX, BLUR_PX, 0))
    return (pixels + noise).astype(np.float32)


def write_noisy(clean: list[Path], folder: Path, kind: str) -> None:
    """Write pictures with noise as floating point TIFF."""
    folder.mkdir()
    for index, path in enumerate(clean):
        pixels = decode(path).pixels.transpose(1, 2, 0)
        tifffile.imwrite(folder / f"{index:04}.tif", with_noise(pixels, kind, index))


@dataclass(frozen=True)
class Noise:
    """Noise of the test pictures."""

    kind: str

    @property
    def condition(self) -> dict[str, str]:
        """The kind."""
        return {"noise": self.kind}

    def __call__(self, clean: Picture, _path: Path, index: int) -> tuple[Picture, str]:
        """Add the noise."""
        noisy = with_noise(clean.pixels.transpose(1, 2, 0), self.kind, TEST_SEED + index)
        pixels = noisy.transpose(2, 0, 1)
        return clean.with_pixels(pixels, is_float=True, bit_depth=32), "auto"


def trained(
    trial: str,
    output: Path,
    folders: tuple[Path, Path],
    seconds: float,
    start_from: str | None,
    widths: tuple[int, ...],
    report: Callable[[Progress], None],
) -> None:
    """Train on the clean folder or, by the method that the trial names, on the noisy one."""
    clean, noisy = folders
    settings = Settings(
        device="cpu", precision="auto", checkpoint_every=1e9, clock=time.process_time
    )
    # Fine-tuning begins at a rate that does not undo what was learned before.
    rate = 1e-4 if start_from else 1e-3
    if trial == "clean":
        recipe = DenoiseRecipe(
            blind=start_from is None,
            widths=widths,
            sigma=(SIGMA, SIGMA),
            batch=8,
            ema=0.99,
            learning_rate=rate,
            seconds=seconds,
        )
        train_denoiser(
            recipe, output, clean=clean, start_from=start_from, settings=settings, report=report
        )
        return
    noisy_recipe = NoisyRecipe(
        method=trial, widths=widths, batch=8, ema=0.99, learning_rate=rate, seconds=seconds
    )
    # What the network sees of them is as large as in the clean trial.
    noisy_recipe = replace(noisy_recipe, patch=PATCHES.get(trial, NoisyRecipe.patch))
    train_on_noisy(
        noisy_recipe, output, noisy=[noisy], start_from=start_from, settings=settings, report=report
    )


def mean_psnr(weights: Path | str, test: list[Path], kind: str) -> float:
    """Return the mean PSNR in dB of what the network makes of noisy pictures."""
    denoiser = Denoiser(weights, device="cpu")
    noise = GaussianNoise(sigma=SIGMA) if kind == "white" else Noise(kind)
    scores = [
        score for score in evaluate_denoiser(denoiser, test, [noise]) if isinstance(score, Score)
    ]
    return sum(score.psnr for score in scores) / len(scores)


def tests_of(test: list[Path], kind: str) -> tuple[list[Samples], list[Samples]]:
    """Return the clean and the noisy test pictures, ``[H, W, 3]``."""
    clean = [decode(path).pixels.transpose(1, 2, 0) for path in test]
    return clean, [with_noise(each, kind, TEST_SEED + index) for index, each in enumerate(clean)]


def psnr_of_noisy(test: list[Path], kind: str) -> float:
    """Return the mean PSNR in dB of the noisy pictures, not clipped."""
    clean, noisy = tests_of(test, kind)
    return sum(map(psnr_chw, noisy, clean)) / len(clean)


def trained_by_careamics(
    trial: str, python: str, noisy: Path, test: list[Path], kind: str, seconds: float
) -> tuple[int, float]:
    """Return the steps of CAREamics, and the mean PSNR in dB of its results, clipped like ours."""
    script = Path(__file__).with_name("careamics_trial.py")
    clean, noisy_tests = tests_of(test, kind)
    with tempfile.TemporaryDirectory() as temporary:
        given, out = Path(temporary, "given"), Path(temporary, "out")
        given.mkdir()
        out.mkdir()
        for index, pixels in enumerate(noisy_tests):
            tifffile.imwrite(given / f"{index:04}.tif", pixels)
        command = [python, str(script), trial, *map(str, (noisy, given, out, seconds))]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=sys.stderr, check=True)
        restored = [tifffile.imread(path) for path in sorted(out.iterdir())]
    scores = [
        psnr_chw(np.clip(each, 0, 1), pixels) for each, pixels in zip(restored, clean, strict=True)
    ]
    return int(done.stdout.split()[-1]), sum(scores) / len(scores)


def main() -> None:
    """Run the trials and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", type=Path, help="clean pictures, to which noise is added")
    parser.add_argument("test", type=Path, help="clean pictures of the test")
    parser.add_argument(
        "trials", nargs="*", default=TRIALS, help=", ".join((*TRIALS, *OF_CAREAMICS))
    )
    parser.add_argument("--careamics", help="interpreter that has CAREamics")
    parser.add_argument("--seconds", type=float, default=120, help="processor time of each")
    parser.add_argument("--from", dest="start", help="weights to begin with")
    parser.add_argument("--width", default="", help="feature channels, as of `imrestore train`")
    parser.add_argument("--noise", choices=KINDS, default="white", help="added to the pictures")
    parser.add_argument("--most", type=int, default=200, help="training pictures")
    options = parser.parse_args()
    if options.noise != "white" and "clean" in options.trials:
        parser.error("training on clean pictures adds white noise: name the other trials")
    if unknown := set(options.trials) - {*TRIALS, *OF_CAREAMICS}:
        parser.error(f"no such trial: {', '.join(sorted(unknown))}")
    if options.careamics is None and set(options.trials) & set(OF_CAREAMICS):
        parser.error("n2v and n2v2 need --careamics")
    torch.set_num_threads(1)
    test = pictures_in(options.test, recursive=True)
    print("| trained on | steps | PSNR |\n|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        clean, noisy = Path(temporary, "clean"), Path(temporary, "noisy")
        clean.mkdir()
        chosen = pictures_in(options.train, recursive=True)[: options.most]
        for path in chosen:
            (clean / path.name).symlink_to(path.resolve())
        write_noisy(chosen, noisy, options.noise)
        if options.start:
            after = mean_psnr(options.start, test, options.noise)
            print(f"| {options.start}, untouched | | {after:.2f} |")
        print(f"| nothing | | {psnr_of_noisy(test, options.noise):.2f} |", flush=True)
        for trial in options.trials:
            if trial in OF_CAREAMICS:
                steps, after = trained_by_careamics(
                    *(trial, options.careamics, noisy, test, options.noise, options.seconds)
                )
                print(f"| {trial} | {steps} | {after:.2f} |", flush=True)
                continue
            seen: list[Progress] = []
            output = Path(temporary, f"{trial}.safetensors")
            widths = tuple(map(int, filter(None, options.width.split(","))))
            trained(
                *(trial, output, (clean, noisy), options.seconds, options.start, widths),
                seen.append,
            )
            after = mean_psnr(output, test, options.noise)
            print(f"| {trial} | {seen[-1].step} | {after:.2f} |", flush=True)


if __name__ == "__main__":
    main()
