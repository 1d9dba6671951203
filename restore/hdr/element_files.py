"""Files of a learned optical element, for fabrication and for viewing."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from restore.errors import WeightsError
from restore.files import write_atomically
from restore.hdr.optics.psf import LensDesign, point_spread
from restore.image.codecs import ImageFormat
from restore.image.encode import encode
from restore.image.picture import Picture, Transfer
from restore.models.optical_element import height_map_of, psf_of
from restore.weights.store import Weights

__all__ = ["write_element"]

_DECADES = 4
_DETAIL_CELLS = 32


def write_element(weights: Weights, output: Path, camera: LensDesign) -> list[Path]:
    """Write the element of ``weights`` beside ``output``, replacing what is there.

    ``NAME.height-map.tif`` holds the heights in micrometres (float32) and ``NAME.height-map.png``
    the same over the camera's limit in 16 bits; ``NAME.psf.exr`` the point spread function, each
    channel with the sum 1; ``NAME.element.png`` shows both, the PSF over four decades.

    Returns:
        The files.

    Raises:
        WeightsError: ``weights`` carry no height map.
        OutputError: a file cannot be written.
    """
    heights, psf = height_map_of(weights.tensors), psf_of(weights.tensors)
    if heights is None or psf is None:
        raise WeightsError(f"{weights.name}: has no height map")
    micrometres = heights.numpy() * 1e6
    limit_um = camera.height_limit_m * 1e6
    inside = point_spread(heights, camera, psf.shape[1]).inside.tolist()
    files = {
        "height-map.tif": encode(
            _linear(micrometres[None].astype(np.float32)), ImageFormat.TIFF, bit_depth=32
        ),
        "height-map.png": encode(
            Picture(pixels=(micrometres / limit_um)[None].astype(np.float32), bit_depth=16),
            ImageFormat.PNG,
        ),
        "psf.exr": encode(_linear(psf.numpy()), ImageFormat.EXR, bit_depth=32),
        "element.png": _drawn(micrometres, psf, inside),
    }
    paths = []
    for suffix, data in files.items():
        path = output.with_name(f"{output.stem}.{suffix}")
        write_atomically(path, data, overwrite=True)
        paths.append(path)
    return paths


def _linear(pixels: NDArray[np.float32]) -> Picture:
    return Picture(pixels=pixels, bit_depth=32, is_float=True, transfer=Transfer.LINEAR)


def _drawn(micrometres: NDArray[Any], psf: torch.Tensor, inside: list[float]) -> bytes:
    """Return a picture of the heights and of the PSF's channels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(19, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 5)
    first = max(0, len(micrometres) - _DETAIL_CELLS) // 2
    middle = slice(first, first + _DETAIL_CELLS)
    heights = {"height (micrometres)": micrometres, "its middle": micrometres[middle, middle]}
    for axis, (title, values) in zip(axes, heights.items(), strict=False):
        shown = axis.imshow(values, cmap="viridis", vmin=0, interpolation="nearest")
        axis.set(title=title, xlabel="cells")
        figure.colorbar(shown, ax=axis)
    reach = psf.shape[1] // 2
    for axis, channel, colour, share in zip(
        axes[2:], psf.numpy(), ("red", "green", "blue"), inside, strict=True
    ):
        brightest = float(channel.max())
        logarithm = np.log10(np.maximum(channel, brightest * 10.0**-_DECADES))
        shown = axis.imshow(logarithm, cmap="magma", extent=(-reach, reach, reach, -reach))
        axis.set(title=f"log10 PSF, {colour}, {share:.0%} of light", xlabel="pixels")
        figure.colorbar(shown, ax=axis)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=100, format="png")
    return buffer.getvalue()
