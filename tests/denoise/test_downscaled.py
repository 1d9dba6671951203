"""Tests of learning from averages of noisy pixels that are made noisy again."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from restore.denoise.downscaled import Downscaled
from restore.denoise.self_supervision import Example
from restore.noise.by_signal import NoiseBySignal
from restore.noise.correlation import NoiseCorrelation
from restore.training.state import Randomness

SIDE = 768
DARK, LIGHT = 0.25, 0.75
BLACK, WHITE = 0.002, 0.022
"""Variance of the noise at 0 and at 1."""
SIGMAS = tuple(((1 - light) * BLACK + light * WHITE) ** 0.5 for light in (DARK, LIGHT))

NOISE = NoiseBySignal(
    signal=np.array([[0.0, 1.0]] * 2),
    variance=np.array([[BLACK, WHITE]] * 2),
    correlation=np.array([[1, 0.6], [0.6, 1]]),
    excess_kurtosis=0.0,
)
WHITE_NOISE = NoiseCorrelation(sigma=0.1, down=(0.0,), across=(0.0,), blocks=100)


def drawn(count: int, *, factor: float = 1.0, side: int = 32) -> list[Example]:
    """Return batches from a dark and a light picture whose channels share some of their noise."""
    rng = np.random.default_rng(0)
    scenes = []
    for light, sigma in ((DARK, SIGMAS[0]), (LIGHT, SIGMAS[1])):
        noise = np.linalg.cholesky(NOISE.correlation) @ rng.normal(size=(2, SIDE**2))
        pixels = light + sigma * factor**0.5 * noise.reshape(2, SIDE, SIDE)
        scenes.append([torch.from_numpy(pixels.astype(np.float32))])
    batches = Downscaled(
        scenes,
        [0.0] * 2,
        noise=NOISE,
        correlation=WHITE_NOISE,
        factors=[factor] * 2,
        side=side,
        batch=8,
    )
    randomness = Randomness(0, torch.device("cpu"))
    return [batches(randomness) for _ in range(count)]


def clean(example: Example) -> torch.Tensor:
    """Return the pictures without noise, which are even."""
    light = example.shown.mean(dim=(1, 2, 3), keepdim=True) > 0.5
    return torch.where(light, LIGHT, DARK).expand_as(example.noisy)


def box(pictures: torch.Tensor, side: int) -> torch.Tensor:
    return F.avg_pool2d(pictures, side, stride=1, padding=side // 2) if side > 1 else pictures


@pytest.mark.parametrize("side", [1, 3])
@pytest.mark.parametrize("factor", [1.0, 4.0])
def test_the_loss_is_the_true_error_but_for_what_no_network_changes(
    side: int, factor: float
) -> None:
    biases, hidden = [], []
    for example in drawn(16, factor=factor):
        truth = clean(example)
        results = truth + 0.7 * box(example.noisy - truth, side)
        true_error = (results - truth).square().mean()
        of_target = (example.target - truth).square().mean()
        biases.append(float(example.error(results) - true_error - of_target))
        # What the loss of this filter would be less by if the target had the noise of the input.
        noise = (example.noisy - truth).square().mean()
        hidden.append(2 * 0.7 / side**2 * float(noise))
    assert abs(sum(biases)) < 0.02 * sum(hidden)


def test_the_loss_is_unbiased_where_noise_is_correlated() -> None:
    # White noise, averaged over two pixels down and three across.
    correlation = NoiseCorrelation(sigma=0.1, down=(0.5, 0.0), across=(2 / 3, 1 / 3), blocks=100)
    white = np.random.default_rng(0).normal(0, 0.1 * 6**0.5, (1, SIDE + 1, SIDE + 2))
    pixels = F.avg_pool2d(torch.from_numpy(white.astype(np.float32)), (2, 3), stride=1)
    noise = NoiseBySignal(
        signal=np.array([[0.0]]),
        variance=np.array([[0.01]]),
        correlation=np.eye(1),
        excess_kurtosis=0.0,
    )
    batches = Downscaled(
        [[pixels]],
        [0.0],
        noise=noise,
        correlation=correlation,
        factors=[1.0],
        side=48,
        batch=8,
    )
    randomness = Randomness(0, torch.device("cpu"))
    shared = dict.fromkeys((1, 3, 5), 0.0)
    for _ in range(24):
        example = batches(randomness)
        assert float(example.noisy.std()) > 0.1
        for side in shared:
            shared[side] += float((box(example.noisy, side) * example.target).mean()) / 24
    assert max(map(abs, shared.values())) < 0.03 * 0.01


def test_inputs_are_as_noisy_as_the_pictures() -> None:
    for example in drawn(6):
        noise = example.noisy - clean(example)
        for sigma, light in zip(SIGMAS, (False, True), strict=True):
            own = noise[(clean(example)[:, 0, 0, 0] > 0.5) == light]
            if len(own):
                assert float(own.std()) == pytest.approx(sigma, rel=0.05)
                channels = own.transpose(0, 1).flatten(1)
                assert float(torch.corrcoef(channels)[0, 1]) == pytest.approx(0.6, abs=0.06)


def test_targets_are_less_noisy_than_neighbours() -> None:
    shares = set()
    for example in drawn(6):
        truth = clean(example)
        ratio = (example.target - truth).square().mean() / (example.noisy - truth).square().mean()
        shares.add(round(1 / float(ratio)))
    assert shares == {3, 8}


@pytest.mark.parametrize(("across", "turns"), [(0.5, True), (0.2, False)])
def test_only_noise_that_is_alike_down_and_across_is_turned(across: float, turns: bool) -> None:
    ramp = torch.linspace(0, 1, 200).expand(2, 200, 200)
    batches = Downscaled(
        [[ramp]],
        [0.0],
        noise=NOISE,
        correlation=NoiseCorrelation(sigma=0.1, down=(0.5, 0.0), across=(across, 0.0), blocks=100),
        factors=[1.0],
        side=32,
        batch=16,
    )
    shown = batches(Randomness(0, torch.device("cpu"))).shown
    assert bool((shown[:, :, 0] != shown[:, :, -1]).any()) is turns


def test_few_large_pictures_do_not_make_up_most_crops() -> None:
    pictures = [torch.rand(2, side, side) for side in (70,) * 9 + (200,)]
    batches = Downscaled(
        [[picture] for picture in pictures],
        [0.1] * 9 + [0.2],
        noise=NOISE,
        correlation=WHITE_NOISE,
        factors=[1.0] * 10,
        side=32,
        batch=8,
    )
    randomness = Randomness(0, torch.device("cpu"))
    of_large = [float(batches(randomness).sigma.min()) > 0.15 for _ in range(60)]
    assert 1 <= sum(of_large) < 15


def test_pictures_too_small_for_a_scale_are_left_out_of_it() -> None:
    pictures = [torch.rand(2, side, side, generator=torch.Generator()) for side in (70, 200)]
    batches = Downscaled(
        [[picture] for picture in pictures],
        [0.1, 0.2],
        noise=NOISE,
        correlation=WHITE_NOISE,
        factors=[1.0, 1.0],
        side=32,
        batch=4,
    )
    randomness = Randomness(0, torch.device("cpu"))
    for _ in range(8):
        example = batches(randomness)
        assert example.noisy.shape == example.target.shape == example.shown.shape == (4, 2, 32, 32)
        assert {round(level, 3) for level in example.sigma.tolist()} <= {0.1, 0.2}
