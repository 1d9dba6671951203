"""Error of merged brackets in which something moves, with and without deghosting.

    python benchmarks/ghosts.py FOLDER [--count N]

Of each HDR picture in FOLDER (panoramas, twice as wide as high) the middle is taken, and exposed
so that its median is 12 % of white in the middle frame of three, two stops apart; 8-bit sRGB
pictures with shot noise of 10,000 electrons at white. A disc a ninth of the picture wide stands
elsewhere in every frame: gray at 3 % of the middle frame's white, then at 90 %. Truth is the scene
as the middle frame has it. Results are scaled to the truth's median, since OpenCV's radiance has no
unit. Path: where a disc stands in any frame; only what the middle frame does not saturate counts.
OpenCV's MergeDebevec is given the response it calibrates itself.

MergeMertens and enfuse (a Debian package, left out where it is not installed) give no radiance but
a picture. The second table compares pictures: each with the one that the same program makes where
the disc stands still, as the middle frame has it; mean differences of 255.
"""

import argparse
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from restore.hdr.fusion import tone_mapped
from restore.hdr.merge.exposures import Exposure
from restore.hdr.merge.ghosts import DEVIATIONS
from restore.hdr.merge.merge import merge_bracket
from restore.image.codecs import ImageFormat
from restore.image.colour import linear_to_srgb
from restore.image.decode import decode
from restore.image.encode import encode
from restore.image.picture import Picture, Transfer

LIGHTS = (1 / 4, 1.0, 4.0)
ELECTRONS = 10_000
SIDE = 360
DISCS = (0.03, 0.9)

Pixels = NDArray[np.float32]


def disc(index: int) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    centre = (SIDE // 2, SIDE // 4 * (1 + index))
    place: NDArray[np.bool_] = np.hypot(rows - centre[0], columns - centre[1]) < SIDE / 18
    return place


def scene_of(path: Path) -> Pixels:
    light = decode(path).pixels
    top, left = ((size - SIDE) // 2 for size in light.shape[1:])
    cut = np.ascontiguousarray(light[:, top : top + SIDE, left : left + SIDE])
    # What no camera sees: single dots of a coarse panorama.
    smooth: Pixels = ndimage.gaussian_filter(cut, (0, 0.7, 0.7))
    return smooth * np.float32(0.12 / np.median(smooth))


def frame_of(
    scene: Pixels, index: int, brightness: float, *, moves: bool
) -> tuple[Path, NDArray[np.uint8]]:
    rng = np.random.default_rng(index)
    light = scene.copy()
    light[:, disc(index if moves else 1)] = brightness
    counted = rng.poisson((light * LIGHTS[index]).clip(0, 1) * ELECTRONS) / ELECTRONS
    data = encode(Picture(pixels=linear_to_srgb(counted.astype(np.float32))), ImageFormat.PNG)
    path = Path(tempfile.mkdtemp()) / f"{index}.png"
    path.write_bytes(data)
    codes: NDArray[np.uint8] = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return path, codes


def debevec(codes: list[NDArray[np.uint8]]) -> Pixels:
    times = np.array(LIGHTS, dtype=np.float32)
    response = cv2.createCalibrateDebevec().process(codes, times)
    merged = cv2.createMergeDebevec().process(codes, times, response)
    return np.ascontiguousarray(merged[..., ::-1].transpose(2, 0, 1))


def mertens(codes: list[NDArray[np.uint8]]) -> Pixels:
    fused = cv2.createMergeMertens().process(codes)
    return np.ascontiguousarray(fused[..., ::-1].transpose(2, 0, 1)).clip(0, 1)


def enfused(frames: Sequence[tuple[Path, NDArray[np.uint8]]]) -> Pixels:
    with tempfile.TemporaryDirectory() as folder:
        fused = Path(folder, "fused.tif")
        names = [str(path) for path, _ in frames]
        subprocess.run(["enfuse", "--output", str(fused), *names], check=True, capture_output=True)
        return decode(fused).pixels


def shown(light: Pixels) -> Pixels:
    return tone_mapped(Picture(pixels=light, is_float=True, transfer=Transfer.LINEAR)).pixels


def differences(result: Pixels, still: Pixels) -> tuple[float, float]:
    """Return mean differences of two pictures within the path and outside it, of 255."""
    path = np.logical_or.reduce([disc(index) for index in range(3)])
    away = ~ndimage.binary_dilation(path, iterations=8)
    difference = 255 * np.abs(result - still).mean(axis=0)
    return float(difference[path].mean()), float(difference[away].mean())


def errors(result: Pixels, truth: Pixels) -> tuple[float, float]:
    """Return mean errors in stops within the path of the disc and outside it."""
    path = np.logical_or.reduce([disc(index) for index in range(3)])
    seen = truth.max(axis=0) < 1
    away = seen & ~ndimage.binary_dilation(path, iterations=8)
    scale = np.median(truth[:, away]) / np.median(result[:, away])
    ratio = np.maximum(result * scale, 1e-4) / np.maximum(truth, 1e-4)
    stops = np.abs(np.log2(ratio)).mean(axis=0)
    return float(stops[path & seen].mean()), float(stops[away].mean())


def merged(frames: list[tuple[Path, NDArray[np.uint8]]], deghost: float | None) -> Pixels:
    bracket = [
        Exposure(path=path, light=light) for (path, _), light in zip(frames, LIGHTS, strict=True)
    ]
    return merge_bracket(bracket, deghost=deghost).picture.pixels


def table(title: str, found: dict[str, list[tuple[float, float]]], digits: int) -> None:
    print(f"\n| {title} | in the path | elsewhere |\n|---|---|---|")
    for name, pairs in found.items():
        within, away = np.mean(pairs, axis=0)
        print(f"| {name} | {within:.{digits}f} | {away:.{digits}f} |")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=None, help="pictures of the folder")
    options = parser.parse_args()
    paths = sorted(options.folder.iterdir())[: options.count]
    has_enfuse = shutil.which("enfuse") is not None
    light: dict[str, list[tuple[float, float]]] = {}
    pictures: dict[str, list[tuple[float, float]]] = {}
    for path in paths:
        scene = scene_of(path)
        for brightness in DISCS:
            moving, still = (
                [frame_of(scene, index, brightness, moves=moves) for index in range(3)]
                for moves in (True, False)
            )
            truth = scene.copy()
            truth[:, disc(1)] = brightness
            codes, codes_still = ([codes for _, codes in frames] for frames in (moving, still))
            calm = shown(merged(still, None))
            for name, deghost in (("--deghost off", None), ("--deghost auto", DEVIATIONS)):
                result = merged(moving, deghost)
                light.setdefault(name, []).append(errors(result, truth))
                pictures.setdefault(name, []).append(differences(shown(result), calm))
            light.setdefault("OpenCV, MergeDebevec", []).append(errors(debevec(codes), truth))
            pictures.setdefault("OpenCV, MergeMertens", []).append(
                differences(mertens(codes), mertens(codes_still))
            )
            if has_enfuse:
                pictures.setdefault("enfuse", []).append(
                    differences(enfused(moving), enfused(still))
                )
    table("light, stops", light, 3)
    table("picture, of 255", pictures, 1)


if __name__ == "__main__":
    main()
