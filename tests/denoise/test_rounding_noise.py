import torch

from restore.denoise.train import add_rounding_noise
from restore.models.dncnn import DnCNN, DnCNNConfig
from restore.training.state import Randomness


def disturbed(seed: int = 0) -> tuple[DnCNN, Randomness]:
    torch.manual_seed(0)
    network = DnCNN(DnCNNConfig(channels=1, depth=3, width=16))
    rng = Randomness(seed, torch.device("cpu"))
    add_rounding_noise(network.convolutions[1:], rng)
    return network, rng


def test_evaluation_is_left_as_it_is() -> None:
    network, _ = disturbed()
    torch.manual_seed(0)
    plain = DnCNN(DnCNNConfig(channels=1, depth=3, width=16))
    noisy = torch.rand(2, 1, 16, 16)
    assert torch.equal(network.eval()(noisy), plain.eval()(noisy))
    assert not torch.equal(network.train()(noisy), plain.train()(noisy))


def test_inputs_move_by_one_part_in_128_and_by_nothing_on_average() -> None:
    layer = torch.nn.Conv2d(8, 8, 1)
    torch.nn.init.dirac_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    add_rounding_noise([layer], Randomness(0, torch.device("cpu")))
    change = layer(torch.full((2, 8, 32, 32), 128.0)).detach() - 128
    torch.testing.assert_close(change.abs(), torch.ones_like(change), rtol=0, atol=1e-3)
    assert abs(float(change.mean())) < 0.05


def test_noise_comes_from_the_run() -> None:
    noisy = torch.rand(2, 1, 16, 16)
    network, rng = disturbed()
    state = rng.state()
    first, second = network(noisy), network(noisy)
    assert not torch.equal(first, second)
    resumed, its_rng = disturbed(seed=1)
    its_rng.restore(state)
    assert torch.equal(resumed(noisy), first)
    assert torch.equal(resumed(noisy), second)


def test_gradients_lead_features_towards_zero() -> None:
    """Two layers that carry a signal far from zero are right as they are, but for the noise."""
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(1, 1, 1) for _ in range(2)]
    for layer, offset in zip(layers, (9.0, -9.0), strict=True):
        torch.nn.init.ones_(layer.weight)
        torch.nn.init.constant_(layer.bias, offset)
    add_rounding_noise(layers[1:], Randomness(0, torch.device("cpu")))
    for _ in range(20):
        signal = torch.randn(2, 1, 512, 512)
        (layers[1](layers[0](signal)) - signal).square().mean().backward()
    expected = 20 * 2 * 9 / 128**2
    assert layers[0].bias.grad is not None
    assert 0.5 * expected < float(layers[0].bias.grad) < 1.5 * expected
