import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from restore.errors import WeightsError
from restore.models.error_net import ErrorNet, ErrorNetConfig
from restore.models.resunet import ResUNet, ResUNetConfig


def network(**settings: int) -> ErrorNet:
    torch.manual_seed(0)
    made = ErrorNet(ErrorNetConfig(**settings)).eval()
    with torch.no_grad():
        nn.init.normal_(made.tail.weight, std=0.02)
    return made


def planes(height: int = 32, width: int = 32, noise: float = 0.1) -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    clean = torch.rand(1, 3, height, width, generator=rng) * 0.5 + 0.25
    noisy = clean + noise * torch.randn(clean.shape, generator=rng)
    return torch.cat([noisy, clean], dim=1)


def operations(of: nn.Module, *inputs: torch.Tensor) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        of(*inputs)
    return counter.get_total_flops()


def test_it_costs_less_than_a_twentieth_of_the_denoisers() -> None:
    given = planes(64, 64)
    denoiser = ResUNet(ResUNetConfig())
    of_denoiser = operations(denoiser, given[:, :3], torch.tensor([0.1]))
    assert operations(network(), given) < 0.05 * of_denoiser


def test_beyond_the_halo_nothing_is_seen() -> None:
    estimator = network(width=4, blocks=1, around=2)
    size = 2 * estimator.halo + 16
    given = planes(size, 8).double().requires_grad_()
    for row in range(size // 2, size // 2 + estimator.multiple):
        estimator.double()(given)[0, :, row, 4].sum().backward()
    assert given.grad is not None
    seen = given.grad[0].abs().sum(dim=(0, 2)).nonzero().flatten()
    reach = max(size // 2 - int(seen.min()), int(seen.max()) - size // 2)
    assert estimator.halo - 2 * estimator.multiple <= reach <= estimator.halo


def test_estimates_are_positive_and_grow_with_what_was_removed() -> None:
    estimator = network()
    with torch.no_grad():
        weak, strong = (estimator(planes(noise=noise)) for noise in (0.01, 0.1))
        none = estimator(planes(noise=0))
    assert weak.shape == (1, 3, 32, 32)
    assert float(none.min()) > 0
    assert 3 < float(strong.mean() / weak.mean()) < 20


@pytest.mark.parametrize("settings", [{"width": 0}, {"blocks": 0}, {"around": 0}])
def test_impossible_configs_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(WeightsError, match="ErrorNet cannot have"):
        ErrorNetConfig(**settings)
