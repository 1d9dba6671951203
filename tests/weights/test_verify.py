"""Every check of `imrestore weights verify` finds what it is there for."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from restore.denoise.task import TASK
from restore.errors import WeightsError
from restore.models.dncnn import DnCNN, DnCNNConfig
from restore.tasks import load
from restore.weights import verify as module
from restore.weights.store import Weights, save_weights
from restore.weights.verify import verify as verify_weights

LOSSES = {precision: dict.fromkeys(("5", "15", "25", "50"), 0.0) for precision in ("fp16", "bf16")}


@pytest.fixture
def sound() -> Weights:
    torch.manual_seed(0)
    config = DnCNNConfig(channels=1, depth=3, width=4)
    return Weights(
        name="small",
        network=DnCNN,
        config=config,
        task="denoise",
        tensors=dict(DnCNN(config).state_dict()),
        provenance={"steps": 1},
        precision_loss_db=LOSSES,
    )


def verify(path: Path) -> Weights:
    weights = load(path)
    verify_weights(weights, TASK)
    return weights


def saved(weights: Weights, folder: Path) -> Path:
    path = folder / f"{weights.name}.safetensors"
    save_weights(weights, path)
    return path


def test_sound_weights_pass(sound: Weights, tmp_path: Path) -> None:
    assert verify(saved(sound, tmp_path)).name == "small"


def test_weights_without_an_origin_are_found(sound: Weights, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="says nothing about where it comes from"):
        verify(saved(replace(sound, provenance={}), tmp_path))


@pytest.mark.parametrize("missing", ["fp16", "bf16"])
def test_losses_that_were_not_measured_are_found(
    sound: Weights, tmp_path: Path, missing: str
) -> None:
    losses = LOSSES | {missing: {"5": 0.0, "15": 0.0, "25": 0.0}}
    with pytest.raises(WeightsError, match=f"the loss in {missing} is not measured"):
        verify(saved(replace(sound, precision_loss_db=losses), tmp_path))


def test_shipped_weights_need_a_card(
    sound: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(sound, tmp_path)
    monkeypatch.setattr(module, "shipped", lambda: ["small"])
    monkeypatch.setattr(module, "weights_folder", lambda: tmp_path)
    with pytest.raises(WeightsError, match=r"has no model card small\.md"):
        verify(path)
    (tmp_path / "small.md").touch()
    verify(path)


def test_results_that_are_no_numbers_are_found(sound: Weights, tmp_path: Path) -> None:
    # Finite themselves, but not what comes of them.
    tensors = {key: torch.full_like(each, 1e38) for key, each in sound.tensors.items()}
    with pytest.raises(WeightsError, match="the network fails on 1x1 pixels"):
        verify(saved(replace(sound, tensors=tensors), tmp_path))
