import numpy as np
import pytest
import torch
from torch import Tensor

from restore.dark.darkening import dark_raw, darkened
from restore.image.colour import linear_to_srgb, srgb_to_linear
from restore.image.develop import camera_to_srgb
from restore.image.raw_picture import REFERENCE_CFA, normalised, pack
from restore.models.layers import srgb_encoded
from restore.noise.iso import median_noise

CAMERAS = ["Nikon D850"]


def flat(colour: tuple[float, float, float], side: int = 96) -> Tensor:
    return torch.tensor(colour)[None, :, None, None].expand(1, 3, side, side).contiguous()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("side", "planes", "step"), [(2, 4, 2), (6, 9, 3)])
def test_planes_and_targets_fit_each_other(side: int, planes: int, step: int) -> None:
    dark = darkened(torch.rand(2, 3, 48, 96), CAMERAS, (50, 300), generator(), side=side)
    assert dark.packed.shape == (2, planes, 48 // step, 96 // step)
    assert dark.clean.shape == dark.shown.shape == (2, 3, 48, 96)


@pytest.mark.parametrize("side", [2, 6])
def test_amplified_planes_have_the_light_of_the_target(side: int) -> None:
    """Under a low ratio the mean of each plane is its colour in linear light."""
    dark = darkened(flat((0.6, 0.4, 0.3)), CAMERAS, (2, 2), generator(), side=side)
    colours = [0, 1, 2, 1] if side == 2 else [0, 1, 2, 0, 2, 1, 1, 1, 1]
    wanted = dark.clean[0].mean(dim=(1, 2))
    means = srgb_encoded(dark.packed[0].mean(dim=(1, 2)).clamp(0, 1))
    assert means == pytest.approx(wanted[colours], abs=0.01)


def test_noise_grows_with_the_ratio_and_reaches_below_black() -> None:
    spreads = [
        float(darkened(flat((0.3, 0.3, 0.3)), CAMERAS, (ratio, ratio), generator()).packed.std())
        for ratio in (10.0, 100.0, 300.0)
    ]
    assert spreads == sorted(spreads)
    dark = darkened(flat((0.05, 0.05, 0.05)), CAMERAS, (300, 300), generator())
    assert dark.packed.min() < 0
    assert dark.packed.max() <= 1


def test_white_is_white_in_every_camera() -> None:
    dark = darkened(flat((1.0, 1.0, 1.0)), CAMERAS, (50, 50), generator(3))
    assert dark.clean.min() > 0.99


def test_some_varied_scenes_saturate_in_one_colour_alone() -> None:
    """As a red rose does, whose green and blue are dark: no picture in sRGB unprocesses to it."""

    def saturated_reds(*, varied: bool) -> int:
        rose = flat((0.9, 0.05, 0.1), side=16).expand(200, 3, 16, 16)
        seen = darkened(rose, CAMERAS, (2, 2), generator(), varied=varied).packed
        red, green, blue, _ = seen.mean(dim=(2, 3)).unbind(dim=1)
        return int(((torch.maximum(green, blue) < 0.4) & (red > 0.99)).sum())

    assert saturated_reds(varied=True) > 10
    assert saturated_reds(varied=False) == 0


def test_headroom_reaches_to_where_the_sensor_saturates() -> None:
    """White of the scene is white of the picture; amplified little, red and blue hold more."""
    white = flat((1.0, 1.0, 1.0))
    dark = darkened(white, CAMERAS, (1, 1), generator(), packs=False, highest=4.0)
    brightest = dark.clean.amax(dim=(0, 2, 3))
    assert brightest[0] > brightest[1] > 1
    assert dark.mosaics.max() == pytest.approx(float(srgb_to_linear(brightest.numpy()).max()), 0.01)
    clipped = darkened(white, CAMERAS, (1, 1), generator(), packs=False)
    assert clipped.mosaics.max() == 1
    assert float(clipped.clean.max()) == pytest.approx(1)


def test_a_mosaic_says_which_filter_is_over_each_pixel() -> None:
    for side in (2, 6):
        dark = darkened(
            torch.rand(2, 3, 48, 96), CAMERAS, (2, 2), generator(), side=side, packs=False
        )
        (inputs,) = dark.inputs
        assert inputs.shape == (2, 2, 48, 96)
        cfa = np.where(REFERENCE_CFA[side] == 3, 1, REFERENCE_CFA[side])
        np.testing.assert_array_equal(inputs[1, 1, :side, side : 2 * side], cfa)


@pytest.mark.parametrize("iso", [100, 1600, 25600])
def test_noise_at_an_iso_speed_is_that_of_the_median_camera(iso: float) -> None:
    shot, read = median_noise(iso)
    clean = torch.full((3, 256, 256), 0.5)
    raw, light, gain = dark_raw(clean, CAMERAS[0], 1, generator(), iso=iso)
    for plane, colour in zip(pack(normalised(raw), raw.cfa).planes, (0, 1, 2, 1), strict=True):
        factor = gain * raw.white_balance[colour]
        level = float(light[colour].mean()) / factor
        rounding = (1 / 15871) ** 2 / 12
        assert plane.var() == pytest.approx(shot * level + read + rounding, rel=0.05)
        assert plane.mean() == pytest.approx(level, rel=0.01)


def test_the_same_seed_gives_the_same_night() -> None:
    clean = torch.rand(1, 3, 32, 32)
    first, again = (darkened(clean, CAMERAS, (50, 300), generator(7)).packed for _ in range(2))
    assert torch.equal(first, again)


def test_curve_is_that_of_the_pictures() -> None:
    light = np.linspace(0, 1, 1001, dtype=np.float32)
    assert srgb_encoded(torch.from_numpy(light)).numpy() == pytest.approx(
        linear_to_srgb(light), abs=1e-6
    )


def test_raw_file_of_a_night_develops_to_what_it_was_made_of() -> None:
    clean = torch.rand(3, 6, 6, generator=generator()).repeat_interleave(16, 1)
    clean = clean.repeat_interleave(16, 2)
    raw, light, ratio = dark_raw(clean, "Canon 5D4", 2.0, generator(1))
    planes = pack(normalised(raw), raw.cfa).planes
    balance = np.array(raw.white_balance, np.float32)[[0, 1, 2, 1]]
    balanced = (planes * balance[:, None, None] * ratio).clip(0, 1)
    means = balanced.reshape(4, 6, 8, 6, 8).mean(axis=(2, 4))
    wanted = light[:, ::16, ::16].numpy()
    np.testing.assert_allclose(means[:3], wanted, atol=0.02)
    from_srgb = np.linalg.inv(camera_to_srgb(raw))
    np.testing.assert_allclose(from_srgb.sum(axis=1), 1, atol=1e-4)
