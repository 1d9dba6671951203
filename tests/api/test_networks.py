"""Networks of one's own: run, trained, saved, loaded, measured and refused, from Python."""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import restore
from restore.errors import UsageError, WeightsError
from restore.training import Trainer, TrainerConfig
from restore.weights.store import Weights, save_weights
from tests.api.own import TINY, Blur, BlurConfig


def test_an_own_network_runs_in_tiles_as_it_does_at_once(network: Blur) -> None:
    noisy = np.random.default_rng(0).random((75, 131), np.float32)
    denoiser = restore.Denoiser(network, device="cpu", tile=32)
    result = denoiser(noisy, sigma=25)
    assert result.record["model"] == "Blur"
    assert (result.record["engine"], result.record["tile"]) == ("pytorch", 32)
    padded = np.pad(noisy, ((0, 1), (0, 1)), mode="symmetric")
    with torch.inference_mode():
        expected = network(torch.from_numpy(padded)[None, None])[0, 0, :75, :131].numpy()
    np.testing.assert_allclose(result.picture.pixels[0], expected, atol=2e-5)
    copied = pickle.loads(pickle.dumps(denoiser))
    np.testing.assert_array_equal(copied(noisy, sigma=25).picture.pixels, result.picture.pixels)


def test_an_own_network_is_trained_saved_loaded_and_measured(
    network: Blur, photos: Path, tmp_path: Path
) -> None:
    output = tmp_path / "own.safetensors"
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    weights = restore.train("denoise", photos, output=output, network=network, sigma=25, **TINY)
    assert (weights.architecture, weights.provenance["steps"]) == ("Blur", 2)
    assert "model" not in weights.provenance["recipe"]
    assert all(torch.equal(before[key], each) for key, each in network.state_dict().items())
    assert any(not torch.equal(before[key], each) for key, each in weights.tensors.items())
    with pytest.raises(WeightsError, match="Blur is not known"):
        restore.load(output)
    loaded = restore.load(output, network=Blur)
    assert loaded.config == BlurConfig()
    measured = restore.evaluate(
        "denoise", photos, model=[loaded, network], sigma=25, gray=True, limit=1, device="cpu"
    )
    means = measured.means("model")
    assert [mean["model"] for mean in means] == ["own", "Blur"]
    assert means[0]["psnr"] != means[1]["psnr"]
    assert means[0]["psnr_noisy"] == means[1]["psnr_noisy"]


def test_the_loop_trains_any_network(network: Blur, tmp_path: Path) -> None:
    clean = torch.full((2, 1, 16, 16), 0.5)
    losses = []
    trainer = Trainer(
        network,
        lambda rng: clean + 0.1 * torch.randn(clean.shape, generator=rng.host),
        lambda forward, noisy: (forward(noisy) - clean).square().mean(),
        TrainerConfig(steps=40, seconds=None, learning_rate=1e-2, warmup=0, ema=0.5),
        device="cpu",
        checkpoint=str(tmp_path / "run.checkpoint"),
        report=lambda progress: losses.append(progress.loss),
    )
    trained, progress = trainer.run()
    assert progress.step == 40
    assert losses[-1] < losses[0]
    weights = restore.Denoiser(trained, device="cpu")
    assert weights(np.full((8, 8), 0.5, np.float32), sigma=25).picture.pixels.shape == (1, 8, 8)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"config": None}, "give it a config"),
        ({"halo": -1}, "halo -1: give a whole number from 0"),
        ({"multiple": 0.5}, "multiple 0.5: give a whole number from 1"),
        ({"config": BlurConfig(width=5)}, "makes other tensors"),
        ({"config": replace(BlurConfig(), width=-1)}, "must make it again"),
    ],
    ids=str,
)
def test_networks_without_the_interface_are_refused(
    network: Blur, change: dict[str, Any], words: str
) -> None:
    for name, value in change.items():
        setattr(network, name, value)
    with pytest.raises(UsageError, match=words):
        restore.Denoiser(network)


def test_weights_of_another_task_are_refused(network: Blur, tmp_path: Path) -> None:
    state = network.state_dict()
    weights = Weights(name="x", network=Blur, config=BlurConfig(), task="hdr", tensors=state)
    with pytest.raises(UsageError, match="these weights are for hdr"):
        restore.Denoiser(weights)
    save_weights(weights, tmp_path / "x.safetensors")
    with pytest.raises(WeightsError, match="for hdr"):
        restore.Denoiser(tmp_path / "x.safetensors")
