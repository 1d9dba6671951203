import pytest
import torch

from restore.errors import WeightsError
from restore.models.mosaic_resunet import PLANES, MosaicResUNet, MosaicResUNetConfig


def test_it_is_small_enough_for_a_processor() -> None:
    network = MosaicResUNet(MosaicResUNetConfig())
    assert sum(each.numel() for each in network.parameters()) <= 2_500_000


def test_each_block_of_samples_gets_its_noise() -> None:
    network = MosaicResUNet(MosaicResUNetConfig(widths=(4, 8), blocks=1))
    assert network(torch.rand(2, PLANES, 16, 24)).shape == (2, 4, 16, 24)


def test_what_lies_beyond_the_halo_has_hardly_any_influence() -> None:
    torch.manual_seed(0)
    network = MosaicResUNet(MosaicResUNetConfig(widths=(4, 8, 8))).eval()
    halo = network.halo
    planes = torch.rand(1, PLANES, 16, 2 * halo + 32)
    changed = planes.clone()
    changed[..., halo + 16 + network.multiple :] += 1
    with torch.inference_mode():
        before, after = network(planes), network(changed)
    assert float((before - after)[..., :8].abs().max()) < 1e-3 * float(before.abs().max())


@pytest.mark.parametrize("bad", [{"widths": ()}, {"widths": (0,)}, {"blocks": 0}, {"residual": 0}])
def test_impossible_networks_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(WeightsError):
        MosaicResUNetConfig(**bad)  # type: ignore[arg-type]
