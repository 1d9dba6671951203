import pytest
import torch

from restore.models.dncnn import DnCNN, DnCNNConfig
from restore.training.centring import OffCentre


def test_penalty_is_squared_mean_over_variance_of_what_convolutions_take() -> None:
    network = torch.nn.Sequential(*(torch.nn.Conv2d(1, 1, 1, bias=False) for _ in range(3)))
    for conv in network:
        torch.nn.init.ones_(conv.weight)
    off_centre = OffCentre(network)
    picture = torch.tensor([4.0, 6.0]).view(1, 1, 1, 2)
    network(picture)
    assert off_centre().item() == pytest.approx(25 / 2), "mean 5, variance 2, in both layers"
    network(picture - 5)
    assert off_centre().item() == 0, "of the last pass alone"


def test_passes_without_gradients_are_not_watched() -> None:
    network = DnCNN(DnCNNConfig(channels=1, depth=4, width=4))
    off_centre = OffCentre(network)
    picture = torch.rand(1, 1, 8, 8)
    with torch.no_grad():
        network(torch.zeros(1, 1, 8, 8))
    network(picture)
    watched = off_centre().item()
    network(picture)
    assert off_centre().item() == watched


def test_following_the_penalty_moves_features_towards_zero() -> None:
    torch.manual_seed(0)
    network = DnCNN(DnCNNConfig(channels=1, depth=5, width=8))
    with torch.no_grad():
        for conv in network.convs[:-1]:
            conv.bias.fill_(1.0)
    off_centre = OffCentre(network)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    penalties = []
    for _ in range(40):
        network(torch.rand(2, 1, 16, 16))
        penalty = off_centre()
        optimizer.zero_grad()
        penalty.backward()
        optimizer.step()
        penalties.append(penalty.item())
    assert penalties[-1] < 0.5 * penalties[0]
