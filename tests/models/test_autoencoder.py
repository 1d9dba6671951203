import pytest
import torch

from restore.errors import WeightsError
from restore.models.autoencoder import Autoencoder, AutoencoderConfig


def network(**changes: object) -> Autoencoder:
    torch.manual_seed(0)
    settings = {"window": 32, "latent": 6, "loss": "l2"} | changes
    return Autoencoder(AutoencoderConfig(**settings))  # type: ignore[arg-type]


def test_layers_are_those_of_the_paper() -> None:
    layers = [m for m in network(window=128).encoder if isinstance(m, torch.nn.Conv2d)]
    shapes = [(c.out_channels, c.kernel_size[0], c.stride[0]) for c in layers]
    assert shapes == [
        (32, 4, 2), (32, 4, 2), (32, 3, 1), (64, 4, 2), (64, 3, 1), (128, 4, 2), (64, 3, 1),
        (32, 3, 1), (6, 8, 1),
    ]  # fmt: skip


def test_nothing_but_the_latent_numbers_gets_through() -> None:
    """Two windows with the same codes have the same reconstruction, whatever they look like."""
    auto = network()
    parts = torch.rand(2, 1, 32, 32)
    one, two = auto(parts)
    assert not torch.equal(one, two)
    assert auto.encoder(parts - 0.5).shape == (2, 6, 1, 1)
    codes = torch.randn(1, 6, 1, 1)
    auto.encoder.forward = lambda windows: codes.expand(len(windows), 6, 1, 1)  # type: ignore[method-assign]
    one, two = auto(parts)
    assert torch.equal(one, two)


@pytest.mark.parametrize("loss", ["l2", "ssim"])
def test_cost_is_zero_for_a_perfect_reconstruction_only(loss: str) -> None:
    auto = network(loss=loss)
    part = torch.rand(1, 1, 32, 32)
    perfect = torch.cat([part, torch.zeros(1, 1, 32, 32)], dim=1)
    torch.testing.assert_close(
        auto.cost(part, perfect), torch.zeros(1, 1, 32, 32), atol=1e-5, rtol=0
    )
    assert auto.cost(part, torch.cat([1 - part, perfect[:, 1:]], dim=1)).mean() > 0.05


def test_divergence_is_that_of_two_gaussians() -> None:
    auto = network(variational=True)
    part = torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        mean, log_variance = auto.encoder(part - 0.5).flatten().chunk(2)
        posterior = torch.distributions.Normal(mean, torch.exp(0.5 * log_variance))
        prior = torch.distributions.Normal(torch.zeros(6), torch.ones(6))
        expected = torch.distributions.kl_divergence(posterior, prior).sum() / 32**2
        spread = auto(part)[0, -1]
    torch.testing.assert_close(spread, expected.expand(32, 32))


def test_beta_weighs_the_divergence() -> None:
    part = torch.rand(1, 1, 32, 32)
    costs = []
    for beta in (0.0, 1.0, 3.0):
        auto = network(variational=True, beta=beta)
        with torch.no_grad():
            costs.append(auto.cost(part, auto(part)))
    torch.testing.assert_close(costs[2] - costs[0], 3 * (costs[1] - costs[0]), rtol=1e-3, atol=1e-5)
    assert (costs[1] > costs[0]).all()


def test_noise_moves_the_latent_numbers_of_a_variational_network() -> None:
    auto, part = network(variational=True), torch.rand(1, 1, 32, 32)
    still, moved = auto(part), auto(part, torch.randn(1, 6))
    assert not torch.equal(still, moved)
    assert torch.equal(still, auto(part, torch.zeros(1, 6)))


@pytest.mark.parametrize(
    "changes",
    [
        {"window": 40}, {"latent": 0}, {"loss": "gan"}, {"channels": 0}, {"beta": float("nan")},
        {"variational": True, "loss": "ssim"},
    ],
)  # fmt: skip
def test_impossible_configs_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(WeightsError):
        network(**changes)
