import pytest
import torch

from restore.errors import WeightsError
from restore.image.decode import decode
from restore.models.resunet import ResUNet, ResUNetConfig
from restore.tasks import load
from restore.weights.file import weights_folder

SMALL = ResUNetConfig(channels=1, widths=(4, 6, 8), blocks=1)


def test_default_size_is_compact() -> None:
    network = ResUNet(ResUNetConfig())
    assert sum(parameter.numel() for parameter in network.parameters()) == 2_353_120


def test_halo_covers_the_effective_receptive_field() -> None:
    torch.manual_seed(0)
    network = ResUNet(SMALL).double()
    size = 2 * network.halo + 4 * network.multiple
    for row in range(size // 2, size // 2 + network.multiple):
        noisy = torch.rand(1, 1, size, 16, dtype=torch.float64, requires_grad=True)
        network(noisy, torch.tensor([0.1]))[0, 0, row, 8].backward()
        assert noisy.grad is not None
        influence = noisy.grad[0, 0].square().sum(dim=1)
        reached = influence.nonzero().flatten()
        inside = influence[row - network.halo : row + network.halo + 1]
        assert inside.sum() > 0.9999 * influence.sum()
        assert int(reached.max() - reached.min()) > network.halo, "the halo is not wasteful"


@pytest.mark.parametrize("name", ["resunet-gray", "resunet-color", "photo"])
def test_beyond_the_halo_nothing_is_seen(name: str) -> None:
    """The halo is narrower than the whole receptive field; nobody could tell."""
    weights = load(name)
    network = weights.build()
    assert isinstance(network, ResUNet)
    picture = decode(weights_folder() / "measure" / "tea-gardens.png").pixels
    clean = torch.from_numpy(picture)[None, : weights.channels]
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    noisy, sigma = clean + 50 / 255 * noise, torch.tensor([50 / 255])
    middle = noisy.shape[2] // 2
    with torch.no_grad():
        whole = network(noisy, sigma)
        lower = network(noisy[:, :, middle - network.halo :], sigma)
    difference = (whole[:, :, middle:] - lower[:, :, network.halo :]).abs()
    assert difference.max() < 0.1 / 255


def test_scaling_picture_and_sigma_scales_the_result() -> None:
    torch.manual_seed(0)
    network = ResUNet(SMALL).double()
    noisy, sigma = torch.rand(1, 1, 16, 16).double(), torch.tensor([0.2], dtype=torch.float64)
    torch.testing.assert_close(network(3 * noisy, 3 * sigma), 3 * network(noisy, sigma))


def test_sigma_matters_and_is_required() -> None:
    torch.manual_seed(0)
    network = ResUNet(SMALL)
    noisy = torch.rand(2, 1, 16, 16)
    assert not torch.allclose(
        network(noisy, torch.tensor([0.0, 0.0])), network(noisy, torch.tensor([0.3, 0.3]))
    )
    with pytest.raises(ValueError, match="needs sigma"):
        network(noisy)
    with pytest.raises(ValueError, match="needs sigma"):
        network(noisy, torch.tensor([0.1]))


def test_config_survives_json() -> None:
    assert ResUNetConfig(widths=[4, 6, 8], blocks=1, channels=1) == SMALL  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"channels": 4}, {"widths": ()}, {"blocks": 0}])
def test_impossible_configs_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(WeightsError):
        ResUNetConfig(**wrong)


def test_a_level_adds_what_comes_up_to_what_went_down() -> None:
    """Without residuals, and with nothing that goes down, the skips alone return the features."""
    torch.manual_seed(0)
    network = ResUNet(SMALL)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "conv2" in name or name.startswith("down"):
                parameter.zero_()
        features = torch.rand(1, 4, 8, 12)
        torch.testing.assert_close(network.through_levels(features), features)
        network.down[0].weight.fill_(0.5)
        network.up[0].weight.fill_(1.0)
        network.up[1].weight.zero_()
        cell = features.unfold(2, 2, 2).unfold(3, 2, 2).sum(dim=(1, 4, 5))
        raised = (6 * 0.5 * cell).repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
        torch.testing.assert_close(network.through_levels(features), features + raised[:, None])
