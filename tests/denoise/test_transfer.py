from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from restore.denoise.transfer import started_from
from restore.errors import UsageError, WeightsError
from restore.models.dncnn import DnCNN, DnCNNConfig
from restore.models.resunet import ResUNet, ResUNetConfig
from restore.weights.store import Weights

GRAY = ResUNetConfig(channels=1, widths=(4, 6), blocks=1)


def weights_of(network: DnCNN | ResUNet) -> Weights:
    return Weights(
        name="old",
        network=type(network),
        config=network.config,
        task="denoise",
        tensors=network.state_dict(),
    )


def silent(line: str) -> None:
    raise AssertionError(line)


def result(network: nn.Module, picture: Tensor, sigma: float) -> Tensor:
    with torch.no_grad():
        output: Tensor = network(picture, torch.tensor([sigma]))
    return output


@pytest.mark.parametrize("kind", ["dncnn", "resunet"])
def test_gray_knowledge_serves_colour(kind: str) -> None:
    torch.manual_seed(0)
    small, large = (
        DnCNN(DnCNNConfig(channels=c, depth=4, width=6)) if kind == "dncnn"
         else ResUNet(replace(GRAY, channels=c)) for c in (1, 3)
    )  # fmt: skip
    gray = torch.rand(1, 1, 16, 16)
    started = started_from(large, weights_of(small), silent)
    before, after = result(small, gray, 0.1), result(started, gray.expand(1, 3, 16, 16), 0.1)
    torch.testing.assert_close(after, before.expand(1, 3, 16, 16))
    back = started_from(type(small)(small.config), weights_of(started), silent)  # type: ignore[arg-type]
    torch.testing.assert_close(result(back, gray, 0.1), before)
    assert all(parameter.requires_grad for parameter in back.parameters())


def test_noise_map_comes_and_goes() -> None:
    """Without the map, a network does what it did when it was told that there is no noise."""
    torch.manual_seed(0)
    told = ResUNet(GRAY)
    picture = torch.rand(1, 1, 16, 16)
    blind = started_from(ResUNet(replace(GRAY, noise_map=False)), weights_of(told), silent)
    torch.testing.assert_close(result(blind, picture, 0.5), result(told, picture, 0.0))
    again = started_from(ResUNet(GRAY), weights_of(blind), silent)
    torch.testing.assert_close(result(again, picture, 0.5), result(told, picture, 0.0))


def test_other_widths_start_afresh_and_say_so() -> None:
    said: list[str] = []
    started_from(ResUNet(replace(GRAY, widths=(4, 8))), weights_of(ResUNet(GRAY)), said.append)
    assert len(said) == 1
    assert said[0].endswith("tensors start afresh")


def test_what_predicts_the_picture_is_no_start_for_what_predicts_the_noise() -> None:
    of_pictures = DnCNN(DnCNNConfig(channels=1, depth=3, width=4, residual=False))
    with pytest.raises(UsageError, match="predicts the picture"):
        started_from(
            DnCNN(replace(of_pictures.config, residual=True)), weights_of(of_pictures), silent
        )


def test_tensors_that_are_left_out_are_named() -> None:
    said: list[str] = []
    deeper = weights_of(ResUNet(replace(GRAY, blocks=2)))
    started_from(ResUNet(GRAY), deeper, said.append)
    left = len(deeper.tensors) - len(ResUNet(GRAY).state_dict())
    assert said[-1].startswith(f"{left} tensors of old left out, such as ")


def test_other_architectures_are_refused() -> None:
    with pytest.raises(UsageError, match="old is a ResUNet, not a DnCNN"):
        started_from(DnCNN(DnCNNConfig()), weights_of(ResUNet(GRAY)), silent)
    shallow, deep = (DnCNN(DnCNNConfig(depth=depth, width=4)) for depth in (3, 5))
    with pytest.raises(WeightsError, match="cannot grow"):
        started_from(shallow, weights_of(deep), silent)
