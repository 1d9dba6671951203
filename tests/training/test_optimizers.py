from copy import deepcopy

import torch
from torch import nn

from restore.models.dncnn import DnCNN, DnCNNConfig
from restore.training.optimizers import (
    OPTIMIZERS,
    Muon,
    Optimizers,
    hidden_convolutions,
    orthogonalised,
)
from restore.weights.half import Rounded


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
    assert hidden_convolutions(net) == [net.convs[1], net.convs[2]]
    assert not hidden_convolutions(network(width=4))


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
    convolution = nn.Conv2d(16, 16, 3, bias=False)
    nn.init.ones_(convolution.weight)
    convolution.weight.grad = torch.zeros_like(convolution.weight)
    Muon([convolution], lr=0.1, weight_decay=0.5).step()
    kernel = convolution.weight.detach()
    torch.testing.assert_close(kernel, torch.full_like(kernel, 0.95))


def test_a_step_leaves_the_response_to_mean_inputs() -> None:
    torch.manual_seed(0)
    convolution = nn.Conv2d(16, 16, 3)
    optimizer = Muon([convolution], lr=0.1, weight_decay=0.0)
    inputs = torch.rand(4, 16, 12, 12) + torch.arange(16.0)[:, None, None]
    mean = inputs[:1].mean(dim=(0, 2, 3), keepdim=True).expand(-1, -1, 3, 3)
    before = convolution.weight.detach().clone()
    convolution(inputs).square().mean().backward()
    with torch.no_grad():
        expected = nn.functional.conv2d(mean, convolution.weight, convolution.bias)
    optimizer.step()
    with torch.no_grad():
        answered = nn.functional.conv2d(mean, convolution.weight, convolution.bias)
    assert not torch.equal(convolution.weight, before)
    torch.testing.assert_close(answered, expected, rtol=1e-3, atol=1e-2)


def test_what_is_learned_does_not_depend_on_where_inputs_lie() -> None:
    """The same inputs further from zero, behind the same outputs, give the same step."""
    kernels = []
    for offset in (0.0, 10.0):
        torch.manual_seed(0)
        convolution = nn.Conv2d(16, 16, 3)
        optimizer = Muon([convolution], lr=0.1)
        inputs = torch.rand(1, 16, 12, 12) + offset
        with torch.no_grad():
            convolution.bias -= convolution.weight.sum(dim=(1, 2, 3)) * offset
        convolution(inputs).square().mean().backward()
        optimizer.step()
        kernels.append(convolution.weight.detach())
    torch.testing.assert_close(*kernels, rtol=1e-2, atol=1e-3)


def test_means_are_noted_where_parameters_are_rounded_copies() -> None:
    net = network()
    hidden = hidden_convolutions(net)
    optimizer = Muon(hidden, lr=0.1)
    Rounded(net, torch.bfloat16)(torch.rand(2, 1, 16, 16))
    assert len(optimizer.state) == len(hidden)
    assert all("input_mean" in optimizer.state[layer.weight] for layer in hidden)
