from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat
from scipy.signal import correlate2d

from restore.errors import WeightsError
from restore.image.metrics import psnr_chw
from restore.noise.sensor import add_gaussian_noise
from restore.weights.convert.convert import as_laid_out as convert


def _cell(values: list[Any]) -> NDArray[np.object_]:
    cell = np.empty((1, len(values)), dtype=object)
    cell[0] = values
    return cell


def _mat_conv(rng: np.random.Generator, inputs: int, outputs: int) -> dict[str, Any]:
    kernel = rng.normal(0, 0.3, (3, 3, inputs, outputs)).astype(np.float32)
    # As MATLAB does with trailing dimensions of one.
    kernel = kernel[..., 0] if outputs == 1 else kernel
    bias = rng.normal(0, 0.1, (1, outputs)).astype(np.float32)
    return {"type": "conv", "weights": _cell([kernel, bias]), "pad": 1.0, "stride": 1.0}


def _mat_file(path: Path, layers: list[dict[str, Any]]) -> Path:
    savemat(path, {"net": {"layers": _cell(layers)}})
    return path


def _matconvnet(layers: list[dict[str, Any]], x: NDArray[Any], sigma: float) -> NDArray[Any]:
    """Run MatConvNet layers on ``x`` [H, W, C] with loops and scipy alone."""
    for layer in layers:
        kind = layer["type"]
        if kind == "relu":
            x = np.maximum(x, 0)
        elif kind == "concat":
            x = np.concatenate([x, np.full((*x.shape[:2], 1), sigma)], axis=2)
        elif kind == "bnorm":
            scale, shift, moments = layer["weights"][0]
            x = (x - moments[:, 0]) / moments[:, 1] * scale.ravel() + shift.ravel()
        elif kind == "SubP" and layer["scale"] < 1:
            # Sub-pixel order: channel, then column, then row.
            planes = [x[i::2, j::2, c] for c in range(x.shape[2]) for j in (0, 1) for i in (0, 1)]
            x = np.stack(planes, axis=2)
        elif kind == "SubP":
            large = np.empty((2 * x.shape[0], 2 * x.shape[1], x.shape[2] // 4))
            for index in range(x.shape[2]):
                c, j, i = index // 4, index // 2 % 2, index % 2
                large[i::2, j::2, c] = x[:, :, index]
            x = large
        else:
            kernel, bias = layer["weights"][0]
            kernel = kernel[..., None] if kernel.ndim == 3 else kernel
            x = np.stack(
                [
                    sum(
                        correlate2d(x[:, :, c], kernel[:, :, c, o], mode="same")
                        for c in range(x.shape[2])
                    )
                    + bias[0, o]
                    for o in range(kernel.shape[3])
                ],
                axis=2,
            )
    return x


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("family", ["DnCNN", "DnCNN in training", "FDnCNN", "FFDNet"])
def test_matconvnet(tmp_path: Path, family: str, channels: int) -> None:
    rng = np.random.default_rng(0)
    factor = 4 if family == "FFDNet" else 1
    takes_sigma = not family.startswith("DnCNN")
    relu = {"type": "relu", "leak": 0.0}
    layers = [
        _mat_conv(rng, factor * channels + takes_sigma, 5),
        relu,
        _mat_conv(rng, 5, 5),
        relu,
        _mat_conv(rng, 5, factor * channels),
    ]
    if family == "DnCNN in training":
        moments = np.stack([rng.normal(0, 0.1, 5), rng.uniform(0.1, 0.3, 5)], axis=1)
        affine = [rng.uniform(0.2, 0.4, (5, 1)), rng.normal(0, 0.1, (5, 1))]
        layers.insert(3, {"type": "bnorm", "weights": _cell([*affine, moments])})
        layers.append({"type": "loss"})
    if takes_sigma:
        layers.insert(0, {"type": "concat"})
    if family == "FFDNet":
        layers = [{"type": "SubP", "scale": 0.5}, *layers, {"type": "SubP", "scale": 2.0}]
    converted = convert(_mat_file(tmp_path / "net.mat", layers))
    assert f"cszn MatConvNet {family.split(' ')[0]}, 3 layers" in converted.layout
    assert converted.weights.takes_sigma == takes_sigma

    noisy = rng.random((8, 12, channels))
    layers = [layer for layer in layers if layer["type"] != "loss"]
    theirs = _matconvnet(layers, noisy, 0.1)
    theirs = theirs if takes_sigma else noisy - theirs
    with torch.no_grad():
        batch = torch.tensor(noisy.transpose(2, 0, 1)[None], dtype=torch.float32)
        ours = converted.weights.build()(batch, torch.tensor([0.1]))[0].numpy()
    np.testing.assert_allclose(ours.transpose(1, 2, 0), theirs, rtol=0, atol=1e-5)


def test_damaged_matlab_file_cannot_end_the_program(tmp_path: Path) -> None:
    """Some of these make the reader's C code crash."""
    rng = np.random.default_rng(0)
    layers = [_mat_conv(rng, 1, 4), {"type": "relu"}, _mat_conv(rng, 4, 1)]
    path = _mat_file(tmp_path / "net.mat", layers)
    data = np.frombuffer(path.read_bytes(), np.uint8)
    outcomes = set()
    for _ in range(6):
        damaged = data.copy()
        damaged[rng.integers(128, len(data), 20)] = rng.integers(0, 256, 20)
        path.write_bytes(damaged.tobytes())
        try:
            convert(path)
        except WeightsError as error:
            outcomes.add(str(error).partition("(")[0])
    assert outcomes


def test_dilated_matconvnet_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    layers = [_mat_conv(rng, 1, 4), {"type": "relu"}, _mat_conv(rng, 4, 1)]
    layers[2] |= {"dilate": 2.0}
    with pytest.raises(WeightsError, match="dilation"):
        convert(_mat_file(tmp_path / "net.mat", layers))


@pytest.mark.parametrize("weights", ["text", 3.0, _cell([1.0, 2.0]), _cell(["a", "b"])])
def test_matconvnet_layers_without_sense_are_refused(tmp_path: Path, weights: Any) -> None:
    layers = [{"type": "conv", "weights": weights}, {"type": "relu"}]
    with pytest.raises(WeightsError, match=r"net\.mat: "):
        convert(_mat_file(tmp_path / "net.mat", layers))


def test_matlab_7_3_without_h5py_is_refused_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "h5py.py").write_text("raise ModuleNotFoundError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    path = tmp_path / "net.mat"
    path.write_bytes(b"MATLAB 7.3 MAT-file, Platform: PCWIN64".ljust(1024))
    with pytest.raises(WeightsError, match="pip install h5py"):
        convert(path)


def test_published_matlab_networks(shared_data: Path) -> None:
    pytest.importorskip("h5py")
    reference = shared_data / "reference"
    matlab, kair = convert(reference / "cszn_sigma25.mat"), convert(reference / "kair_dncnn_25.pth")
    assert matlab.weights.config == kair.weights.config
    for key, tensor in kair.weights.tensors.items():
        torch.testing.assert_close(matlab.weights.tensors[key], tensor, rtol=1e-6, atol=1e-8)
    blind = convert(reference / "cszn_color_blind.mat")
    assert blind.layout == "cszn MatConvNet DnCNN, 20 layers, color, batch norm merged"
    flexible = convert(reference / "cszn_fdncnn_color.mat")
    assert flexible.layout == "cszn MatConvNet FDnCNN, 20 layers, color, noise-level map"
    clean = np.asarray(Image.open(shared_data / "denoise/test/kodak24/kodim05.png"), np.float32)
    crop = np.ascontiguousarray(clean.transpose(2, 0, 1)[:, 100:180, 100:180] / np.float32(255))
    noisy = add_gaussian_noise(crop, 25 / 255, seed=0)
    for converted in (blind, flexible):
        with torch.inference_mode():
            result = converted.weights.build()(torch.from_numpy(noisy)[None], torch.tensor([0.098]))
        assert psnr_chw(result[0].clamp(0, 1).numpy(), crop) > psnr_chw(noisy, crop) + 6
