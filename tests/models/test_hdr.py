import pytest
import torch

from restore.errors import WeightsError
from restore.models.hdr_resunet import HdrResUNet, HdrResUNetConfig
from restore.models.hdr_unet import HdrUNet, HdrUNetConfig
from restore.models.optical_element import (
    TraceGathering,
    TraceScattering,
    gathering_kernel,
    height_map_of,
    psf_of,
    set_element,
)
from restore.tasks import load
from restore.weights.store import Weights, save_weights

NETWORKS = {
    "unet": lambda **element: HdrUNet(HdrUNetConfig(width=4, **element)),
    "resunet": lambda **element: HdrResUNet(HdrResUNetConfig(widths=(4, 6, 8), **element)),
}


def test_the_published_network_has_its_number_of_parameters() -> None:
    trained = sum(parameter.numel() for parameter in HdrUNet(HdrUNetConfig()).parameters())
    convolutions = 3 * 9 * 64 + 64 + 9 * (9 * 64 * 64 + 64)
    steps_up = 4 * (16 * 64 * 64 + 64 + 2 * 64 + 128 * 64 + 64)
    assert trained == convolutions + steps_up + 64 * 3 + 3 + 6 + 6 * 3 + 3


@pytest.mark.parametrize("psf_size", [0, 41])
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_a_pixel_further_than_the_halo_changes_nothing(name: str, psf_size: int) -> None:
    torch.manual_seed(0)
    network = NETWORKS[name](psf_size=psf_size).eval()
    if psf_size:
        set_element(network, torch.rand(3, psf_size, psf_size))
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
    # Fourier transforms spread their rounding errors over the whole picture.
    reached = (change > 1e-4 * change.max()).nonzero() - middle
    assert reached.abs().max() <= network.halo
    assert reached.abs().max() > network.halo // 20


def test_a_fresh_resunet_returns_about_the_capture() -> None:
    torch.manual_seed(0)
    capture = torch.rand(1, 3, 32, 32) * 0.9
    with torch.inference_mode():
        result = HdrResUNet(HdrResUNetConfig())(capture)
    assert (result - capture).abs().mean() < 0.1


def test_light_is_gathered_from_where_the_element_throws_it() -> None:
    torch.manual_seed(0)
    psf = torch.zeros(3, 97, 97)
    psf[:, 48, 48], psf[:, 48 + 22, 48 - 13] = 0.9, 0.1
    kernel = gathering_kernel(psf, 4, 48)
    torch.testing.assert_close(kernel.sum(dim=(1, 2)), torch.ones(3))
    along = torch.arange(25) - 12.0
    rows, columns = (kernel.sum(dim=axis) @ along for axis in (2, 1))
    torch.testing.assert_close(rows, torch.full((3,), 22 / 4), rtol=0, atol=1e-4)
    torch.testing.assert_close(columns, torch.full((3,), -13 / 4), rtol=0, atol=1e-4)
    gathering = TraceGathering(3, psf_size=97, planes=1, step=4, reach_px=48)
    for mixing in (gathering.sort, gathering.merge):
        with torch.no_grad():
            mixing.weight.copy_(torch.eye(3)[..., None, None])
            mixing.bias.zero_()
    features = torch.zeros(1, 3, 40, 40)
    # A trace 24 pixels down and 12 to the left of where its light came from.
    features[..., 26, 17] = 1.0
    psf[:, 48 + 22, 48 - 13], psf[:, 48 + 24, 48 - 12] = 0.0, 0.1
    with torch.inference_mode():
        brought = gathering(features, psf) - features
    assert brought[0, :, 20, 20].min() == pytest.approx(1.0, abs=1e-5)
    assert brought.abs().sum() == pytest.approx(3.0, abs=1e-4)
    scattering = TraceScattering(3, psf_size=97, planes=1, step=4, reach_px=48)
    scattering.load_state_dict(gathering.state_dict())
    with torch.inference_mode():
        thrown = scattering(features, psf) - features
    assert thrown[0, :, 32, 14].min() == pytest.approx(1.0, abs=1e-5)


def test_traces_are_followed_as_far_as_the_network_reaches() -> None:
    """A PSF of 129 pixels with copies at 55 pixels, as that of hdr-optics."""
    psf = torch.zeros(3, 129, 129)
    psf[:, 64, 64], psf[:, 64 - 56, 64] = 0.9, 0.1
    near, far = (gathering_kernel(psf, 4, reach) for reach in (48, 64))
    assert float(near.sum()) == 0
    torch.testing.assert_close(far.sum(dim=(1, 2)), torch.ones(3))
    networks = [HdrResUNet(HdrResUNetConfig(psf_size=129, reach_px=reach)) for reach in (48, 64)]
    assert networks[1].halo - networks[0].halo == 32


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_other_engines_gather_by_convolution_and_find_the_same() -> None:
    torch.manual_seed(0)
    gathering = TraceGathering(4, psf_size=19, planes=2, step=2, reach_px=48).requires_grad_(False)
    features, psf = torch.rand(2, 4, 30, 26), torch.rand(3, 19, 19)
    gathering.set_psf(psf)
    traced = torch.jit.trace(gathering, (features,))
    for result in (traced(features), gathering(features)):
        torch.testing.assert_close(result, gathering(features, psf), atol=1e-5, rtol=0)


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
        network=type(network),
        config=network.config,
        task="hdr",
        tensors=dict(network.state_dict()),
        stored_dtype=dtype,
    )
    save_weights(weights, path)
    loaded = load(path)
    loaded.build()
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
