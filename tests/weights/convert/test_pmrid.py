from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from restore.errors import UnsupportedImage, WeightsError
from restore.image.raw_picture import REFERENCE_CFA, RawPicture
from restore.models.pmrid import PMRID, PMRIDConfig
from restore.mosaic.runner import MosaicDenoiser
from restore.noise.poisson_gaussian import NoiseProfile
from restore.weights.convert.convert import as_laid_out as convert
from restore.weights.store import save_weights


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "pmrid.ckp"
    torch.save(PMRID(PMRIDConfig()).state_dict(), path)
    return path


def test_a_checkpoint_is_recognised_and_runs(checkpoint: Path, tmp_path: Path) -> None:
    converted = convert(checkpoint)
    assert converted.layout == "PMRID, packed Bayer"
    assert converted.weights.task == "denoise-raw"
    model = tmp_path / "pmrid.safetensors"
    save_weights(converted.weights, model)
    raw = RawPicture(
        mosaic=np.full((40, 52), 3000, np.uint16),
        cfa=REFERENCE_CFA[2],
        black_level=(512.0,) * 4,
        white_level=16383.0,
    )
    profile = NoiseProfile(a=(1e-3,) * 3, b=(3e-6,) * 3)
    denoiser = MosaicDenoiser(model)
    assert denoiser(raw, profile=profile).raw.mosaic.shape == (40, 52)
    with pytest.raises(UnsupportedImage, match="pmrid is for Bayer sensors only"):
        denoiser(replace(raw, cfa=REFERENCE_CFA[6]), profile=profile)


def test_another_form_is_refused(tmp_path: Path) -> None:
    tensors = PMRID(PMRIDConfig()).state_dict()
    del tensors["out1.conv.bias"]
    path = tmp_path / "other.ckp"
    torch.save(tensors, path)
    with pytest.raises(WeightsError, match=r"unknown form: out1\.conv\.bias is not as published"):
        convert(path)


def test_the_published_network_takes_the_noise_of_another_sensor_out(
    shared_data: Path, tmp_path: Path
) -> None:
    model = tmp_path / "pmrid.safetensors"
    save_weights(convert(shared_data / "reference/pmrid_bayer.ckp").weights, model)
    rng = np.random.default_rng(0)
    a, b = 2e-3, 1e-5
    light = np.tile(np.linspace(0.02, 0.2, 192), (192, 1))
    noisy = light + np.sqrt(a * light + b) * rng.standard_normal(light.shape)
    raw = RawPicture(
        mosaic=np.rint(512 + 15871 * noisy).clip(0, 16383).astype(np.uint16),
        cfa=REFERENCE_CFA[2],
        black_level=(512.0,) * 4,
        white_level=16383.0,
    )
    done = MosaicDenoiser(model)(raw, profile=NoiseProfile(a=(a,) * 3, b=(b,) * 3))
    before, after = (np.std((each.mosaic - 512.0) / 15871 - light) for each in (raw, done.raw))
    assert after < before / 3
