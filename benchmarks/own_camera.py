"""What measuring one's own camera gains, and a training on it: a synthetic one with strong rows.

    python benchmarks/own_camera.py bsds432/ kodak24/ --time 20m [--limit 24]

Flat and dark frames of the camera are simulated and measured as `imrestore noise-profile` does. The
shipped network is given the noise that it estimates itself, and that which was measured. Then it is
trained further, on the measured camera and, for comparison, on the usual ones: each for the
processor time that is asked for, on one thread. PSNR of mosaics, linear, as `imrestore evaluate
denoise --raw` has it, of the middles of the test pictures.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from restore.batch.inputs import pictures_in
from restore.checks import seconds_in
from restore.image.decode import decode
from restore.image.dng import write_cfa_dng
from restore.image.metrics import psnr_chw
from restore.image.raw_picture import RawPicture
from restore.image.shot import Shot, completed_exif
from restore.mosaic.recipe import MosaicRecipe
from restore.mosaic.runner import MosaicDenoiser
from restore.mosaic.train import train_mosaic_denoiser
from restore.noise.bayer import random_cameras, unprocess
from restore.noise.measured_camera import IsoNoise, MeasuredCamera
from restore.noise.photon_transfer import measure_camera
from restore.noise.readout import BLACK_DN, RANGE_DN, as_file, mosaicked, read_out
from restore.training.crops import centre
from restore.training.schedule import PSNR
from restore.training.session import Settings
from tables import table

A, B, ROW, ISO = 2e-4, 2e-6, 3e-3, 6400.0
"""Rows waver twice as much as single samples do in the dark; shipped networks saw a third."""
SIDE = 512
FRAMES = (0.0, 0.0, 0.1, 0.1, 0.6, 0.6)
"""Light of the dark and the flat frames; white is 1."""

TRUE = MeasuredCamera(
    make="Synthetic",
    model="One",
    height=SIDE,
    width=SIDE,
    black_level=(BLACK_DN,) * 4,
    white_level=BLACK_DN + RANGE_DN,
    speeds=(IsoNoise(iso=ISO, a=(A,) * 3, b=(B,) * 3, row=ROW),),
)

Plane = NDArray[np.float32]
Shots = Iterator[tuple[RawPicture, Plane]]


def captured(seen: torch.Tensor, seed: int) -> tuple[RawPicture, Plane]:
    """Return a RAW file of light ``(1, 3, H, W)``, and the light on its samples ``[H, W]``."""
    generator = torch.Generator().manual_seed(seed)
    noise = TRUE.dark_noise_at(ISO, RANGE_DN)
    measured, colours = read_out(seen, noise, generator, side=2)
    raw = as_file(measured[0], random_cameras(1, generator), side=2)
    exif = completed_exif(None, Shot(iso=ISO, make=TRUE.make, model=TRUE.model))
    return replace(raw, iso=ISO, exif=exif), mosaicked(seen, colours)[0].numpy()


def measured_camera(folder: Path) -> MeasuredCamera:
    """Return the camera as it is measured in its frames."""
    paths = []
    for index, light in enumerate(FRAMES):
        raw, _ = captured(torch.full((1, 3, SIDE, SIDE), light), index)
        paths.append(folder / f"{index}.dng")
        paths[-1].write_bytes(write_cfa_dng(raw))
    return measure_camera(paths, print).camera


def taken(paths: Sequence[Path]) -> Shots:
    """Yield RAW files of the middles of pictures, with their light."""
    for index, path in enumerate(paths):
        generator = torch.Generator().manual_seed(index)
        middle = centre(torch.from_numpy(decode(path).pixels), 2)[None]
        yield captured(unprocess(middle, random_cameras(1, generator)), 100 + index)


def denoised(shots: Shots, model: str | Path, camera: MeasuredCamera | None) -> Shots:
    """Yield the files denoised; without a camera, their noise is estimated."""
    denoiser = MosaicDenoiser(model, device="cpu")
    profile = camera.profile(ISO) if camera else None
    for raw, light in shots:
        yield denoiser(raw, profile=profile).raw, light


def mean_psnr(shots: Shots) -> float:
    """Return the mean PSNR in dB of mosaics."""
    return float(
        np.mean(
            [
                psnr_chw(((raw.mosaic.astype(np.float32) - BLACK_DN) / RANGE_DN)[None], light[None])
                for raw, light in shots
            ]
        )
    )


def trained(clean: Path, output: Path, seconds: float, camera: MeasuredCamera | None) -> Path:
    """Train the shipped network further, on a camera or on usual ones, and return its file."""
    weights = train_mosaic_denoiser(
        MosaicRecipe(seconds=seconds, batch=8, learning_rate=2e-4, ema=0.99),
        output,
        clean=[clean],
        start_from="raw",
        camera=camera,
        settings=Settings(device="cpu", clock=time.process_time, checkpoint_every=1e9),
    )
    told = weights.provenance
    print(f"{output.stem}: {told['steps']} steps, validation {told[PSNR.key]:.3f} dB", flush=True)
    return output


def main() -> None:
    """Measure the camera, train on it, and print a row for each way to denoise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", type=Path, help="clean pictures")
    parser.add_argument("test", type=Path, help="clean pictures of the test")
    parser.add_argument("--time", default="20m", help="processor time of each training, as in 20m")
    parser.add_argument("--limit", type=int, help="test pictures; default: all")
    options = parser.parse_args()
    seconds = seconds_in("time", options.time)
    torch.set_num_threads(1)
    test = pictures_in(options.test, recursive=True)[: options.limit]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        camera = measured_camera(folder)
        speed = camera.speeds[0]
        print(
            f"a {speed.a[1]:.4g} ({A:g}), b {speed.b[1]:.4g} ({B:g}), row {speed.row:.4g} ({ROW:g})"
        )
        usual = trained(options.train, folder / "usual.safetensors", seconds, None)
        own = trained(options.train, folder / "own.safetensors", seconds, camera)
        ways = {
            "as taken": taken(test),
            "raw, noise estimated": denoised(taken(test), "raw", None),
            "raw, noise measured": denoised(taken(test), "raw", camera),
            f"raw and {options.time} on usual cameras": denoised(taken(test), usual, camera),
            f"raw and {options.time} on this camera": denoised(taken(test), own, camera),
        }
        rows = [[name, f"{mean_psnr(shots):.2f}"] for name, shots in ways.items()]
    print(table(["network", "PSNR (dB)"], rows))


if __name__ == "__main__":
    main()
