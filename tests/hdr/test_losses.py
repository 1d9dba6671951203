"""The loss of HDR training, and the mask of what saturated."""

import numpy as np
import pytest
import torch

from restore.hdr.camera import saturation_mask
from restore.hdr.losses import HDR_LOSSES, hdr_loss
from restore.hdr.metrics import mu_law, pu21


@pytest.mark.parametrize("name", sorted(set(HDR_LOSSES) - {"psnr"}))
def test_a_loss_is_zero_at_the_scene_and_pulls_towards_it(name: str) -> None:
    torch.manual_seed(0)
    scene = torch.rand(1, 3, 8, 8) * 20 + 0.01
    saturated = scene.amax(dim=1, keepdim=True) >= 1
    options = {"saturated": saturated, "highlight_weight": 1.0}
    assert hdr_loss(name, scene, scene, **options) < 2e-6
    for start in (scene * 4, scene / 4, -0.05 * torch.ones_like(scene)):
        result = start.clone().requires_grad_()
        loss = hdr_loss(name, result, scene, **options)
        (gradient,) = torch.autograd.grad(loss, result)
        assert torch.isfinite(gradient).all()
        if name != "gamma" or start.min() > 0:
            nearer = start - 1e-3 * gradient.sign()
            assert hdr_loss(name, nearer, scene, **options) < loss


def test_the_loss_of_psnr_falls_as_psnr_rises() -> None:
    """Ten times less error in PU21 values, 20 dB, lowers it by 0.1 ln 100."""
    scene = torch.full((2, 3, 8, 8), 4.0)
    saturated = scene.amax(dim=1, keepdim=True) >= 1
    nits = 4000 / 64
    losses = []
    for step in (0.2, 0.02):
        result = (scene + step).requires_grad_()
        loss = hdr_loss("psnr", result, scene, saturated=saturated, highlight_weight=2.0)
        (gradient,) = torch.autograd.grad(loss, result)
        assert (gradient > 0).all()
        losses.append(float(loss.detach()))
    errors = [
        float(pu21(torch.tensor((4 + step) * nits)) - pu21(torch.tensor(4 * nits)))
        for step in (0.2, 0.02)
    ]
    expected = 0.2 * np.log(errors[0] / errors[1])
    assert losses[0] - losses[1] == pytest.approx(expected, abs=0.02)


def test_saturated_pixels_weigh_as_told() -> None:
    scene = torch.full((1, 3, 2, 2), 0.5)
    scene[..., 0, 0] = 10.0
    result = scene.clone()
    result[..., 0, 0] = 5.0
    saturated = scene.amax(dim=1, keepdim=True) >= 1
    step = float((mu_law(torch.tensor(10.0)) - mu_law(torch.tensor(5.0))).abs())
    for weight, expected in ((0.0, step / 4), (1.0, step / 4 + step)):
        loss = hdr_loss("mu", result, scene, saturated=saturated, highlight_weight=weight)
        assert float(loss) == pytest.approx(expected, rel=1e-4)


def test_the_mask_rises_over_the_last_twentieth_below_white() -> None:
    capture = torch.tensor([0.9, 0.95, 0.975, 1.0]).expand(1, 3, 1, 4)
    expected = torch.tensor([0.0, 0.0, 0.5, 1.0])
    torch.testing.assert_close(saturation_mask(capture)[0, 0, 0], expected, atol=1e-5, rtol=0)
