"""A file whose tensors are not those that were written is found."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from restore.errors import WeightsError
from restore.models.dncnn import DnCNN, DnCNNConfig
from restore.tasks import load
from restore.weights.file import read_weight_file, shipped
from restore.weights.header import HASH_KEY, sealed
from restore.weights.store import Weights, add_hash, save_weights

DAMAGED = "its tensors are damaged"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = DnCNNConfig(channels=1, depth=3, width=40)
    weights = Weights(
        name="net", network=DnCNN, config=config, task="denoise",
        tensors=dict(DnCNN(config).state_dict()), stored_dtype=torch.float16,
    )  # fmt: skip
    save_weights(weights, tmp_path / "net.safetensors")
    return tmp_path / "net.safetensors"


def test_every_shipped_file_has_its_hash() -> None:
    assert all(read_weight_file(name).has_hash for name in shipped())


def test_zeros_in_the_middle_are_found(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:9000] + bytes(4096) + data[9000 + 4096 :])
    with pytest.raises(WeightsError, match=DAMAGED):
        load(path)


@pytest.mark.parametrize("place", [1, 2, 1000])
def test_a_single_bit_is_found(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[-place] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=DAMAGED):
        load(path)


def test_tensors_under_each_others_names_are_found(path: Path) -> None:
    # Both are of one shape, so that they fit.
    data = path.read_bytes()
    names = (b'"convs.0.bias"', b'"convs.1.bias"', b'"convs.X.bias"')
    for old, new in ((names[0], names[2]), (names[1], names[0]), (names[2], names[1])):
        data = data.replace(old, new)
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=DAMAGED):
        load(path)


def test_a_file_without_a_hash_loads_and_gets_one(path: Path) -> None:
    whole = path.read_bytes()
    metadata = dict(read_weight_file(path).header.metadata)
    del metadata[HASH_KEY]
    save_file(load_file(path), path, metadata)
    assert not read_weight_file(path).has_hash
    assert load(path).parameters == 15_201
    add_hash(path)
    assert path.read_bytes() == whole


def test_sealing_again_changes_nothing(path: Path) -> None:
    data = path.read_bytes()
    assert sealed(data) == data


def test_what_safetensors_reads_is_what_was_written(path: Path) -> None:
    length = int.from_bytes(path.read_bytes()[:8], "little")
    assert length % 8 == 0
    assert json.loads(path.read_bytes()[8 : 8 + length])["convs.0.bias"]["dtype"] == "F16"
    assert torch.equal(load_file(path)["convs.1.bias"].float(), load(path).tensors["convs.1.bias"])
