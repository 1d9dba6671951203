"""ONNX files compute what PyTorch does; skipped where the exporter is not installed."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from restore.errors import UsageError, WeightsError
from restore.models.dncnn import DnCNN, DnCNNConfig
from restore.models.isp_resunet import IspResUNet, IspResUNetConfig
from restore.models.isp_unet import IspUNet, IspUNetConfig
from restore.models.resunet import ResUNet, ResUNetConfig
from restore.tasks import task_called
from restore.weights import export as onnx_export
from restore.weights.export import to_onnx
from restore.weights.store import Weights

pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")


def weights_of(network: Any, task: str = "denoise") -> Weights:
    torch.manual_seed(0)
    return Weights(
        name="small",
        network=type(network),
        config=network.config,
        task=task,
        tensors=dict(type(network)(network.config).state_dict()),
    )


def run(data: bytes, **inputs: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(["result"], inputs)[0]
    return result


def all_but(package: str) -> Callable[[str], str | None]:
    """Return a ``find_spec`` that finds all packages but one."""
    return lambda name: None if name == package else name


@pytest.fixture(scope="module")
def told() -> Weights:
    return weights_of(ResUNet(ResUNetConfig(channels=3, widths=(4, 8), blocks=1)))


@pytest.fixture(scope="module")
def exported(told: Weights) -> bytes:
    return to_onnx(told, task_called("denoise")).data


@pytest.mark.parametrize("shape", [(1, 3, 2, 2), (1, 3, 46, 30), (4, 3, 8, 18)])
def test_any_size_and_any_batch(
    told: Weights, exported: bytes, shape: tuple[int, int, int, int]
) -> None:
    picture = np.random.default_rng(0).random(shape, dtype=np.float32)
    sigma = np.linspace(0.05, 0.2, shape[0], dtype=np.float32)
    with torch.inference_mode():
        expected = told.build()(torch.from_numpy(picture), torch.from_numpy(sigma)).numpy()
    np.testing.assert_allclose(run(exported, picture=picture, sigma=sigma), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 3, 1, 1), (2, 3, 47, 31), (1, 3, 3, 18)])
def test_odd_sizes_are_mirrored_as_the_engine_does(
    told: Weights, exported: bytes, shape: tuple[int, int, int, int]
) -> None:
    picture = np.random.default_rng(0).random(shape, dtype=np.float32)
    sigma = np.full(shape[0], 0.1, np.float32)
    padded = np.pad(picture, ((0, 0), (0, 0), *((0, -side % 2) for side in shape[2:])), "symmetric")
    with torch.inference_mode():
        expected = told.build()(torch.from_numpy(padded), torch.from_numpy(sigma)).numpy()
    result = run(exported, picture=picture, sigma=sigma)
    np.testing.assert_allclose(result, expected[..., : shape[2], : shape[3]], atol=1e-5)


def test_axes_and_metadata_say_what_the_file_takes(exported: bytes) -> None:
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["batch", 3, "height", "width"]
    assert session.get_outputs()[0].shape == ["batch", 3, "height", "width"]
    stated = session.get_modelmeta().custom_metadata_map
    assert stated["task"] == "denoise"
    assert stated["multiple"] == "1"
    assert stated["colours"] == "RGB"
    assert stated["range"].startswith("0 to 1")
    assert stated["licence"]


def test_the_documented_settings_of_triton_fit_the_file(exported: bytes) -> None:
    page = Path(__file__).parents[2] / "docs" / "scale.md"
    (config,) = re.findall(r"```protobuf\n(.+?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    tensor = r'name: "(\w+)" data_type: TYPE_FP32 dims: \[ ([-\d, ]+) \]'
    stated = {
        name: [int(size) for size in sizes.split(",")] for name, sizes in re.findall(tensor, config)
    }
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    tensors = (*session.get_inputs(), *session.get_outputs())
    assert {each.type for each in tensors} == {"tensor(float)"}
    assert stated == {
        each.name: [size if isinstance(size, int) else -1 for size in each.shape]
        for each in tensors
    }


@pytest.mark.parametrize(
    ("task", "network", "multiple"),
    [
        ("denoise", DnCNN(DnCNNConfig(channels=1, depth=3, width=4)), 1),
        ("dark-enhance", IspUNet(IspUNetConfig(planes=4, width=2)), 16),
        ("dark-enhance", IspResUNet(IspResUNetConfig(widths=(4, 6), blocks=1)), 2),
    ],
    ids=["denoise", "dark-enhance, planes", "dark-enhance, mosaic"],
)
def test_networks_of_other_tasks(task: str, network: Any, multiple: int) -> None:
    result = to_onnx(weights_of(network, task), task_called(task))
    assert result.graph.multiple == multiple
    assert result.difference is not None
    assert result.difference < 1e-4


def test_a_file_that_computes_something_else_is_refused(
    told: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_export, "_difference", lambda *_: 0.01)
    with pytest.raises(WeightsError, match="differs from PyTorch by"):
        to_onnx(told, task_called("denoise"))


def test_without_the_exporter_the_error_says_what_to_install(
    told: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_export, "find_spec", all_but("onnxscript"))
    with pytest.raises(UsageError, match=r"onnxscript: pip install 'imrestore\[onnx\]'"):
        to_onnx(told, task_called("denoise"))


def test_without_onnxruntime_nothing_is_compared(
    told: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_export, "find_spec", all_but("onnxruntime"))
    assert to_onnx(told, task_called("denoise")).difference is None
