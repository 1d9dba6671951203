"""Errors of lenses and cameras, each against what it must do to a simple capture."""

import pytest
import torch

from restore.errors import UsageError
from restore.hdr.optics.capture_errors import ERROR_NUMBERS, CaptureErrors
from restore.hdr.optics.sensor import blurred

NONE = CaptureErrors(
    shift_px=0, scale=0, rotation_deg=0, blur_px=0, chromatic=0, veil=0, black_offset=0, knee=0,
    demosaicking=0,
)  # fmt: skip
SHARED = 9


def psf() -> torch.Tensor:
    """Return a core and a copy 20 pixels to its right, in every colour."""
    spots = torch.zeros(3, 65, 65)
    spots[:, 32, 32], spots[:, 32, 52] = 0.7, 0.3
    return spots


def draws(**values: float) -> torch.Tensor:
    """Return the numbers of one exposure: 0 but for those named."""
    places = {
        "x_red": 0, "y_green": 4, "scale_blue": 8, "scale": SHARED, "rotation": SHARED + 1,
        "blur": SHARED + 2, "veil": SHARED + 3, "offset": SHARED + 4, "knee": SHARED + 5,
        "demosaicking": SHARED + 6,
    }  # fmt: skip
    numbers = torch.zeros(1, ERROR_NUMBERS)
    for name, value in values.items():
        numbers[0, places[name]] = value
    return numbers


def bright(spread: torch.Tensor) -> list[list[int]]:
    places: list[list[int]] = (spread > 0.1).nonzero().tolist()
    return places


def test_without_draws_the_psf_stays_as_measured() -> None:
    kept = CaptureErrors().spread(psf(), draws())
    torch.testing.assert_close(kept[0], psf(), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("errors", "drawn", "expected"),
    [
        (CaptureErrors(rotation_deg=90), {"rotation": 1}, [[32, 32], [52, 32]]),
        (CaptureErrors(scale=0.1), {"scale": -1}, [[32, 32], [32, 50]]),
        (CaptureErrors(scale=0.1), {"scale": 1}, [[32, 32], [32, 54]]),
    ],
)
def test_copies_turn_and_scale_around_the_core(
    errors: CaptureErrors, drawn: dict[str, float], expected: list[list[int]]
) -> None:
    (spread,) = errors.spread(psf(), draws(**drawn))
    assert all(bright(colour) == expected for colour in spread)
    torch.testing.assert_close(spread.sum(dim=(1, 2)), torch.ones(3))


def test_colours_move_and_scale_by_themselves() -> None:
    errors = CaptureErrors(shift_px=3, chromatic=0.1)
    (spread,) = errors.spread(psf(), draws(x_red=1, y_green=-1, scale_blue=-1))
    assert bright(spread[0]) == [[32, 35], [32, 55]]
    assert bright(spread[1]) == [[29, 32], [29, 52]]
    assert bright(spread[2]) == [[32, 32], [32, 50]]


def test_blur_widens_the_core_and_keeps_the_light() -> None:
    (spread,) = CaptureErrors(blur_px=1).spread(psf(), draws(blur=1))
    assert float(spread[0, 32, 32]) == pytest.approx(0.7 * 0.3989**2, rel=0.02)
    assert float(spread[0].sum()) == pytest.approx(1)


def test_every_exposure_goes_through_its_own_psf() -> None:
    both = torch.cat([draws(), draws(rotation=1)])
    spread = CaptureErrors(rotation_deg=90).spread(psf(), both)
    point = torch.zeros(2, 3, 65, 65)
    point[:, :, 32, 32] = 1
    light = blurred(point, spread)
    assert bright(light[0, 0]) == [[32, 32], [32, 52]]
    assert bright(light[1, 0]) == [[32, 32], [52, 32]]


def test_the_veil_lights_the_dark_evenly() -> None:
    light = torch.zeros(1, 3, 10, 10)
    light[..., 0, 0] = 0.9
    veiled = CaptureErrors(veil=0.1).light(light, draws(veil=-1))
    torch.testing.assert_close(veiled.sum(), light.sum(), rtol=1e-4, atol=0)
    assert float(veiled[0, 0, 5, 5]) == pytest.approx(0.1 * 0.009)


def test_the_response_bends_into_saturation_and_never_falls() -> None:
    light = torch.linspace(0, 4, 401).view(1, 1, 1, -1).expand(1, 3, 1, -1)
    stored = CaptureErrors(knee=0.1).light(light, draws(knee=1))[0, 0, 0]
    assert (stored.diff() >= 0).all()
    torch.testing.assert_close(stored[:90], light[0, 0, 0, :90])
    assert float(stored[100]) == pytest.approx(0.9 + 0.1 * (1 - 0.3679), abs=1e-3)
    assert float(stored.max()) <= 1


def test_the_black_level_is_off_to_either_side() -> None:
    light = torch.full((1, 3, 2, 2), 0.5)
    for sign in (-1, 1):
        stored = CaptureErrors(black_offset=0.01).light(light, draws(offset=sign))
        torch.testing.assert_close(stored, light + 0.01 * sign)


def test_demosaicking_correlates_the_noise_of_neighbours() -> None:
    samples = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    mixed = CaptureErrors(demosaicking=1).interpolated(samples, draws(demosaicking=1))
    for colour in mixed[0]:
        inner = colour[2:-2, 2:-2]
        assert float((inner[:, 1:] * inner[:, :-1]).mean()) > 0.2 * float(inner.square().mean())
    kept = CaptureErrors(demosaicking=1).interpolated(samples, draws())
    torch.testing.assert_close(kept, samples)
    even = torch.full((1, 3, 8, 8), 0.3)
    torch.testing.assert_close(NONE.interpolated(even, draws(demosaicking=1)), even)
    flat = CaptureErrors(demosaicking=1).interpolated(even, draws(demosaicking=1))
    torch.testing.assert_close(flat, even)


@pytest.mark.parametrize("values", [{"blur_px": -1.0}, {"veil": 0.7}, {"demosaicking": 1.5}])
def test_impossible_errors_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="errors of captures"):
        CaptureErrors(**values)
