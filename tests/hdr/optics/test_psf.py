import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from restore.errors import UsageError
from restore.hdr.optics.psf import (
    LensDesign,
    PointSpread,
    aperture,
    load_psf,
    point_spread,
    resized,
)
from restore.models.optical_element import psf_of
from restore.tasks import load

CAMERA = LensDesign()
FLAT = torch.zeros(256, 256, dtype=torch.float64)


def _orders(plane: torch.Tensor, *, beyond: float) -> list[tuple[float, float]]:
    """Return distance from the centre (pixels) and share of the two strongest spots."""
    size = plane.shape[0]
    along = torch.arange(size, dtype=torch.float64) - size // 2
    left = plane.double().clone()
    left[along[:, None].square() + along.square() < beyond**2] = 0
    found = []
    for _ in range(2):
        row, column = divmod(int(left.argmax()), size)
        spot = (slice(max(0, row - 4), row + 5), slice(max(0, column - 4), column + 5))
        light = left[spot]
        y = float((light * along[spot[0], None]).sum() / light.sum())
        x = float((light * along[spot[1]]).sum() / light.sum())
        found.append((math.hypot(y, x), float(light.sum())))
        left[spot] = 0
    return found


def test_a_clear_aperture_images_a_point_as_airys_disc() -> None:
    fine = replace(CAMERA, pixel_pitch_m=0.1e-6)
    plane = point_spread(FLAT, fine, 201).psf
    for channel, wavelength in zip(plane, CAMERA.wavelengths_m, strict=True):
        along = channel[100, 100:]
        first_minimum = next(i for i in range(1, 99) if along[i] < along[i + 1])
        # The minimum of a parabola through three points is finer than the grid.
        before, at, after = along[first_minimum - 1 : first_minimum + 2].tolist()
        place = first_minimum + 0.5 * (before - after) / (before - 2 * at + after)
        expected = 1.22 * wavelength * CAMERA.f_number
        assert place * fine.pixel_pitch_m == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("period_cells", [8, 12])
def test_a_grating_sends_light_to_orders_proportional_to_wavelength(period_cells: int) -> None:
    cells = torch.arange(256, dtype=torch.float64)
    stripes = ((cells % period_cells) < period_cells / 2).double() * 0.5e-6
    plane = point_spread(stripes.expand(256, 256), CAMERA, 161).psf
    period_m = period_cells * CAMERA.aperture_m / 256
    for channel, wavelength in zip(plane, CAMERA.wavelengths_m, strict=True):
        expected = wavelength * CAMERA.focal_length_m / period_m / CAMERA.pixel_pitch_m
        for distance, _ in _orders(channel, beyond=expected / 2):
            assert distance == pytest.approx(expected, abs=0.5)


def test_a_psf_sums_to_one_and_says_what_it_leaves_out() -> None:
    torch.manual_seed(0)
    rough = torch.rand(128, 128) * CAMERA.height_limit_m
    small = point_spread(rough, CAMERA, 33)
    large = point_spread(rough, CAMERA, 129)
    torch.testing.assert_close(small.psf.sum(dim=(1, 2)), torch.ones(3))
    assert (small.inside < 0.3).all()
    assert (large.inside > small.inside).all()
    clear = point_spread(FLAT, CAMERA, 65).inside
    assert (clear > 0.97).all()
    assert (clear <= 1).all()


def test_light_is_integrated_over_pixels() -> None:
    torch.manual_seed(0)
    unit = 0.4e-6 * torch.rand(8, 8, dtype=torch.float64)
    grating = unit.repeat(32, 32)
    exact = point_spread(grating, CAMERA, 65, oversampling=12).psf

    def elsewhere(spot: PointSpread) -> torch.Tensor:
        return (spot.psf - exact).abs().sum(dim=(1, 2)) / 2

    assert (elsewhere(point_spread(grating, CAMERA, 65)) <= 0.04).all()
    at_centres = elsewhere(point_spread(grating, CAMERA, 65, oversampling=1))
    assert (at_centres >= 0.1).all()
    assert (at_centres <= 0.4).all()


def test_gradients_of_the_psf_are_exact() -> None:
    torch.manual_seed(0)
    height = (torch.rand(8, 8, dtype=torch.float64) * 1e-6).requires_grad_()

    def psf(scaled: torch.Tensor) -> torch.Tensor:
        return point_spread(scaled * 1e-6, CAMERA, 5).psf

    assert torch.autograd.gradcheck(psf, ((height.detach() * 1e6).requires_grad_(),))


def test_the_psf_agrees_with_torchoptics() -> None:
    """A lens as an explicit phase, which a small aperture samples well, and direct integration."""
    torchoptics = pytest.importorskip("torchoptics")
    from torchoptics.elements import Lens

    cells, size, wavelength = 64, 33, 530e-9
    spacing = 0.5e-3 / cells
    camera = replace(
        CAMERA,
        aperture_m=0.5e-3,
        wavelengths_m=(wavelength,),
        refractive_indices=(1.4349,),
        pixel_pitch_m=spacing,  # another spacing would make torchoptics interpolate
    )
    torch.manual_seed(1)
    coarse = torch.rand(1, 1, 8, 8, dtype=torch.float64)
    height = torch.nn.functional.interpolate(coarse, cells, mode="bicubic")[0, 0] * 1e-6
    psf = point_spread(height, camera, size, oversampling=1).psf[0]

    phase = 2 * torch.pi / wavelength * 0.4349 * height
    field = torchoptics.Field(
        torch.polar(aperture(cells, dtype=torch.float64), phase), wavelength, spacing=spacing
    )
    lens = Lens((cells, cells), camera.focal_length_m, spacing=spacing)
    image = lens(field).propagate(
        (size, size), camera.focal_length_m, spacing=spacing, propagation_method="DIM"
    )
    theirs = image.intensity()
    theirs = theirs / theirs.sum()
    torch.testing.assert_close(psf, theirs, rtol=0.01, atol=0.01 * float(psf.max()))


def test_the_measured_psf_that_is_shipped_shows_its_orders() -> None:
    psf = psf_of(load("hdr-measured").tensors)
    assert psf is not None
    _assert_orders_of_the_measured_element(psf)


def test_the_measured_psf_shows_its_orders(shared_data: Path) -> None:
    psf = load_psf(shared_data / "hdr" / "metzler" / "measured_psf.npz")
    _assert_orders_of_the_measured_element(psf)


def _assert_orders_of_the_measured_element(psf: torch.Tensor) -> None:
    assert psf.shape == (3, 319, 319)
    torch.testing.assert_close(psf.sum(dim=(1, 2)), torch.ones(3))
    for channel, distance in zip(psf, (35.5, 31.2, 25.6), strict=True):
        strongest, second = _orders(channel, beyond=15)
        assert strongest[0] == pytest.approx(distance, abs=1.0)
        assert strongest[1] > second[1] > 0.04


def test_a_resized_psf_keeps_its_centre_and_its_sum() -> None:
    psf = torch.zeros(3, 9, 9)
    psf[:, 4, 4], psf[:, 4, 5] = 0.75, 0.25
    for size in (5, 13):
        other = resized(psf, size)
        assert other.shape == (3, size, size)
        torch.testing.assert_close(other[:, size // 2, size // 2 + 1], torch.full((3,), 0.25))


class _NoDoubles(TorchDispatchMode):
    """Takes the device meta for a GPU that has no double precision."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and result.is_meta:
            assert result.dtype not in (torch.float64, torch.complex128), func
        return result


def test_double_precision_is_asked_of_the_processor_alone() -> None:
    heights = torch.zeros((8, 8), device="meta")
    with _NoDoubles():
        assert point_spread(heights, CAMERA, 5).psf.shape == (3, 5, 5)


@pytest.mark.parametrize("peak", [(3, 3), (4, 4), (3, 4)])
def test_even_sides_lose_what_leaves_the_peak_in_the_middle(
    tmp_path: Path, peak: tuple[int, int]
) -> None:
    spot = np.full((8, 8), 1e-3)
    spot[peak] = 1
    np.save(tmp_path / "spot.npy", spot)
    psf = load_psf(tmp_path / "spot.npy")
    assert psf.shape == (3, 7, 7)
    assert int(psf[0].argmax()) == 3 * 7 + 3


@pytest.mark.parametrize("values", [np.full((5, 5), -1.0), np.zeros((5, 5)), np.ones((2, 5, 5, 4))])
def test_what_is_no_psf_is_refused_with_its_name(tmp_path: Path, values: np.ndarray) -> None:
    path = tmp_path / "spot.npy"
    np.save(path, values)
    with pytest.raises(UsageError, match=r"spot\.npy"):
        load_psf(path)
