"""Checkpoints in the layouts of others, of networks that work."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from restore.errors import UsageError, WeightsError
from restore.image.metrics import psnr_chw
from restore.image.picture import Picture
from restore.models.hdr_unet import HdrUNet, HdrUNetConfig
from restore.models.optical_element import psf_of
from restore.noise.sensor import add_gaussian_noise
from restore.tasks import load
from restore.weights.convert.convert import as_laid_out as convert


@pytest.fixture(scope="module")
def kair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped gray DnCNN as KAIR stores one: convolutions and ReLUs in turn."""
    theirs = {
        f"model.{2 * int(key.split('.')[1])}.{key.split('.')[2]}": tensor
        for key, tensor in load("dncnn-gray").tensors.items()
    }
    path = tmp_path_factory.mktemp("kair") / "dncnn_blind.pth"
    torch.save(theirs, path)
    return path


def test_a_trained_network_denoises_in_anothers_layout(
    kair: Path, clean_photos: list[Picture]
) -> None:
    converted = convert(kair)
    assert converted.layout.startswith("KAIR DnCNN")
    network = converted.weights.build()
    gains = []
    for photo in clean_photos:
        clean = np.ascontiguousarray(photo.pixels[1:2, :96, :96])
        noisy = add_gaussian_noise(clean, 25 / 255, seed=0)
        with torch.inference_mode():
            result = network(torch.from_numpy(noisy)[None], torch.tensor([25 / 255]))
        gains.append(psnr_chw(result[0].clamp(0, 1).numpy(), clean) - psnr_chw(noisy, clean))
    assert min(gains) > 4
    assert sum(gains) / len(gains) > 6


def test_a_psf_for_a_denoiser_is_refused(kair: Path) -> None:
    with pytest.raises(UsageError, match="PSF"):
        convert(kair, psf=torch.ones(3, 3, 3) / 9)


NORM = ("bias", "weight", "running_mean", "running_var")


def _metzler(folder: Path, network: HdrUNet) -> Path:
    """Write a network as Metzler et al. publish theirs: 60 arrays without names."""
    state = network.state_dict()
    convolution = ("weight", "bias")

    def arrays(module: str, parts: Sequence[str]) -> list[np.ndarray]:
        tensors = [state[f"{module}.{part}"] for part in parts]
        return [
            (each.permute(2, 3, 1, 0) if each.ndim == 4 else each).numpy().copy()
            for each in tensors
        ]

    content = []
    for level in range(5):
        content += arrays(f"encoder.{level}.0", convolution)
        content += arrays(f"encoder.{level}.2", convolution)
    for step in range(4):
        content += arrays(f"up.{step}.0", convolution) + arrays(f"up.{step}.1", NORM)
        content += arrays(f"fuse.{step}", convolution)
    content += arrays("tail.0", convolution) + arrays("tail.1", NORM) + arrays("last", convolution)
    values = np.empty(len(content), dtype=object)
    values[:] = content
    np.savez(folder / "model.npz", params=values)
    return folder / "model.npz"


@pytest.fixture
def hdr_network() -> HdrUNet:
    torch.manual_seed(0)
    network = HdrUNet(HdrUNetConfig(width=4)).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.running_mean, std=0.1)
    return network


def test_the_network_of_metzler_computes_the_same_behind_its_arrays(
    hdr_network: HdrUNet, tmp_path: Path
) -> None:
    converted = convert(_metzler(tmp_path, hdr_network))
    assert converted.layout == "Metzler et al. HDR U-Net, 4 features"
    assert converted.weights.task == "hdr"
    capture = torch.rand(1, 3, 48, 64)
    with torch.inference_mode():
        ours, theirs = converted.weights.build()(capture), hdr_network(capture)
    assert theirs.std() > 0
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_psf_travels_with_the_converted_network(hdr_network: HdrUNet, tmp_path: Path) -> None:
    psf = torch.rand(3, 15, 15)
    psf /= psf.sum(dim=(1, 2), keepdim=True)
    carried = psf_of(convert(_metzler(tmp_path, hdr_network), psf=psf).weights.tensors)
    assert carried is not None
    torch.testing.assert_close(carried, psf, rtol=1e-4, atol=1e-8)


def test_a_pickled_module_is_refused_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As from a script that trains and calls ``torch.save(model, ...)``."""
    kind = type("DnCNN", (nn.Sequential,), {"__module__": "__main__"})
    with monkeypatch.context() as script:
        script.setattr(sys.modules["__main__"], "DnCNN", kind, raising=False)
        torch.save(kind(nn.Conv2d(1, 4, 3)), tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=r"__main__\.DnCNN"):
        convert(tmp_path / "net.pth")
