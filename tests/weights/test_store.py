import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from restore.errors import OutputExists, WeightsError
from restore.models.autoencoder import Autoencoder, AutoencoderConfig
from restore.models.dncnn import DnCNN, DnCNNConfig
from restore.models.draem import Draem, DraemConfig
from restore.models.drunet import DRUNet, DRUNetConfig
from restore.models.error_net import ErrorNet, ErrorNetConfig
from restore.models.ffdnet import FFDNet, FFDNetConfig
from restore.models.hdr_resunet import HdrResUNet, HdrResUNetConfig
from restore.models.hdr_unet import HdrUNet, HdrUNetConfig
from restore.models.isp_resunet import IspResUNet, IspResUNetConfig
from restore.models.isp_unet import IspUNet, IspUNetConfig
from restore.models.mosaic_resunet import MosaicResUNet, MosaicResUNetConfig
from restore.models.pmrid import PMRID, PMRIDConfig
from restore.models.resunet import ResUNet, ResUNetConfig
from restore.tasks import TASKS, load
from restore.weights.file import shipped
from restore.weights.store import Weights, save_weights

CONFIGS = {
    "Autoencoder": AutoencoderConfig(window=16, latent=3),
    "DRUNet": DRUNetConfig(channels=1, widths=(4, 6), blocks=1),
    "DnCNN": DnCNNConfig(channels=1, depth=3, width=4),
    "Draem": DraemConfig(reconstructor=(4,), discriminator=(4, 6)),
    "ErrorNet": ErrorNetConfig(width=4, blocks=1),
    "FFDNet": FFDNetConfig(channels=1, depth=3, width=4),
    "HdrResUNet": HdrResUNetConfig(widths=(4, 6), psf_size=5, cells=8),
    "HdrUNet": HdrUNetConfig(width=4, psf_size=5),
    "IspResUNet": IspResUNetConfig(widths=(4, 6), blocks=1),
    "IspUNet": IspUNetConfig(width=2),
    "MosaicResUNet": MosaicResUNetConfig(widths=(4, 6), blocks=1),
    "PMRID": PMRIDConfig(),
    "ResUNet": ResUNetConfig(channels=1, widths=(4, 6), blocks=1),
}
NETWORKS: dict[str, Any] = {
    "Autoencoder": Autoencoder, "DRUNet": DRUNet, "DnCNN": DnCNN, "Draem": Draem,
    "ErrorNet": ErrorNet, "FFDNet": FFDNet, "HdrResUNet": HdrResUNet, "HdrUNet": HdrUNet,
    "IspResUNet": IspResUNet, "IspUNet": IspUNet, "MosaicResUNet": MosaicResUNet,
    "PMRID": PMRID, "ResUNet": ResUNet,
}  # fmt: skip
INPUTS = {
    "Autoencoder": (torch.rand(1, 1, 16, 16),),
    "Draem": (torch.rand(1, 1, 8, 8),),
    "ErrorNet": (torch.rand(1, 6, 8, 8),),
    "HdrResUNet": (torch.rand(1, 3, 8, 8),),
    "HdrUNet": (torch.rand(1, 3, 16, 16),),
    "IspResUNet": (torch.rand(1, 2, 8, 8),),
    "IspUNet": (torch.rand(1, 4, 16, 16),),
    "MosaicResUNet": (torch.rand(1, 31, 8, 8),),
    "PMRID": (torch.rand(1, 4, 16, 16),),
}
"""Of networks that take something else than a picture and its noise level."""


TASK_OF = {name.rpartition(":")[2]: task.name for task in TASKS for name in task.networks}


def _weights(architecture: str = "DnCNN", **changes: Any) -> Weights:
    torch.manual_seed(0)
    network: nn.Module = NETWORKS[architecture](CONFIGS[architecture])
    weights = Weights(
        name="net",
        network=NETWORKS[architecture],
        config=CONFIGS[architecture],
        task=TASK_OF[architecture],
        tensors=network.state_dict(),
        provenance={"recipe": {"sigma": [0, 55]}, "data": {"folder": "photos"}},
        precision_loss_db={"bf16": {"5": 0.01}},
    )
    return replace(weights, **changes)


def _metadata(**changes: str) -> dict[str, str]:
    return {
        "format": "imrestore",
        "format_version": "1",
        "architecture": "DnCNN",
        "config": json.dumps({"channels": 1, "depth": 3, "width": 4}),
        "task": "denoise",
        **changes,
    }


def _file(folder: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> Path:
    save_file(tensors, folder / "net.safetensors", metadata)
    return folder / "net.safetensors"


def test_every_architecture_is_covered_here() -> None:
    assert set(TASK_OF) == set(CONFIGS)


@pytest.mark.parametrize("architecture", sorted(TASK_OF))
def test_round_trip_keeps_everything(tmp_path: Path, architecture: str) -> None:
    weights = _weights(architecture)
    save_weights(weights, tmp_path / "net.safetensors")
    again = load(tmp_path / "net.safetensors")
    assert replace(again, tensors={}) == replace(weights, tensors={})
    assert again.tensors.keys() == weights.tensors.keys()
    assert all(torch.equal(again.tensors[key], weights.tensors[key]) for key in weights.tensors)
    inputs = INPUTS.get(architecture, (torch.rand(1, 1, 8, 8), torch.tensor([0.1])))
    network = NETWORKS[architecture](weights.config).eval()
    network.load_state_dict(weights.tensors)
    assert torch.equal(again.build()(*inputs), network(*inputs))


def test_half_precision_takes_half_the_room_and_reads_as_float32(tmp_path: Path) -> None:
    weights = _weights(tensors={key: 0.1 * t for key, t in _weights().tensors.items()})
    for dtype in (torch.float32, torch.float16):
        stored = replace(weights, stored_dtype=dtype)
        save_weights(stored, tmp_path / f"{dtype}.safetensors")
    again = load(tmp_path / "torch.float16.safetensors")
    assert again.stored_dtype == torch.float16
    for key, tensor in weights.tensors.items():
        assert again.tensors[key].dtype == torch.float32
        assert torch.equal(again.tensors[key], tensor.half().float())
    sizes = [(tmp_path / f"{d}.safetensors").stat().st_size for d in (torch.float32, torch.float16)]
    assert sizes[0] - sizes[1] == pytest.approx(2 * weights.parameters, abs=64)


def test_a_network_does_not_share_memory_with_its_weights() -> None:
    weights = _weights()
    before = {key: tensor.clone() for key, tensor in weights.tensors.items()}
    network = weights.build()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1)
    assert all(torch.equal(weights.tensors[key], before[key]) for key in before)


def test_existing_file_is_kept_unless_told(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_weights(_weights(), path)
    with pytest.raises(OutputExists, match="use overwrite=True to replace it"):
        save_weights(_weights(), path)
    save_weights(_weights(provenance={"steps": 2}), path, overwrite=True)
    assert load(path).provenance == {"steps": 2}


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_values_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    weights = _weights()
    weights.tensors["convs.1.bias"][2] = value
    save_weights(weights, tmp_path / "net.safetensors")
    with pytest.raises(WeightsError, match=r"convs\.1\.bias .*not finite"):
        load(tmp_path / "net.safetensors").build()


def test_tensors_of_another_shape_missing_or_too_many_are_refused() -> None:
    tensors = _weights().tensors
    lacking = {key: tensor for key, tensor in tensors.items() if key != "convs.1.bias"}
    for wrong in (
        {**tensors, "convs.1.bias": torch.zeros(5)},
        {**tensors, "convs.9.bias": torch.zeros(4)},
        lacking,
    ):
        with pytest.raises(WeightsError, match="do not fit") as caught:
            _weights(tensors=wrong).build()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"text", b"\x80\x04N.", b"\xff" * 64])
def test_what_is_no_safetensors_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"weights convert"):
        load(path)


def test_pickle_under_our_suffix_is_refused(tmp_path: Path) -> None:
    torch.save(_weights().tensors, tmp_path / "net.safetensors")
    with pytest.raises(WeightsError, match=r"weights convert"):
        load(tmp_path / "net.safetensors")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "net.safetensors"
    save_weights(_weights(), path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(WeightsError, match=r"net\.safetensors"):
        load(path)


def test_foreign_safetensors_are_sent_to_convert(tmp_path: Path) -> None:
    save_file(_weights().tensors, tmp_path / "net.safetensors")
    with pytest.raises(WeightsError):
        load(tmp_path / "net.safetensors")


@pytest.mark.parametrize(
    "changes",
    [
        {"format_version": "99"},
        {"architecture": "Transformer"},
        {"config": "{"},
        {"config": "[]"},
        {"config": '{"layers": 3}'},
        {"config": '{"depth": "3"}'},
        {"config": '{"depth": 3.0}'},
        {"config": '{"depth": 1000000000}'},
        {"config": '{"width": true}'},
        {"config": '{"channels": 7}'},
        {"architecture": "ResUNet", "config": '{"widths": ["a"]}'},
        {"architecture": "DRUNet", "config": '{"batch_norm": true}'},
        {"provenance": "3"},
        {"precision_loss_db": '{"bf16": {"5": "none"}}'},
        {"precision_loss_db": '{"bf16": {"5": NaN}}'},
        {"precision_loss_db": '{"bf16": null}'},
    ],
)
def test_metadata_that_make_no_sense_are_refused(tmp_path: Path, changes: dict[str, str]) -> None:
    path = _file(tmp_path, _weights().tensors, _metadata(**changes))
    with pytest.raises(WeightsError, match=r"net\.safetensors: .*make no sense") as caught:
        load(path)
    assert "\n" not in str(caught.value)


def test_config_that_the_tensors_do_not_back_up_takes_no_memory(tmp_path: Path) -> None:
    config = json.dumps({"channels": 1, "depth": 500, "width": 10_000})  # 2 TB of parameters
    path = _file(tmp_path, _weights().tensors, _metadata(config=config))
    with pytest.raises(WeightsError, match="do not fit"):
        load(path).build()


@pytest.mark.parametrize("name", ["no-such-network", "folder/none.safetensors", "", "."])
def test_unknown_name_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(WeightsError, match="shipped are") as caught:
        load(name)
    assert all(known in str(caught.value) for known in shipped())


def test_a_folder_is_refused_as_one(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="is a folder"):
        load(tmp_path)


def test_building_does_not_wait_for_pytorchs_compiler() -> None:
    """Random tensors on the meta device would import it, which takes seconds."""
    code = (
        "import sys; from restore.tasks import load; from restore.weights.file import shipped\n"
        "for name in shipped(): load(name).build()\n"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
