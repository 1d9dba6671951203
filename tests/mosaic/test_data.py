import pytest
import torch
from torch.nn import functional as F

from restore.mosaic.data import Mosaics, captured, in_blocks, sensor_masks
from restore.mosaic.planes import UNIT
from restore.noise.measured_camera import IsoNoise, MeasuredCamera

KINDS = ("bayer", "xtrans", "mono")


def _captured(kind: str, a: float, b: float, *, level: float = 0.5, exact: bool = True) -> Mosaics:
    generator = torch.Generator().manual_seed(0)
    clean = level + 0.02 * torch.rand(4, 3, 192, 192, generator=generator)
    profiles = torch.full((4,), a), torch.full((4,), b)
    return captured(clean, generator, filter_kind=kind, profiles=profiles, exact=exact)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("iso", [1e-6, 1e-4, 5e-3])
def test_the_network_sees_noise_of_one_strength_at_every_iso(kind: str, iso: float) -> None:
    mosaics = _captured(kind, iso, 20 * iso**1.5)
    noise = UNIT * mosaics.noise
    assert float(noise.std()) == pytest.approx(1, abs=0.03)
    assert float(noise.mean()) == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_network_predicts_is_what_is_taken_out(kind: str) -> None:
    mosaics = _captured(kind, 1e-3, 1e-5, exact=False)
    taken_out = mosaics.samples - mosaics.noise * mosaics.normalised.scale
    torch.testing.assert_close(taken_out, mosaics.target, atol=1e-5, rtol=1e-5)


def test_a_bright_pixel_does_not_change_how_much_noise_is_expected_of_it() -> None:
    """Else the result would be too dark: what is high by chance would count as noisier."""
    mosaics = _captured("bayer", 5e-3, 1e-6)
    scale, noise = mosaics.normalised.scale[..., 8:-8, 8:-8], mosaics.noise[..., 8:-8, 8:-8]
    together = torch.stack([scale.flatten(), noise.flatten()])
    assert abs(float(torch.corrcoef(together)[0, 1])) < 0.2


def test_exposures_levels_and_mistold_noise_vary() -> None:
    generator = torch.Generator().manual_seed(0)
    clean = torch.full((64, 3, 16, 16), 0.6)
    mosaics = captured(clean, generator, filter_kind="bayer")
    stops = mosaics.target.flatten(1).amax(1).clamp_min(1e-4).log2()
    assert float(stops.max() - stops.min()) > 5
    assert float(mosaics.samples.max()) <= 1.06


def test_masks_say_which_sample_sees_which_colour() -> None:
    bayer = in_blocks(sensor_masks("bayer", 4, 6))
    torch.testing.assert_close(bayer[:, :, 0, 0], torch.tensor(
        [[1.0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]]
    ))  # fmt: skip
    assert sensor_masks("xtrans", 6, 6).sum(dim=(1, 2)).tolist() == [8, 20, 8]
    assert sensor_masks("mono", 2, 2).min() == 1


def test_the_noise_is_that_of_the_camera_that_is_given() -> None:
    a, b, row = 1e-4, 4e-6, 2e-3
    camera = MeasuredCamera(
        height=1,
        width=1,
        black_level=(0.0,) * 4,
        white_level=1.0,
        speeds=(IsoNoise(iso=400.0, a=(a,) * 3, b=(b,) * 3, row=row),),
    )
    clean = torch.full((4, 3, 128, 128), 0.5)
    generator = torch.Generator().manual_seed(0)
    mosaics = captured(clean, generator, filter_kind="mono", sensor=camera)
    noise = mosaics.samples - mosaics.target
    light = float(mosaics.target.mean())
    # Rows are in it; the black level is off by up to 0.002, the white one by up to a tenth.
    rows = F.pixel_shuffle(noise, 2)[:, 0].mean(dim=2).std(dim=1).mean()
    assert float(rows) == pytest.approx(row, rel=0.15)
    assert float(noise.var(dim=(1, 2, 3)).mean()) == pytest.approx(a * light + b + row**2, rel=0.3)
