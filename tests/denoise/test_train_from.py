from dataclasses import replace
from pathlib import Path

import pytest
import torch

from restore.denoise.train import train_denoiser
from restore.errors import RestoreError, UsageError, WeightsError
from restore.models.dncnn import DnCNN, DnCNNConfig
from restore.models.ffdnet import FFDNet, FFDNetConfig
from restore.models.resunet import ResUNet, ResUNetConfig
from restore.tasks import load
from restore.weights.store import save_weights, weights_of
from tests.denoise.recipes import TINY


def test_starts_from_a_shallower_network(photos: Path, tmp_path: Path) -> None:
    train_denoiser(TINY, tmp_path / "shallow.safetensors", clean=photos)
    recipe = replace(TINY, depth=6, learning_rate=1e-9)
    deep = train_denoiser(
        recipe,
        tmp_path / "deep.safetensors",
        clean=photos,
        start_from=tmp_path / "shallow.safetensors",
    )
    noisy = torch.rand(1, 1, 16, 16)
    shallow = load(tmp_path / "shallow.safetensors").build()
    torch.testing.assert_close(deep.build()(noisy), shallow(noisy), rtol=0, atol=1e-3)
    assert deep.provenance["started_from"] == "shallow"


@pytest.mark.parametrize(
    ("model", "network"),
    [
        ("ffdnet", FFDNet(FFDNetConfig(channels=1, depth=3, width=8, residual=True))),
        ("dncnn", DnCNN(DnCNNConfig(channels=1, depth=3, width=8, noise_map=True, residual=False))),
        ("dncnn", DnCNN(DnCNNConfig(channels=1, depth=3, width=8, dilations=(1, 2, 1)))),
    ],
)
def test_converted_networks_are_trained_further_as_they_are(
    photos: Path, tmp_path: Path, model: str, network: FFDNet | DnCNN
) -> None:
    start = weights_of(network, name="start", task="denoise", provenance={})
    save_weights(start, tmp_path / "start.safetensors")
    said: list[str] = []
    recipe = replace(TINY, model=model, widths=(), learning_rate=1e-6, steps=2)
    weights = train_denoiser(
        recipe,
        tmp_path / "mine.safetensors",
        clean=photos,
        start_from=tmp_path / "start.safetensors",
        warn=said.append,
    )
    assert weights.config == network.config
    assert not said
    for key, tensor in start.tensors.items():
        torch.testing.assert_close(weights.tensors[key], tensor, rtol=0, atol=1e-2)


def test_an_ffdnet_is_trained_only_from_weights(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give start_from"):
        train_denoiser(replace(TINY, model="ffdnet"), tmp_path / "mine.safetensors", clean=photos)


def test_student_learns_what_its_teacher_says(photos: Path, tmp_path: Path) -> None:
    """A teacher that does nothing makes a student that does nothing."""
    teacher = tmp_path / "idle.safetensors"
    weights = train_denoiser(TINY, tmp_path / "any.safetensors", clean=photos)
    idle = {key: torch.zeros_like(tensor) for key, tensor in weights.tensors.items()}
    save_weights(replace(weights, tensors=idle), teacher)
    recipe = replace(TINY, steps=150, learning_rate=3e-3)
    student, scholar = (
        train_denoiser(recipe, tmp_path / f"{name}.safetensors", clean=photos, teacher=by).build()
        for name, by in (("student", teacher), ("scholar", None))
    )
    noisy = torch.rand(1, 1, 32, 32)
    changes = [float((network(noisy) - noisy).abs().mean()) for network in (student, scholar)]
    assert changes[0] < 0.2 * changes[1]


def test_teacher_must_know_the_same_pictures(photos: Path, tmp_path: Path) -> None:
    gray = tmp_path / "gray.safetensors"
    train_denoiser(TINY, gray, clean=photos)
    with pytest.raises(UsageError, match="teacher gray has 1 channels"):
        train_denoiser(
            replace(TINY, channels=3), tmp_path / "x.safetensors", clean=photos, teacher=gray
        )


def test_teacher_must_be_a_denoiser_that_the_crops_fit(photos: Path, tmp_path: Path) -> None:
    weights = train_denoiser(TINY, tmp_path / "any.safetensors", clean=photos)
    other = tmp_path / "other.safetensors"
    save_weights(replace(weights, task="hdr"), other)
    torch.manual_seed(0)
    coarse = ResUNet(ResUNetConfig(channels=1, widths=(2,) * 6, blocks=1))
    wide = tmp_path / "wide.safetensors"
    save_weights(weights_of(coarse, name="wide", task="denoise", provenance={}), wide)
    refusals: list[tuple[Path, type[RestoreError], str]] = [
        (other, WeightsError, "for hdr, not for denoise"),
        (wide, UsageError, "a multiple of 32"),
    ]
    for teacher, error, message in refusals:
        with pytest.raises(error, match=message):
            train_denoiser(TINY, tmp_path / "x.safetensors", clean=photos, teacher=teacher)
