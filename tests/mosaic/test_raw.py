"""The shipped network."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from restore.image.picture import Picture
from restore.image.raw_picture import REFERENCE_CFA, RawPicture
from restore.mosaic.data import captured
from restore.mosaic.runner import MosaicDenoiser
from restore.noise.iso import median_noise
from restore.noise.poisson_gaussian import NoiseProfile

SIDES = {"bayer": 2, "xtrans": 6, "mono": 1}
BLACK, RANGE = 512.0, 15871.0


@pytest.fixture(scope="module")
def denoiser() -> MosaicDenoiser:
    return MosaicDenoiser()


@pytest.mark.parametrize("kind", SIDES)
@pytest.mark.parametrize(("iso", "gain_db"), [(100, 0.1), (1600, 1.0), (25600, 3.0)])
def test_it_gains_at_every_iso_on_every_sensor_and_keeps_the_light(
    denoiser: MosaicDenoiser, clean_photos: list[Picture], kind: str, iso: float, gain_db: float
) -> None:
    a, b = median_noise(iso)
    profile = NoiseProfile(a=(a,) * 3, b=(b,) * 3)
    generator = torch.Generator().manual_seed(0)
    clean = torch.stack([torch.from_numpy(photo.pixels) for photo in clean_photos[:3]])
    levels = torch.full((3,), a), torch.full((3,), b)
    mosaics = captured(clean, generator, filter_kind=kind, profiles=levels, exact=True)
    gains = []
    for samples, light in zip(mosaics.samples, mosaics.target, strict=True):
        noisy, target = (F.pixel_shuffle(each, 2)[0].numpy() for each in (samples, light))
        raw = RawPicture(
            mosaic=np.rint(BLACK + RANGE * noisy).clip(0, 16383).astype(np.uint16),
            cfa=REFERENCE_CFA[SIDES[kind]],
            black_level=(BLACK,) * 4,
            white_level=BLACK + RANGE,
        )
        done = denoiser(raw, profile=profile).raw
        before, after = ((each.mosaic - BLACK) / RANGE for each in (raw, done))
        gains.append(
            10 * np.log10(np.square(before - target).mean() / np.square(after - target).mean())
        )
        assert after.mean() == pytest.approx(before.mean(), rel=5e-3)
    assert min(gains) > 0
    assert np.mean(gains) > gain_db
