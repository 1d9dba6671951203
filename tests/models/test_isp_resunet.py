import pytest
import torch
from torch import Tensor

from restore.dark.darkening import Darkened
from restore.errors import WeightsError
from restore.models.isp_resunet import IspResUNet, IspResUNetConfig
from restore.models.layers import srgb_encoded

SMALL = IspResUNetConfig(widths=(4, 6), blocks=1)


def uncorrected(config: IspResUNetConfig = SMALL) -> IspResUNet:
    """A network whose correction is zero, so that the interpolated mosaic comes out."""
    torch.manual_seed(0)
    network = IspResUNet(config).eval()
    torch.nn.init.zeros_(network.tail.weight)
    return network


def seen(light: Tensor, period: int, shift: tuple[int, int] = (0, 0)) -> Tensor:
    """What a network takes of the light ``(3, H, W)`` behind a filter in any phase."""
    mosaics = torch.zeros(1, *light.shape[1:])
    dark = Darkened(mosaics=mosaics, clean=light[None], side=period, packs=False)
    filters = dark.inputs[0][:, 1].roll(shift, dims=(1, 2))
    samples = light[None].gather(1, filters[:, None].long())
    return torch.cat([samples, filters[:, None]], dim=1)


def test_has_hardly_more_parameters_than_the_denoiser_it_starts_from() -> None:
    network = IspResUNet(IspResUNetConfig())
    assert sum(parameter.numel() for parameter in network.parameters()) == 2_356_096


@pytest.mark.parametrize("period", [2, 6])
@pytest.mark.parametrize("shift", [(0, 0), (1, 0), (3, 5)])
def test_a_flat_colour_is_flat_before_any_correction(period: int, shift: tuple[int, int]) -> None:
    """Above white and below black too."""
    colour = torch.tensor([1.7, 0.3, -0.01])
    light = colour[:, None, None].expand(3, 24, 24)
    result = uncorrected()(seen(light, period, shift))
    torch.testing.assert_close(result[0], srgb_encoded(light), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("period", [2, 6])
def test_samples_stay_where_they_are_in_half_precision_too(period: int) -> None:
    light = torch.rand(3, 24, 24, generator=torch.Generator().manual_seed(0))
    inputs = seen(light, period)
    with torch.autocast("cpu", torch.bfloat16):
        result = uncorrected()(inputs)
    assert result.dtype == torch.float32
    own = result.gather(1, inputs[:, 1:].long())
    assert torch.equal(own, srgb_encoded(inputs[:, :1]))


def test_a_ramp_of_gray_comes_out_as_it_is() -> None:
    """Inside; at the edge there are samples on one side only."""
    ramp = torch.linspace(0.1, 0.9, 24).expand(3, 24, 24)
    result = uncorrected()(seen(ramp, 2))[0, :, 4:-4, 4:-4]
    torch.testing.assert_close(result, srgb_encoded(ramp)[:, 4:-4, 4:-4], atol=1e-5, rtol=0)


@pytest.mark.parametrize("period", [2, 6])
def test_coarse_levels_see_the_mean_light_of_their_cells(period: int) -> None:
    """And no noise that is around zero: it would have a mean in encoded values."""
    colour = torch.tensor([0.02, 0.1, 0.4])
    inputs = seen(colour[:, None, None].expand(3, 192, 192), period)
    noise = 0.3 * torch.randn(1, 192, 192, generator=torch.Generator().manual_seed(0))
    inputs[:, 0] += noise
    given: list[Tensor] = []
    network = uncorrected(IspResUNetConfig(widths=(4, 4, 6), blocks=1))
    network.means[-1].register_forward_pre_hook(lambda _, args: given.append(args[0]))
    network(inputs)
    (means,) = given
    assert means.shape == (1, 6, 48, 48)
    torch.testing.assert_close(means[0, :3].mean(dim=(1, 2)), colour, atol=0.01, rtol=0)
    torch.testing.assert_close(means[:, 3:], srgb_encoded(means[:, :3]))


def test_a_colour_without_a_sample_near_is_black() -> None:
    assert torch.isfinite(uncorrected()(torch.ones(1, 2, 2, 2))).all()


def test_halo_is_that_of_a_blind_denoiser_and_of_the_interpolation() -> None:
    network = IspResUNet(IspResUNetConfig())
    assert network.halo % network.multiple == 0
    assert 2 + 3.5 * network.levels_spread < network.halo


def test_impossible_configs_are_refused() -> None:
    for wrong in ({"widths": ()}, {"widths": (4, 0)}, {"blocks": 0}):
        with pytest.raises(WeightsError):
            IspResUNetConfig(**wrong)
