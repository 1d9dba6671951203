from copy import deepcopy

import torch
from torch import nn

from restore.models.dncnn import DnCNN, DnCNNConfig
from restore.training.muon import Muon, hidden_kernels, orthogonalised
from restore.training.optimizers import OPTIMIZERS, Optimizers


def network(width: int = 32) -> DnCNN:
    torch.manual_seed(0)
    return DnCNN(DnCNNConfig(channels=1, depth=4, width=width))


def test_singular_values_come_near_one() -> None:
    torch.manual_seed(0)
    for shape in ((64, 576), (576, 64), (48, 48)):
        values = torch.linalg.svdvals(orthogonalised(torch.randn(shape)))
        assert float(values.min()) > 0.3
        assert float(values.max()) < 1.3


def test_directions_stay() -> None:
    """Rows of equal length at right angles are what the iteration aims for."""
    matrix = torch.eye(8, 20) * 3
    result = orthogonalised(matrix)
    assert torch.equal(result != 0, matrix != 0)
    assert float((result.diagonal() - 1).abs().max()) < 0.4


def test_only_layers_between_features_are_hidden() -> None:
    net = network()
    hidden = [id(net.convs[1].weight), id(net.convs[2].weight)]
    assert [id(kernel) for kernel in hidden_kernels(net)] == hidden
    assert not list(hidden_kernels(network(width=4)))


def test_every_parameter_moves_and_the_state_survives() -> None:
    net = network()
    optimizer = OPTIMIZERS["muon"](net)
    before = [parameter.detach().clone() for parameter in net.parameters()]

    def step(model: nn.Module, by: Optimizers) -> None:
        torch.manual_seed(1)
        by.set_rate(1e-3)
        by.zero_grad()
        model(torch.rand(2, 1, 16, 16)).square().mean().backward()
        by.step()

    step(net, optimizer)
    for old, new in zip(before, net.parameters(), strict=True):
        assert not torch.equal(old, new)
    twin = network()
    twin.load_state_dict(net.state_dict())
    again = OPTIMIZERS["muon"](twin)
    again.load_state_dict(deepcopy(optimizer.state_dict()))
    step(net, optimizer)
    step(twin, again)
    for one, other in zip(net.parameters(), twin.parameters(), strict=True):
        assert torch.equal(one, other)


def test_kernels_without_a_gradient_to_follow_decay() -> None:
    kernel = nn.Parameter(torch.ones(16, 16, 3, 3))
    kernel.grad = torch.zeros_like(kernel)
    Muon([kernel], lr=0.1, weight_decay=0.5).step()
    torch.testing.assert_close(kernel.detach(), torch.full_like(kernel, 0.95))
