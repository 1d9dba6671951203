import pytest
import torch

from restore.errors import WeightsError
from restore.models.draem import Draem, DraemConfig

SMALL = DraemConfig(channels=1, reconstructor=(4, 6), discriminator=(6, 8, 8), smoothing=5)


def test_halo_covers_the_receptive_field() -> None:
    torch.manual_seed(0)
    network = Draem(SMALL).double()
    size = 2 * network.halo + 4 * network.multiple
    for row in range(size // 2, size // 2 + network.multiple):
        part = torch.rand(1, 1, size, 16, dtype=torch.float64, requires_grad=True)
        repair, score = network(part).split(1, dim=1)
        (repair + network.smoothed(score))[0, 0, row, 8].backward()
        assert part.grad is not None
        reached = part.grad[0, 0].abs().sum(dim=1).nonzero().flatten()
        assert row - network.halo <= int(reached.min())
        assert int(reached.max()) <= row + network.halo
        assert int(reached.max() - reached.min()) > network.halo, "the halo is not wasteful"


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_gives_a_repair_and_a_score_that_is_never_negative(channels: int) -> None:
    torch.manual_seed(0)
    network = Draem(DraemConfig(channels=channels, reconstructor=(4,), discriminator=(4, 6)))
    result = network.inspect(torch.rand(2, channels, 32, 48))
    assert result.shape == (2, channels + 1, 32, 48)
    assert result.min() >= 0
    assert result[:, :-1].max() <= 1


def test_score_is_the_improbability_of_a_good_pixel() -> None:
    network = Draem(SMALL)
    evidence = torch.full((1, 1, 16, 16), 2.0)
    probability_good = 1 - torch.sigmoid(torch.tensor(2.0))
    scores = torch.nn.functional.softplus(network.smoothed(evidence))
    torch.testing.assert_close(scores, torch.full_like(scores, -float(probability_good.log())))


def test_smoothing_does_not_darken_edges() -> None:
    ones = torch.ones(1, 1, 16, 16)
    torch.testing.assert_close(Draem(SMALL).smoothed(ones), ones)


@pytest.mark.parametrize(
    "changes",
    [{"channels": 0}, {"reconstructor": ()}, {"discriminator": (8, 0)}, {"smoothing": 4}],
)
def test_impossible_configs_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(WeightsError, match="DRAEM"):
        DraemConfig(**changes)  # type: ignore[arg-type]
