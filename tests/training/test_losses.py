import math

import pytest
import torch

from restore.training.losses import LOSSES


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_zero_at_the_clean_picture_and_falls_towards_it(name: str) -> None:
    torch.manual_seed(0)
    clean, error = torch.rand(2, 1, 8, 8), 0.1 * torch.randn(2, 1, 8, 8)
    values = [float(LOSSES[name](clean + share * error, clean)) for share in (0.0, 0.5, 1.0)]
    assert values[0] == 0.0
    assert values == sorted(set(values))


def test_psnr_counts_a_share_of_the_error_alike_at_all_levels() -> None:
    torch.manual_seed(0)
    clean, noise = torch.rand(1, 1, 32, 32), torch.randn(1, 1, 32, 32)
    gains = [
        float(LOSSES["psnr"](clean + sigma * noise, clean))
        - float(LOSSES["psnr"](clean + 0.9 * sigma * noise, clean))
        for sigma in (15 / 255, 50 / 255)
    ]
    assert gains == pytest.approx([-2 * math.log(0.9)] * 2, rel=0.01)


def test_psnr_is_the_mean_over_crops() -> None:
    """Crops of blue sky, without any error, neither dominate nor make it infinite."""
    clean = torch.zeros(2, 1, 8, 8)
    result = torch.stack([torch.zeros(1, 8, 8), torch.full((1, 8, 8), 10 / 255)])
    loss = LOSSES["psnr"](result.requires_grad_(), clean)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(101) / 2)
    assert result.grad is not None
    assert result.grad.isfinite().all()
