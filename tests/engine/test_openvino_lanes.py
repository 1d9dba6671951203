"""OpenVINO computes what PyTorch does; skipped where it is not installed."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from restore.denoise.task import TASK as DENOISE
from restore.engine.cache import cache_folder, load_network, store_network
from restore.engine.openvino_lanes import (
    can_serve,
    openvino_lanes,
    serving_lanes,
)
from restore.engine.placement import Placement
from restore.engine.runner import ENGINE_VARIABLE
from restore.engine.torch_lanes import open_lanes
from restore.errors import DeviceError, OutputError, UsageError
from restore.image.metrics import psnr_chw
from restore.models.dncnn import DnCNN, DnCNNConfig
from restore.models.drunet import DRUNet, DRUNetConfig
from restore.models.ffdnet import FFDNet, FFDNetConfig
from restore.models.hdr_resunet import HdrResUNet, HdrResUNetConfig
from restore.models.hdr_unet import HdrUNet, HdrUNetConfig
from restore.models.isp_resunet import IspResUNet, IspResUNetConfig
from restore.models.isp_unet import IspUNet, IspUNetConfig
from restore.models.optical_element import set_element
from restore.models.resunet import ResUNet, ResUNetConfig
from restore.noise.sensor import add_gaussian_noise
from restore.weights.file import find
from restore.weights.store import Weights, save_weights

pytest.importorskip("openvino")
pytestmark = pytest.mark.skipif(not can_serve("cpu"), reason="not an x86 processor")

NETWORKS = {
    "denoise": [
        DnCNN(DnCNNConfig(channels=1, depth=4, width=8)),
        DnCNN(DnCNNConfig(channels=3, depth=3, width=8, noise_map=True, residual=False)),
        ResUNet(ResUNetConfig(channels=3, widths=(8, 16, 16), blocks=1)),
        FFDNet(FFDNetConfig(channels=3)),
        DRUNet(DRUNetConfig(channels=1, widths=(4, 8), blocks=1)),
    ],
    "dark-enhance": [
        IspUNet(IspUNetConfig(planes=4, width=4)),
        IspResUNet(IspResUNetConfig(widths=(8, 16), blocks=1)),
    ],
    "hdr": [
        HdrUNet(HdrUNetConfig()),
        HdrResUNet(HdrResUNetConfig(widths=(8, 16), blocks=1)),
        HdrResUNet(HdrResUNetConfig(widths=(8, 16), blocks=1, psf_size=21)),
    ],
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(ENGINE_VARIABLE, raising=False)


def weights_of(network: Any, task: str = "denoise") -> Weights:
    torch.manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.5 / parameter[0].numel() ** 0.5)
    if "psf_roots" in network.state_dict():
        set_element(network, torch.rand(network.psf_roots.shape))
    return Weights(
        name="small",
        network=type(network),
        config=network.config,
        task=task,
        tensors=dict(network.state_dict()),
    )


@pytest.fixture
def weights() -> Weights:
    return weights_of(DnCNN(DnCNNConfig(channels=1, depth=3, width=4)))


@pytest.fixture
def stored(weights: Weights, tmp_path: Path) -> Path:
    path = tmp_path / "small.safetensors"
    save_weights(weights, path)
    return path


def noise(channels: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).random((1, channels, height, width), dtype=np.float32)


def entries() -> list[Path]:
    return sorted(cache_folder().glob("*.network"))


@pytest.mark.parametrize(
    ("task", "network"),
    [(task, network) for task, networks in NETWORKS.items() for network in networks],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_every_network_gives_what_it_gives_in_pytorch(task: str, network: Any) -> None:
    weights = weights_of(network, task)
    runner = openvino_lanes(weights, "fp32")[0]
    (reference,) = open_lanes(weights, Placement(device="cpu", precision="fp32"))
    assert runner.traits == reference.traits
    planes = getattr(network.config, "planes", network.config.channels)
    for height, width in ((48, 80), (64, 32)):
        inputs = noise(planes, height, width), np.full(1, 0.1, np.float32)
        given = inputs if task == "denoise" else inputs[:1]
        np.testing.assert_allclose(runner(*given), reference(*given), rtol=1e-4, atol=1e-4)


def test_tiles_and_whole_pictures_agree(weights: Weights, denoising: Any) -> None:
    pixels = noise(1, 70, 131)[0]
    whole = denoising(weights, tile=512)
    tiled = denoising(weights, tile=32)
    assert whole.runner.engine == tiled.runner.engine == "openvino"
    np.testing.assert_allclose(tiled(pixels, 0.1), whole(pixels, 0.1), atol=1e-5)


def test_fp32_is_the_same_bit_for_bit(weights: Weights, denoising: Any) -> None:
    pixels = noise(1, 70, 131)[0]
    first, second = (denoising(weights)(pixels, 0) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("visible", "serves"), [(None, False), ("0,1", False), ("", True), ("-1", True)]
)
def test_a_gpu_is_pytorchs_unless_it_is_hidden(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, serves: bool
) -> None:
    monkeypatch.setattr("restore.engine.openvino_lanes._GPU_DRIVERS", ("/dev/null",))
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert can_serve("auto") == serves


@pytest.mark.parametrize(("threads", "lanes"), [("1", 1), ("2", 2), ("16", 2)])
def test_two_lanes_share_the_processor(
    weights: Weights, monkeypatch: pytest.MonkeyPatch, threads: str, lanes: int
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    results = [runner(noise(1, 40, 48)) for runner in openvino_lanes(weights, "fp32")]
    assert len(results) == lanes
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_low_precision_touches_the_noise_and_never_the_picture() -> None:
    network = DnCNN(DnCNNConfig(channels=1, depth=3, width=4))
    weights = weights_of(network)
    silent = {key: torch.zeros_like(value) for key, value in weights.tensors.items()}
    picture = noise(1, 40, 40)
    result = openvino_lanes(replace(weights, tensors=silent), "bf16")[0](picture)
    np.testing.assert_array_equal(result, picture)


def test_bf16_costs_no_more_than_the_weights_say() -> None:
    file = DENOISE.open("resunet-color")
    clean = measured_picture()
    noisy = add_gaussian_noise(clean, 25 / 255, seed=0)
    level = np.full(1, 25 / 255, np.float32)
    exact, coarse = (
        psnr_chw(openvino_lanes(file, precision)[0](noisy[None], level)[0].clip(0, 1), clean)
        for precision in ("fp32", "bf16")
    )
    assert exact - coarse <= 0.02


def measured_picture() -> np.ndarray:
    from restore.weights.measurement import measuring_crops

    return measuring_crops(3, 8)[0].numpy()


def on_cpu(precision: str) -> Placement:
    return Placement(device="cpu", precision=precision)


def test_half_precision_is_for_denoisers_whose_weights_allow_it() -> None:
    cheap = {"bf16": {"25": 0.001}}
    denoiser = replace(weights_of(NETWORKS["denoise"][0]), precision_loss_db=cheap)
    runners = serving_lanes(denoiser, on_cpu("bf16"))
    enhancer = weights_of(NETWORKS["dark-enhance"][0], "dark-enhance")
    assert not serving_lanes(enhancer, on_cpu("bf16"))
    assert not serving_lanes(denoiser, on_cpu("fp16"))
    costly = replace(denoiser, precision_loss_db={"bf16": {"25": 0.03}})
    chosen = serving_lanes(costly, on_cpu("auto"))
    assert {runner.precision for runner in chosen} == {"fp32"}
    assert {runner.precision for runner in runners} <= {"bf16"}


def test_a_network_is_exported_once(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = openvino_lanes(DENOISE.open(stored), "fp32")[0](noise(1, 8, 8))
    assert len(entries()) == 1

    def refuse(*_: object) -> None:
        raise AssertionError("exported again")

    monkeypatch.setattr("restore.engine.openvino_lanes._export", refuse)
    result = openvino_lanes(DENOISE.open(stored), "fp32")[0](noise(1, 8, 8))
    np.testing.assert_array_equal(result, expected)


def test_a_file_and_its_tensors_share_an_entry(weights: Weights, stored: Path) -> None:
    openvino_lanes(DENOISE.open(stored), "fp32")
    openvino_lanes(weights, "fp32")
    assert len(entries()) == 1


def test_other_tensors_have_another_entry(weights: Weights) -> None:
    openvino_lanes(weights, "fp32")
    changed = {key: value + 0.01 for key, value in weights.tensors.items()}
    openvino_lanes(replace(weights, tensors=changed), "fp32")
    assert len(entries()) == 2


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_entry_is_made_again(stored: Path, damage: str) -> None:
    expected = openvino_lanes(DENOISE.open(stored), "fp32")[0](noise(1, 8, 8))
    whole = entries()[0].read_bytes()
    flipped = whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:]
    entries()[0].write_bytes({"cut": whole[:-100], "flipped": flipped, "empty": b""}[damage])
    result = openvino_lanes(DENOISE.open(stored), "fp32")[0](noise(1, 8, 8))
    np.testing.assert_array_equal(result, expected)
    assert load_network(entries()[0].stem) is not None


@pytest.mark.parametrize("planted", ["text", "another network", "no tensors"])
def test_a_planted_entry_is_made_again(stored: Path, planted: str) -> None:
    expected = openvino_lanes(DENOISE.open(stored), "fp32")[0](noise(1, 8, 8))
    name = entries()[0].stem
    own = load_network(name)
    assert own is not None
    coloured = weights_of(DnCNN(DnCNNConfig(channels=3, depth=3, width=4)))
    openvino_lanes(coloured, "fp32")
    (other,) = {path.stem for path in entries()} - {name}
    foreign = load_network(other)
    assert foreign is not None
    content = {
        "text": replace(own, graph=b"no graph"),
        "another network": replace(foreign, traits=own.traits),
        "no tensors": replace(own, tensors=b""),
    }[planted]
    store_network(name, content)
    result = openvino_lanes(DENOISE.open(stored), "fp32")[0](noise(1, 8, 8))
    np.testing.assert_array_equal(result, expected)
    again = load_network(name)
    assert again is not None
    assert again.tensors == own.tensors


def test_a_full_temporary_folder_is_said_in_one_line(
    weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    import openvino

    def full(*_: object) -> None:
        raise RuntimeError("basic_ios::clear: iostream error")

    monkeypatch.setattr(openvino, "serialize", full)
    with pytest.raises(OutputError, match="no room for the network; let TMPDIR"):
        openvino_lanes(weights, "fp32")


def test_the_cache_does_not_grow_for_ever(stored: Path) -> None:
    cache_folder().mkdir(parents=True)
    for age in range(40):
        path = cache_folder() / f"{age}.network"
        path.write_bytes(b"old")
        os.utime(path, (1000 + age, 1000 + age))
    openvino_lanes(DENOISE.open(stored), "fp32")
    assert len(entries()) == 32
    assert not (cache_folder() / "8.network").exists()


def test_a_cache_that_cannot_be_written_is_done_without(stored: Path) -> None:
    cache_folder().parent.mkdir(parents=True)
    cache_folder().write_text("a file where the folder would be")
    runner = openvino_lanes(DENOISE.open(stored), "fp32")[0]
    assert runner(noise(1, 8, 8)).shape == (1, 1, 8, 8)


def test_without_a_home_there_is_no_cache(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    runner = openvino_lanes(DENOISE.open(stored), "fp32")[0]
    assert runner(noise(1, 8, 8)).shape == (1, 1, 8, 8)


def test_a_cached_network_needs_no_pytorch_and_nothing_reports_to_openvino(
    stored: Path, tmp_path: Path
) -> None:
    sample = find("photo").parent / "measure" / "tea-gardens.png"
    program = (
        "import atexit, sys; from imrestore.__main__ import main; "
        "told = {'torch', 'openvino', 'openvino_telemetry'}; "
        "atexit.register(lambda: print(*sorted(told & {*sys.modules}))); main()"
    )
    seen = []
    for name in ("first.png", "second.png"):
        options = ["denoise", sample, "-o", tmp_path / name, "--model", stored, "-q", "--device"]
        command = [sys.executable, "-c", program, *map(str, options), "cpu"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seen.append(done.stdout.strip())
    assert seen == ["openvino torch", "openvino"]
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()


def test_the_environment_chooses_the_engine(
    weights: Weights, monkeypatch: pytest.MonkeyPatch, denoising: Any
) -> None:
    monkeypatch.setenv(ENGINE_VARIABLE, "pytorch")
    assert denoising(weights).runner.engine == "pytorch"
    monkeypatch.setenv(ENGINE_VARIABLE, "openvino")
    assert denoising(weights).runner.engine == "openvino"
    with pytest.raises(DeviceError, match="cannot run small on cpu in fp16"):
        denoising(weights, device="cpu", precision="fp16")
    monkeypatch.setenv(ENGINE_VARIABLE, "tensorrt")
    with pytest.raises(UsageError, match="auto, pytorch or openvino"):
        denoising(weights)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_sizes() -> None:
    """2 MB a size were kept once; the script fails from 150 MB on."""
    project = Path(__file__).resolve().parents[2]
    script = project / "benchmarks/service_memory.py"
    command = [sys.executable, str(script), "--pictures", "400", "--latency", "0"]
    paths = {"PYTHONPATH": os.pathsep.join([str(project), str(project / "cmd")])}
    ended = subprocess.run(command, env=os.environ | paths, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "openvino" in ended.stdout
