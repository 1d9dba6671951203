import pytest
import torch

from restore.noise.drawings import drawings


@pytest.mark.parametrize("channels", [1, 3])
def test_drawings_are_pictures_of_many_kinds(channels: int) -> None:
    made = drawings(60, 40, channels, torch.Generator().manual_seed(0))
    assert made.shape == (60, channels, 40, 40)
    assert made.dtype == torch.float32
    assert 0 <= float(made.min()) < 0.01 < 0.99 < float(made.max()) <= 1
    colours = [len(torch.unique(each.flatten(1), dim=1).T) for each in made]
    assert min(colours) <= 2, "two colours without anything between"
    assert max(colours) > 100, "zone plates and ramps"


def test_the_same_seed_draws_the_same() -> None:
    first, second, other = (
        drawings(5, 32, 3, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
