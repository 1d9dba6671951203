"""What the shipped image signal processor makes of smooth colours, fine lines and blown whites."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from restore.dark.darkening import dark_raw
from restore.dark.evaluate import (
    CAMERA,
    LIBRAW,
    NETWORK,
    DarkScore,
    Exposure,
    evaluate_dark_enhancer,
)
from restore.dark.runner import DarkEnhancer
from restore.image.colour import linear_to_srgb
from restore.image.demosaic import demosaicked
from restore.image.develop import camera_to_srgb
from restore.image.raw_picture import REFERENCE_CFA, RawPicture
from restore.weights.file import weights_folder

pytestmark = pytest.mark.usefixtures("usual_engine")

Pixels = NDArray[np.float32]

SIDE = 120
INSIDE = (slice(None), slice(8, -8), slice(8, -8))
Y, X = np.mgrid[:SIDE, :SIDE] / SIDE
SMOOTH = {
    "red": (0.25 + 0.7 * X, 0.02 + 0.1 * Y, 0.03 + 0.1 * X * Y),
    "dark red": (0.1 + 0.2 * X, 0.01 + 0.02 * Y, 0.01 + 0.02 * X),
    "yellow": (0.8 + 0.15 * X, 0.7 + 0.2 * Y, 0.05 + 0.1 * X),
    "gray": (0.2 + 0.6 * X, 0.2 + 0.6 * X, 0.2 + 0.6 * X),
    "lifted black": (0.02 + 0.02 * X, 0.02 + 0.02 * Y, 0.02 + 0 * X),
}


@pytest.fixture(scope="module")
def enhancer() -> DarkEnhancer:
    return DarkEnhancer(device="cpu", precision="fp32")


def pictures(
    enhancer: DarkEnhancer, clean: NDArray[np.float64], side: int, *, stops: float = 0
) -> tuple[Pixels, Pixels, Pixels]:
    """Return what the network and LibRaw make of a scene at ISO 100, and what it looks like.

    In codes of 8 bits, without the edge.
    """
    generator = torch.Generator().manual_seed(1)
    scene = torch.from_numpy(clean.astype(np.float32))
    raw, light, gain = dark_raw(scene, CAMERA, 1, generator, side=side, iso=100)
    ratio = gain * 2**stops
    ours = enhancer(raw, ratio=ratio).picture.pixels.clip(0, 1)
    plain, wanted = demosaicked(raw) * np.float32(ratio), light.numpy() * np.float32(2**stops)
    return tuple(255 * each[INSIDE] for each in (ours, seen(plain, raw), seen(wanted, raw)))


def seen(light: Pixels, raw: RawPicture) -> Pixels:
    linear = np.einsum("ij,jhw->ihw", camera_to_srgb(raw), light.clip(0, 1))
    return linear_to_srgb(linear).clip(0, 1)


def mesh(pixels: Pixels) -> float:
    """Return the mean amplitude of the patterns that repeat every two pixels, in cells of 8x8."""
    rows, columns = np.ix_(*((-1.0) ** np.arange(size) for size in pixels.shape[1:]))
    return max(
        float(np.abs((pixels * wave).reshape(3, 13, 8, 13, 8).mean(axis=(2, 4))).mean())
        for wave in (rows, columns, rows * columns)
    )


@pytest.mark.parametrize("side", [2, 6])
@pytest.mark.parametrize("colour", SMOOTH)
def test_smooth_colours_have_no_more_mesh_than_from_libraw(
    enhancer: DarkEnhancer, colour: str, side: int
) -> None:
    stops = 2 if colour == "lifted black" else 0
    ours, plain, wanted = pictures(enhancer, np.stack(SMOOTH[colour]), side, stops=stops)
    assert mesh(ours) < mesh(plain) + 0.05
    assert np.abs((ours - wanted).mean(axis=(1, 2))).max() < 1, "the colour is that of the scene"


@pytest.mark.parametrize("side", [2, 6])
def test_a_saturated_frame_is_uniform(enhancer: DarkEnhancer, side: int) -> None:
    raw = RawPicture(
        mosaic=np.full((SIDE, SIDE), 16383, np.uint16),
        cfa=REFERENCE_CFA[side],
        black_level=(512.0,) * 4,
        white_level=16383.0,
        white_balance=(2.1, 1.0, 1.6),
    )
    codes = np.rint(255 * enhancer(raw, ratio=1).picture.pixels.clip(0, 1))
    assert (codes[INSIDE] == 255).all()


@pytest.mark.parametrize("side", [2, 6])
def test_thin_dark_lines_are_gray(enhancer: DarkEnhancer, side: int) -> None:
    """One pixel wide, which no mosaic shows in all colours."""
    chart = np.full((3, SIDE, SIDE), 0.7)
    chart[:, :, 15::15] = chart[:, 15::15] = 0.05
    ours, plain, _ = pictures(enhancer, chart, side)
    assert np.ptp(ours, axis=0).max() < 0.7 * np.ptp(plain, axis=0).max()
    assert np.ptp(ours, axis=0).mean() < 10


@pytest.mark.parametrize("side", [2, 6])
@pytest.mark.parametrize("iso", [100, 6400])
def test_photographs_are_nearer_to_the_scene_than_from_libraw(
    enhancer: DarkEnhancer, side: int, iso: float
) -> None:
    paths = sorted((Path(weights_folder()) / "measure").glob("*.png"))[:2]
    scores = list(evaluate_dark_enhancer(enhancer, paths, [Exposure(side=side, iso=iso)]))
    by_method: dict[str, list[float]] = {NETWORK: [], LIBRAW: []}
    for score in scores:
        assert isinstance(score, DarkScore)
        by_method.setdefault(score.method, []).append(score.psnr)
    assert np.mean(by_method[NETWORK]) > np.mean(by_method[LIBRAW]) + 1
