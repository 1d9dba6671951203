import pytest
import torch
from torch import Tensor

from restore.noise.grain import grain


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def of_gray(count: int = 400, channels: int = 3, level: float = 0.5) -> Tensor:
    return grain(torch.full((count, channels, 48, 48), level), generator())


def test_levels_reach_from_nothing_to_32() -> None:
    level = 255 * of_gray().flatten(1).std(dim=1)
    assert 0.04 < float((level == 0).float().mean()) < 0.13
    assert 25 < float(level.max()) < 34
    assert float(level.median()) == pytest.approx(32 * 0.46**1.5, rel=0.25)
    assert float(of_gray().mean().abs()) < 1e-3


def test_channels_share_more_or_less_of_it() -> None:
    red, green = of_gray()[:, 0].flatten(1), of_gray()[:, 1].flatten(1)
    shared = torch.stack(
        [torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(red, green, strict=True)]
    )
    shared = shared[~shared.isnan()]
    assert 0.1 < float((shared > 0.99).float().mean()) < 0.4, "gray grain"
    assert float((shared < 0.3).float().mean()) > 0.1, "grain of each dye"


def test_neighbours_are_correlated_in_most_pictures() -> None:
    gray = of_gray(channels=1)[:, 0]
    gray = gray[gray.flatten(1).std(dim=1) > 0]
    across = (gray[:, :, 1:] * gray[:, :, :-1]).mean(dim=(1, 2)) / gray.square().mean(dim=(1, 2))
    assert 0.5 < float((across > 0.1).float().mean()) < 0.95


def test_strength_follows_brightness_either_way() -> None:
    dark, bright = (of_gray(level=level).flatten(1).std(dim=1) for level in (0.1, 0.9))
    ratio = (bright / dark)[dark > 0]
    assert float(ratio.min()) < 0.5
    assert float(ratio.max()) > 2
