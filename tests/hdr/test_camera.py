"""The camera that a network for high dynamic range learns from, and what its element pays for."""

from dataclasses import replace

import pytest
import torch

from restore.hdr.camera import Coded, make_height_map
from restore.hdr.recipe import HdrRecipe

TINY = HdrRecipe(
    widths=(4, 6), patch=32, batch=2, cells=16, psf_size=17, steps=4, read_noise=0.01, optics="none"
)


class Watching(torch.nn.Module):
    """A network that notes what it is given and returns the capture."""

    def __init__(self) -> None:
        super().__init__()
        self.captures: list[torch.Tensor] = []
        self.psfs: list[torch.Tensor | None] = []

    def forward(self, capture: torch.Tensor, psf: torch.Tensor | None = None) -> torch.Tensor:
        self.captures.append(capture)
        self.psfs.append(psf)
        return capture


def test_the_network_learns_from_noisy_exposures() -> None:
    recipe = replace(TINY, bits=12, full_well=0)
    watching = Watching()
    coded = Coded(recipe, watching, margin=0)  # type: ignore[arg-type]
    scene = torch.full((2, 3, 64, 64), 0.5)
    read_noise = torch.tensor([0.001, 0.02]).view(2, 1, 1, 1)
    coded(scene, torch.randn(scene.shape, generator=torch.Generator().manual_seed(0)), read_noise)
    (capture,) = watching.captures
    assert capture.std(dim=(1, 2, 3)).tolist() == pytest.approx([0.001, 0.02], rel=0.05)


def test_an_element_is_made_with_errors_that_who_decodes_does_not_know() -> None:
    torch.manual_seed(0)
    recipe = replace(TINY, optics="learn", bits=0, full_well=0)
    watching = Watching()
    coded = Coded(recipe, watching, margin=8, height_map=make_height_map(recipe))  # type: ignore[arg-type]
    scene = torch.rand(1, 3, 48, 48)
    error = 2 * torch.rand(16, 16) - 1
    with torch.no_grad():
        coded(scene, height_error=error)
        coded(scene)
    assert (watching.captures[0] - watching.captures[1]).abs().max() > 1e-4
    first, second = watching.psfs
    assert first is not None
    assert second is not None
    torch.testing.assert_close(first, second, rtol=0, atol=0)


class Heights(torch.nn.Module):
    """An element of given heights."""

    def __init__(self, heights: torch.Tensor) -> None:
        super().__init__()
        self.heights = heights

    def forward(self) -> torch.Tensor:
        return self.heights


def test_only_bent_elements_are_rough() -> None:
    rows, columns = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    wedge, bowl = 1e-7 * (rows + 2 * columns), 1e-7 * (rows**2 + columns**2)
    flat, bent = (
        Coded(TINY, Watching(), margin=0, height_map=Heights(each))  # type: ignore[arg-type]
        for each in (wedge, bowl)
    )
    assert float(flat.roughness()) == pytest.approx(0, abs=1e-9)
    # The second differences of a square are 2, in micrometres 0.2 for each direction.
    assert float(bent.roughness()) == pytest.approx(0.4**2, rel=1e-3)
