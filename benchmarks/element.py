"""Where an optical element sends the light, and how exactly that is known.

    python benchmarks/element.py [--model hdr-optics]

For each colour: the share of all light within the PSF's pixels; of that the share in the core and
in the strongest copies beside it, with their distance; and how much of the light the stored PSF
puts elsewhere than one of nine by nine points a pixel, beside one of pixels' centres alone.
"""

import argparse

import torch
from torch import Tensor

from restore.hdr.optics.psf import LensDesign, point_spread
from restore.models.optical_element import height_map_of, psf_of
from restore.tasks import load
from tables import table

CORE = 8
"""Radius in pixels."""
SPOT = 4
"""Pixels to each side of a copy's brightest."""


def copies(plane: Tensor, count: int = 2) -> list[str]:
    """Return the strongest spots beside the core."""
    along = _offsets(plane)
    left = torch.where(_is_core(plane, CORE + SPOT), 0, plane)
    found = []
    for _ in range(count):
        row, column = divmod(int(left.argmax()), len(plane))
        spot = tuple(slice(max(0, at - SPOT), at + SPOT + 1) for at in (row, column))
        found.append(f"{float(left[spot].sum()):.1%} at {along[column]:+d}, {along[row]:+d}")
        left[spot] = 0
    return found


def _is_core(plane: Tensor, radius: int) -> Tensor:
    along = _offsets(plane)
    return along[:, None].square() + along.square() <= radius**2


def _offsets(plane: Tensor) -> Tensor:
    """Return how far the pixels of a row or column lie from the middle."""
    return torch.arange(len(plane)) - len(plane) // 2


def main() -> None:
    """Print a row for each colour."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="hdr-optics")
    options = parser.parse_args()
    tensors = load(options.model).tensors
    heights, psf = height_map_of(tensors), psf_of(tensors)
    if heights is None or psf is None:
        parser.error(f"{options.model}: has no learned element")
    heights, size = heights.double(), psf.shape[1]
    exact, centres = (
        point_spread(heights, LensDesign(), size, oversampling=points) for points in (9, 1)
    )
    rows = []
    for index, colour in enumerate(("red", "green", "blue")):
        plane, known = psf[index], exact.psf[index]
        elsewhere = [float((each - known).abs().sum() / 2) for each in (plane, centres.psf[index])]
        core = float(plane[_is_core(plane, CORE)].sum())
        shares = [f"{share:.1%}" for share in (float(exact.inside[index]), core, *elsewhere)]
        rows.append((colour, *shares[:2], "; ".join(copies(plane)), *shares[2:]))
    print(f"highest {float(heights.max()) * 1e6:.2f} micrometres")
    heads = ("light", "within the PSF", "in the core", "copies (x, y in pixels)")
    print(table((*heads, "stored elsewhere", "centres alone"), rows))


if __name__ == "__main__":
    main()
