import pytest
import torch

from restore.errors import WeightsError
from restore.models.dncnn import DnCNN, DnCNNConfig


def parameter_count(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("channels", "depth", "expected"), [(1, 17, 555_137), (1, 20, 665_921), (3, 20, 668_227)]
)
def test_size_is_that_of_the_paper(channels: int, depth: int, expected: int) -> None:
    network = DnCNN(DnCNNConfig(channels=channels, depth=depth))
    assert parameter_count(network) == expected


def test_result_is_noisy_minus_stack() -> None:
    torch.manual_seed(0)
    network = DnCNN(DnCNNConfig(channels=1, depth=4, width=8)).eval()
    noisy = torch.rand(2, 1, 12, 15)
    features = noisy
    for index, conv in enumerate(network.convs):
        features = conv(features)
        if index < 3:
            features = features.relu()
    torch.testing.assert_close(network(noisy), noisy - features)


def test_receptive_field_has_the_radius_of_the_depth() -> None:
    torch.manual_seed(0)
    network = DnCNN(DnCNNConfig(channels=1, depth=5, width=8)).double()
    noisy = torch.rand(1, 1, 31, 31, dtype=torch.float64, requires_grad=True)
    network(noisy)[0, 0, 15, 15].backward()
    assert noisy.grad is not None
    rows = noisy.grad[0, 0].abs().sum(dim=1).nonzero().flatten().tolist()
    assert (rows[0], rows[-1]) == (15 - network.halo, 15 + network.halo)


def test_fold_removes_batch_norm_and_keeps_the_function() -> None:
    torch.manual_seed(0)
    network = DnCNN(DnCNNConfig(channels=1, depth=6, width=16, batch_norm=True))
    for _ in range(5):
        network(torch.rand(4, 1, 16, 16))
    network.eval()
    folded = network.fold()
    noisy = torch.rand(1, 1, 20, 20)
    assert not folded.config.batch_norm
    assert parameter_count(folded) < parameter_count(network)
    torch.testing.assert_close(folded(noisy), network(noisy), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("depth", [6, 7, 20])
def test_deepened_network_computes_the_same(depth: int) -> None:
    torch.manual_seed(0)
    network = DnCNN(DnCNNConfig(channels=3, depth=6, width=8))
    noisy = torch.rand(1, 3, 16, 16)
    deep = network.deepened(depth)
    assert deep.config.depth == depth
    torch.testing.assert_close(deep(noisy), network(noisy))


def test_cannot_become_shallower() -> None:
    with pytest.raises(WeightsError, match="cannot grow"):
        DnCNN(DnCNNConfig(depth=6, width=8)).deepened(5)


def test_noise_map_is_an_input_and_needs_sigma() -> None:
    torch.manual_seed(0)
    network = DnCNN(DnCNNConfig(channels=1, depth=3, width=8, noise_map=True))
    noisy = torch.rand(2, 1, 8, 8)
    quiet, loud = (network(noisy, torch.full((2,), level)) for level in (0.0, 0.5))
    assert not torch.allclose(quiet, loud)
    with pytest.raises(ValueError, match="needs sigma"):
        network(noisy)


def test_low_precision_touches_only_the_noise_estimate() -> None:
    torch.manual_seed(0)
    network = DnCNN(DnCNNConfig(channels=1, depth=3, width=8)).eval()
    with torch.no_grad():
        network.convs[-1].weight.zero_()
    noisy = torch.rand(1, 1, 16, 16)
    assert torch.equal(network.to(torch.bfloat16)(noisy), noisy)


@pytest.mark.parametrize("wrong", [{"channels": 2}, {"depth": 1}, {"width": 0}])
def test_impossible_configs_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(WeightsError, match="cannot have"):
        DnCNNConfig(**wrong)
