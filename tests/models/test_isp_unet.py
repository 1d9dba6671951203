import pytest
import torch

from restore.errors import WeightsError
from restore.models.isp_unet import IspUNet, IspUNetConfig


@pytest.mark.parametrize(("planes", "parameters"), [(4, 7_760_268), (9, 7_762_203)])
def test_has_the_papers_parameters(planes: int, parameters: int) -> None:
    network = IspUNet(IspUNetConfig(planes=planes))
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


@pytest.mark.parametrize(("planes", "scale"), [(4, 2), (9, 3)])
def test_gives_colour_for_every_pixel_of_the_mosaic(planes: int, scale: int) -> None:
    network = IspUNet(IspUNetConfig(planes=planes, width=4))
    assert network(torch.rand(2, planes, 16, 32)).shape == (2, 3, 16 * scale, 32 * scale)


def test_halo_covers_the_receptive_field() -> None:
    """What lies farther away than the halo changes nothing, what lies within it does."""
    torch.manual_seed(0)
    network = IspUNet(IspUNetConfig(width=2)).double().eval()
    side = 2 * network.halo + 64
    middle = side // 2
    black = torch.zeros(1, 4, side, side, dtype=torch.float64)
    near, far = black.clone(), black.clone()
    far[:, :, :, : middle - network.halo] = 1
    near[:, :, :, : middle - 48] = 1
    with torch.no_grad():
        before, moved, same = (network(x)[..., 2 * middle :] for x in (black, near, far))
    assert torch.equal(before, same)
    assert not torch.equal(before, moved)
    assert network.halo % network.multiple == 0


def test_impossible_configs_are_refused() -> None:
    for wrong in ({"planes": 3}, {"width": 0}, {"head": "cmyk"}):
        with pytest.raises(WeightsError):
            IspUNetConfig(**wrong)
