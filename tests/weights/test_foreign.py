"""Networks of other architectures behind our interface; the real spandrel where it is there."""

import sys
import warnings
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from imrestore.__main__ import run
from restore.denoise.runner import Denoiser
from restore.errors import UsageError, WeightsError
from restore.weights.foreign import ForeignNetwork, foreign_model, known_to_spandrel


class Blur(nn.Module):
    """A network of an architecture that only spandrel knows, here a mean of 3x3 pixels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.intro = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        nn.init.constant_(self.intro.weight, 1 / 9)

    def forward(self, picture: Tensor) -> Tensor:
        return self.intro(picture)  # type: ignore[no-any-return]


class Descriptor:
    """What of spandrel's ``ImageModelDescriptor`` is used."""

    def __init__(self, state: dict[str, Tensor], **changes: Any) -> None:
        channels = len(state["intro.weight"])
        self.model = Blur(channels)
        self.model.load_state_dict(state)
        self.architecture = SimpleNamespace(name="NAFNet")
        self.input_channels = self.output_channels = channels
        self.scale = 1
        self.size_requirements = SimpleNamespace(minimum=16, multiple_of=4, square=False)
        self.supports_half = self.supports_bfloat16 = False
        self.shapes: list[tuple[int, ...]] = []
        vars(self).update(changes)

    def __call__(self, picture: Tensor) -> Tensor:
        self.shapes.append(tuple(picture.shape))
        return self.model(picture).clamp(0, 1)  # type: ignore[no-any-return]


@pytest.fixture
def spandrel(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A stand-in for the package; what is put in here changes what it describes."""
    changes: dict[str, Any] = {}

    class ModelLoader:
        def __init__(self, device: str) -> None:
            assert device == "cpu"

        def load_from_state_dict(self, state: dict[str, Tensor]) -> Descriptor:
            if "intro.weight" not in state:
                raise ValueError("Unsupported model")
            return Descriptor(state, **changes)

    package = ModuleType("spandrel")
    vars(package)["ModelLoader"] = ModelLoader
    monkeypatch.setitem(sys.modules, "spandrel", package)
    monkeypatch.setattr("restore.weights.foreign.find_spec", lambda _: None)
    return changes


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "nafnet_sidd.pth"
    state = {**Blur(3).state_dict(), "count": torch.tensor(3)}
    torch.save({"params": {"intro.weight": torch.zeros(3, 1, 3, 3)}, "params_ema": state}, path)
    return path


@pytest.mark.usefixtures("spandrel")
def test_it_denoises_as_ours_do(checkpoint: Path) -> None:
    denoiser = Denoiser(checkpoint, device="cpu", tile=32)
    noisy = np.random.default_rng(0).random((3, 75, 50), np.float32)
    result = denoiser(torch.from_numpy(noisy))
    assert result.record["model"] == "nafnet_sidd"
    assert (result.record["engine"], result.record["precision"]) == ("pytorch", "fp32")
    with torch.inference_mode():
        whole = Blur(3)(torch.from_numpy(noisy)[None])[0].numpy()
    inner = (slice(None), slice(1, -1), slice(1, -1))
    np.testing.assert_allclose(result.picture.pixels[inner], whole[inner], atol=1e-5)


def test_tiles_are_multiples_of_what_it_needs(spandrel: dict[str, Any]) -> None:
    del spandrel
    network = ForeignNetwork(Descriptor(Blur(1).state_dict()))
    assert (network.multiple, network.config.channels) == (4, 1)
    assert network(torch.rand(1, 1, 16, 16), torch.tensor([0.1])).shape == (1, 1, 16, 16)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scale": 4}, "a NAFNet that enlarges 4 times is no denoiser"),
        ({"output_channels": 1}, "from 3 to 1 channels"),
        ({"input_channels": 4, "output_channels": 4}, "from 4 to 4 channels"),
    ],
)
def test_what_does_not_restore_at_the_same_size_is_refused(
    spandrel: dict[str, Any], tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    spandrel.update(changes)
    torch.save(Blur(3).state_dict(), tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=words):
        foreign_model(tmp_path / "net.pth")


@pytest.mark.usefixtures("spandrel")
def test_a_precision_that_it_does_not_stand_is_refused(tmp_path: Path) -> None:
    torch.save(Blur(3).state_dict(), tmp_path / "net.pth")
    with pytest.raises(UsageError, match="precision bf16: not for a NAFNet"):
        Denoiser(tmp_path / "net.pth", device="cpu", precision="bf16")


def test_windows_of_attention_lie_as_in_the_whole_picture() -> None:
    descriptor = Descriptor(Blur(1).state_dict())
    descriptor.model.window_size = (6, 8)  # type: ignore[assignment]
    assert ForeignNetwork(descriptor).multiple == 24
    descriptor.model.window_size = 257  # type: ignore[assignment]
    assert ForeignNetwork(descriptor).multiple == 4


@pytest.mark.usefixtures("spandrel")
def test_a_precision_that_fails_is_refused(
    spandrel: dict[str, Any], checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is said of an architecture need not hold for every size of picture."""
    spandrel["supports_bfloat16"] = True
    assert Denoiser(checkpoint, device="cpu", precision="bf16")

    def mixed(_: Blur, picture: Tensor) -> Tensor:
        return picture @ torch.ones(picture.shape[3], 5)

    monkeypatch.setattr(Blur, "forward", mixed)
    with pytest.raises(UsageError, match="precision bf16: not for a NAFNet"):
        Denoiser(checkpoint, device="cpu", precision="bf16")


@pytest.mark.usefixtures("spandrel")
def test_foreign_code_that_fails_is_one_line(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_: Blur, picture: Tensor) -> Tensor:
        raise IndexError(f"no\nsuch size: {picture.shape}")

    monkeypatch.setattr(Blur, "forward", failing)
    with pytest.raises(WeightsError, match="the code of this NAFNet fails: no such size") as caught:
        Denoiser(checkpoint, device="cpu")(np.zeros((20, 20, 3), np.uint8))
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("spandrel")
def test_what_runs_as_it_is_needs_no_conversion(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = checkpoint.with_name("out.safetensors")
    assert run(["weights", "convert", str(checkpoint), "-o", str(output)]) == 2
    assert "a NAFNet, which is run as it is: give it as --model" in capsys.readouterr().err


@pytest.mark.usefixtures("spandrel")
def test_what_spandrel_does_not_know_is_refused_in_one_line(tmp_path: Path) -> None:
    torch.save({"odd.weight": torch.ones(3, 3)}, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match="nor spandrel knows") as caught:
        Denoiser(tmp_path / "net.pth")
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("spandrel")
def test_what_can_be_converted_is_to_be_converted(tmp_path: Path) -> None:
    state = {"0.weight": torch.ones(4, 1, 3, 3), "2.weight": torch.ones(1, 4, 3, 3)}
    torch.save(state, tmp_path / "dncnn.pth")
    with pytest.raises(WeightsError, match="imrestore weights convert"):
        Denoiser(tmp_path / "dncnn.pth")


def test_without_spandrel_the_error_says_what_to_install(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(UsageError, match=r"pip install 'imrestore\[spandrel\]'") as caught:
        Denoiser(checkpoint)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["NAFNet", "SCUNet", "Restormer", "SwinIR", "Compact"])
def test_real_architectures_run_with_random_weights(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("spandrel", exc_type=ImportError)
    if kind == "Restormer":
        pytest.importorskip("spandrel_extra_arches", exc_type=ImportError)
    torch.manual_seed(0)
    with warnings.catch_warnings(action="ignore"):  # of code that is not ours
        torch.save({"params": _random_network(kind).state_dict()}, tmp_path / "net.pth")
    model = foreign_model(tmp_path / "net.pth")
    assert model is not None
    assert kind.lower() in str(model.descriptor.architecture.name).lower()
    noisy = np.random.default_rng(0).random((3, 75, 150), np.float32)

    def denoised(tile: int, precision: str = "fp32") -> np.ndarray:
        denoiser = Denoiser(tmp_path / "net.pth", device="cpu", tile=tile, precision=precision)
        return denoiser(torch.from_numpy(noisy)).picture.pixels

    whole = denoised(512)
    assert whole.shape == noisy.shape
    assert np.isfinite(whole).all()
    if kind in ("SwinIR", "Compact"):  # the others look at the whole picture, or at most of it
        np.testing.assert_allclose(denoised(64), whole, atol=1e-5)
    if kind == "SwinIR":  # whatever spandrel says
        with pytest.raises(UsageError, match="precision bf16: not for a SwinIR"):
            denoised(64, "bf16")
    else:
        np.testing.assert_allclose(denoised(512, "bf16"), whole, atol=0.05)
    gray = Denoiser(tmp_path / "net.pth", device="cpu")(torch.from_numpy(noisy[:1])).picture
    assert gray.pixels.shape == (1, 75, 150)
    assert known_to_spandrel(tmp_path / "net.pth") == str(model.descriptor.architecture.name)


def _random_network(kind: str) -> nn.Module:
    """Return a small network as its authors' code makes it."""
    from spandrel.architectures.Compact import Compact
    from spandrel.architectures.NAFNet import NAFNet
    from spandrel.architectures.SCUNet import SCUNet
    from spandrel.architectures.SwinIR import SwinIR

    if kind == "Restormer":
        from spandrel_extra_arches.architectures.Restormer import Restormer

        return Restormer(
            dim=16, num_blocks=[1, 1, 1, 1], num_refinement_blocks=1, heads=[1, 2, 4, 8]
        ).eval()
    makers: dict[str, Any] = {
        "NAFNet": lambda: NAFNet(
            width=8, middle_blk_num=1, enc_blk_nums=[1, 1], dec_blk_nums=[1, 1]
        ),
        "SCUNet": lambda: SCUNet(in_nc=3, config=[1] * 7, dim=64),
        "SwinIR": lambda: SwinIR(
            upscale=1, img_size=64, window_size=8, depths=[2, 2], embed_dim=24, num_heads=[2, 2],
            mlp_ratio=2, upsampler="", resi_connection="1conv",
        ),
        "Compact": lambda: Compact(num_in_ch=3, num_out_ch=3, num_feat=16, num_conv=4, upscale=1),
    }  # fmt: skip
    network: nn.Module = makers[kind]()
    return network.eval()
