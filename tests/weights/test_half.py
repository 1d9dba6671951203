import pytest
import torch
from torch import nn

from restore.models.dncnn import DnCNN, DnCNNConfig
from restore.models.resunet import ResUNet, ResUNetConfig
from restore.weights.half import call_rounded

NETWORKS = [
    DnCNN(DnCNNConfig(channels=1, depth=5, width=16, noise_map=True)),
    ResUNet(ResUNetConfig(channels=1, widths=(8, 8), blocks=1)),
]


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: type(network).__name__)
def test_agrees_with_real_half_precision(network: nn.Module) -> None:
    torch.manual_seed(0)
    noisy, sigma = torch.rand(1, 1, 32, 32), torch.tensor([0.1])
    with torch.no_grad():
        exact = network(noisy, sigma)
        emulated = call_rounded(network, torch.bfloat16, noisy, sigma)
        real = network.to(torch.bfloat16)(noisy, sigma)
    network.float()
    error, disagreement = (emulated - exact).abs().mean(), (emulated - real).abs().mean()
    assert error > 0
    assert disagreement < 0.5 * error


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: type(network).__name__)
def test_gradients_reach_every_parameter_and_values_stay(network: nn.Module) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.requires_grad_(True).zero_grad()
    result = call_rounded(network, torch.bfloat16, torch.rand(1, 1, 16, 16), torch.tensor([0.1]))
    result.square().mean().backward()
    assert all(value.grad is not None for value in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_network_is_left_without_hooks() -> None:
    network = DnCNN(DnCNNConfig(channels=1, depth=3, width=4))
    noisy = torch.rand(1, 1, 8, 8)
    exact = network(noisy)
    call_rounded(network, torch.bfloat16, noisy)
    assert torch.equal(network(noisy), exact)
