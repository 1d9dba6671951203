"""Error on real coded captures, in stops, against a bracket of exposures without the element.

    python benchmarks/real_captures.py FOLDER NAME|FILE...

FOLDER holds a folder for each scene, as DeepOpticsHDR publishes them: ``wPSF_0_stop.png`` is the
capture through the element, ``woutPSF_X_stop.png`` a bracket without it, X in stops relative to
the capture; all are linear, 8 bits. The bracket is merged. Mounting the element moved the camera:
each result is moved, turned and scaled until its logarithm correlates best with that of the
merged bracket. Then its channels are scaled to the same median where neither is dark or bright:
the element loses a little light, and more of some colours. The pixels that count are those that
saturate in the uncoded exposure X = 0. Weights without an element see that exposure.
"""

import argparse
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

from restore.hdr.merge.align import warped
from restore.hdr.merge.brackets import Exposure
from restore.hdr.merge.merge import merge_bracket
from restore.hdr.optics.psf import load_psf
from restore.hdr.runner import HdrReconstructor
from restore.image.decode import decode
from restore.models.optical_element import psf_of
from restore.tasks import load

_LUMA = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
_DARK, _BRIGHT = 0.05, 0.8
_LEAST = 1e-3
_SATURATED = 254.5 / 255
_BLUR_PX, _DARKEST = (8, 3, 1.5), 0.01
_ROW = "{:<10} {:<24} {:>8.3f} {:>8.3f} {:>8.3f} {:>8.3f} {:>9.1f} {:>7.3f}"

Light = NDArray[np.float32]


def main() -> None:
    """Print a table of all scenes and networks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--psf", type=Path, help="of weights that carry none")
    arguments = parser.parse_args()
    print("error in stops on saturated pixels, after registration and scaling")
    heads = ("mean", "median", "90 %", "bias")
    columns = "".join(f" {head:>8}" for head in heads)
    print(f"{'scene':<10} {'result':<24}{columns} {'shift px':>9} {'corr.':>7}")
    for scene in sorted(path for path in arguments.folder.iterdir() if path.is_dir()):
        _compare(scene, arguments.models, arguments.psf)


def _compare(scene: Path, models: list[str], psf_file: Path | None) -> None:
    bracket = [
        Exposure(path=path, light=2 ** float(match[1]))
        for path in scene.iterdir()
        if (match := re.fullmatch(r"woutPSF_(-?[\d.]+)_stop\.png", path.name))
    ]
    merged = merge_bracket(bracket, align=False, is_linear=True)
    # The merge is in units of its middle exposure; the capture's own is X = 0.
    lights = sorted(one.light for one in bracket if one.light)
    reference = merged.picture.pixels / np.float32(lights[(len(lights) - 1) // 2])
    plain = decode(next(one.path for one in bracket if one.light == 1))
    lost = (plain.pixels >= _SATURATED).any(axis=0)
    _report(scene.name, "uncoded exposure", plain.pixels, reference, lost)
    coded = decode(scene / "wPSF_0_stop.png")
    psf = None if psf_file is None else load_psf(psf_file)
    for model in models:
        weights = load(model)
        is_coded = psf_of(weights.tensors) is not None or "converted_from" in weights.provenance
        reconstruct = HdrReconstructor(
            "optics" if is_coded else "single", model, psf=psf, precision="fp32"
        )
        result = reconstruct(coded if is_coded else plain, is_linear=True)
        _report(scene.name, weights.name, result.picture.pixels, reference, lost)


def _report(
    scene: str, name: str, result: Light, reference: Light, lost: NDArray[np.bool_]
) -> None:
    matrix, correlation = _registered(result, reference)
    placed = np.stack([warped(plane, matrix, fill=0.0) for plane in result])
    errors = []
    for plane, truth in zip(placed, reference, strict=True):
        known = (truth > _DARK) & (truth < _BRIGHT) & (plane > _DARK / 2) & (plane < 2 * _BRIGHT)
        known &= ~lost
        scale = np.median(truth[known] / plane[known]) if known.any() else 1.0
        ratio = np.maximum(plane[lost] * scale, _LEAST) / np.maximum(truth[lost], _LEAST)
        errors.append(np.log2(ratio))
    signed = np.concatenate(errors)
    error = np.abs(signed)
    centre = np.array([result.shape[2] / 2, result.shape[1] / 2, 1])
    shift = float(np.hypot(*(matrix @ centre - centre)[:2]))
    figures = (error.mean(), np.median(error), np.quantile(error, 0.9), signed.mean())
    print(_ROW.format(scene, name, *figures, shift, correlation))


def _registered(result: Light, reference: Light) -> tuple[NDArray[np.float64], float]:
    """Return the matrix from places in ``reference`` to ``result``, and their correlation."""
    height, width = result.shape[1:]
    logs = [
        np.log2(np.maximum(np.tensordot(_LUMA, light, axes=1), _DARKEST))
        for light in (result, reference)
    ]
    parameters, correlation = np.zeros(4), 0.0
    for blur in _BLUR_PX:
        moving, fixed = (ndimage.gaussian_filter(log, blur).astype(np.float32) for log in logs)

        def cost(
            values: NDArray[np.float64], moving: Light = moving, fixed: Light = fixed
        ) -> float:
            placed = warped(moving, _matrix(values, height, width), fill=np.nan)
            inside = np.isfinite(placed)
            return -float(np.corrcoef(placed[inside], fixed[inside])[0, 1])

        found = optimize.minimize(
            cost, parameters, method="Powell", options={"xtol": 1e-3, "ftol": 1e-6, "maxiter": 8}
        )
        parameters, correlation = found.x, -float(found.fun)
    return _matrix(parameters, height, width), correlation


def _matrix(values: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """Return a motion from tens of pixels right and down, hundredths of a radian and of scale."""
    angle, scale = values[2] / 100, 1 + values[3] / 100
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scale
    centre = np.array([width / 2, height / 2])
    matrix = np.eye(3)
    matrix[:2, :2] = turn
    matrix[:2, 2] = centre - turn @ centre + 10 * values[:2]
    return matrix


if __name__ == "__main__":
    main()
