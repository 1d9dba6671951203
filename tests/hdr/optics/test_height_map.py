import pytest
import torch

from restore.hdr.optics.height_map import HEIGHT_MAPS, fabricated, zernike
from restore.hdr.optics.psf import LensDesign, aperture, point_spread

CAMERA = LensDesign()


@pytest.mark.parametrize("kind", sorted(HEIGHT_MAPS))
def test_heights_stay_within_the_limit_and_take_gradients(kind: str) -> None:
    torch.manual_seed(0)
    height_map = HEIGHT_MAPS[kind](CAMERA, 16)
    with torch.no_grad():
        for parameter in height_map.parameters():
            parameter.mul_(1.5)
    heights = height_map()
    assert heights.shape == (16, 16)
    assert heights.min() >= 0
    assert heights.max() <= CAMERA.height_limit_m * 1.0001
    heights.sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in height_map.parameters())


@pytest.mark.parametrize("kind", sorted(HEIGHT_MAPS))
def test_an_element_begins_with_another_of_its_kind(kind: str) -> None:
    torch.manual_seed(0)
    first, second = (HEIGHT_MAPS[kind](CAMERA, 64) for _ in range(2))
    wanted = first().detach()
    second.begin_with(wanted)
    inside = aperture(64) == 1
    difference = (second().detach() - wanted)[inside].abs().mean()
    # Polynomials do not follow where the limits cut them off.
    assert difference < (0.2 if kind == "zernike" else 0.01) * wanted[inside].std()


def test_rank_one_heights_are_an_outer_product() -> None:
    torch.manual_seed(0)
    roots = HEIGHT_MAPS["rank1"](CAMERA, 16)().sqrt()
    assert torch.linalg.matrix_rank(roots.double() * 1e3, rtol=1e-4) == 1


def test_a_grating_begins_with_copies_beside_the_core() -> None:
    torch.manual_seed(0)
    heights = HEIGHT_MAPS["grating"](CAMERA, 128)().detach()
    assert torch.equal(heights[4:], heights[:-4])
    assert torch.equal(heights[:, 4:], heights[:, :-4])
    psf = point_spread(heights, CAMERA, 97).psf
    for spread, wavelength in zip(psf, CAMERA.wavelengths_m, strict=True):
        period = 4 * CAMERA.aperture_m / 128
        order = wavelength * CAMERA.focal_length_m / period / CAMERA.pixel_pitch_m
        away = 48 + round(order)
        copy = spread[45:52, away - 3 : away + 4].sum()
        between = 48 + round(order / 2)
        assert copy > 0.001
        assert copy > 3 * spread[45:52, between - 3 : between + 4].sum()


def test_fabrication_rounds_to_steps_adds_errors_and_passes_gradients() -> None:
    height = torch.tensor([[1e-7, 5e-7], [1e-6, 1.5e-6]], requires_grad=True)
    stepped = fabricated(height, CAMERA)
    levels = stepped.detach() / CAMERA.height_step_m
    torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-3)
    off = fabricated(height, CAMERA, torch.ones(2, 2)) - stepped
    torch.testing.assert_close(off, torch.full((2, 2), 20e-9), rtol=1e-3, atol=1e-12)
    (gradient,) = torch.autograd.grad(stepped.sum(), height)
    torch.testing.assert_close(gradient, torch.ones(2, 2))


def test_zernike_polynomials_are_orthonormal_over_the_disc() -> None:
    disc = aperture(400) > 0.5
    modes = torch.stack([zernike(term, 400)[disc] for term in range(1, 16)])
    gram = modes @ modes.T / disc.sum()
    torch.testing.assert_close(gram, torch.eye(15), rtol=0, atol=0.03)


def test_defocus_and_tilt_have_their_nolls_numbers() -> None:
    defocus, tilt = zernike(4, 64), zernike(2, 64)
    torch.testing.assert_close(defocus, defocus.T)
    torch.testing.assert_close(tilt[:, 10], -tilt[:, 53], rtol=0, atol=1e-5)
