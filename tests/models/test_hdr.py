import pytest
import torch

from restore.errors import WeightsError
from restore.models.hdr_resunet import HdrResUNet, HdrResUNetConfig
from restore.models.hdr_unet import HdrUNet, HdrUNetConfig
from restore.models.optical_element import height_map_of, psf_of, set_element
from restore.weights import Weights, build, load, save_weights

NETWORKS = {
    "unet": lambda **element: HdrUNet(HdrUNetConfig(width=4, **element)),
    "resunet": lambda **element: HdrResUNet(HdrResUNetConfig(widths=(4, 6, 8), **element)),
}


def test_the_published_network_has_its_number_of_parameters() -> None:
    trained = sum(parameter.numel() for parameter in HdrUNet(HdrUNetConfig()).parameters())
    convolutions = 3 * 9 * 64 + 64 + 9 * (9 * 64 * 64 + 64)
    steps_up = 4 * (16 * 64 * 64 + 64 + 2 * 64 + 128 * 64 + 64)
    assert trained == convolutions + steps_up + 64 * 3 + 3 + 6 + 6 * 3 + 3


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_a_pixel_further_than_the_halo_changes_nothing(name: str) -> None:
    torch.manual_seed(0)
    network = NETWORKS[name]().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    side = 2 * network.halo + 8 * network.multiple
    capture = torch.rand(1, 3, side, side)
    middle = side // 2
    touched = capture.clone()
    touched[..., middle, middle] = 1 - touched[..., middle, middle]
    with torch.inference_mode():
        change = (network(touched) - network(capture)).abs().amax(dim=(0, 1))
    reached = (change > 1e-6).nonzero() - middle
    assert reached.abs().max() <= network.halo
    assert reached.abs().max() > network.halo // 8


def test_a_fresh_resunet_returns_about_the_capture() -> None:
    torch.manual_seed(0)
    capture = torch.rand(1, 3, 32, 32) * 0.9
    with torch.inference_mode():
        result = HdrResUNet(HdrResUNetConfig())(capture)
    assert (result - capture).abs().mean() < 0.1


def test_a_fresh_unet_interpolates_and_adds() -> None:
    network = HdrUNet(HdrUNetConfig(width=4))
    flat = torch.ones(1, 4, 6, 6)
    with torch.inference_mode():
        raised = network.up[0][0](flat)
        fused = network.fuse[0](torch.cat([flat, 2 * flat], dim=1))
    torch.testing.assert_close(raised[..., 2:-2, 2:-2], torch.ones(1, 4, 8, 8))
    torch.testing.assert_close(fused, 3 * flat)


@pytest.mark.parametrize("name", sorted(NETWORKS))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_weights_carry_their_element(
    name: str, dtype: torch.dtype, tmp_path_factory: pytest.TempPathFactory
) -> None:
    torch.manual_seed(0)
    network = NETWORKS[name](psf_size=9, cells=8)
    psf = torch.rand(3, 9, 9).pow(6)
    psf = psf / psf.sum(dim=(1, 2), keepdim=True)
    heights = torch.rand(8, 8) * 1.5e-6
    set_element(network, psf, heights)
    path = tmp_path_factory.mktemp("element") / "lens.safetensors"
    weights = Weights(
        name="lens",
        architecture=type(network).__name__,
        config=network.config,
        task="hdr",
        tensors=dict(network.state_dict()),
        stored_dtype=dtype,
    )
    save_weights(weights, path)
    loaded = load(path)
    build(loaded)
    carried, made = psf_of(loaded.tensors), height_map_of(loaded.tensors)
    assert carried is not None
    assert made is not None
    torch.testing.assert_close(carried, psf, rtol=5e-3, atol=1e-7)
    torch.testing.assert_close(made, heights, rtol=1e-3, atol=1e-9)


def test_a_network_for_ordinary_pictures_carries_none() -> None:
    tensors = dict(NETWORKS["unet"]().state_dict())
    assert psf_of(tensors) is None
    assert height_map_of(tensors) is None


@pytest.mark.parametrize("element", [{"psf_size": 8}, {"psf_size": -1}, {"cells": 16}])
def test_impossible_elements_are_refused(element: dict[str, int]) -> None:
    with pytest.raises(WeightsError, match="element"):
        HdrUNetConfig(**element)
