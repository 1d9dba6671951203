"""Ports of Learning to See in the Dark, rebuilt here as their authors wrote them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.dark.runner import DarkEnhancer
from restore.errors import WeightsError
from restore.image.raw_picture import RawPicture
from restore.weights.convert.convert import as_laid_out as convert
from restore.weights.store import save_weights


class Port(nn.Module):
    """The network under the names of the ports, with a last layer that knows its colours."""

    def __init__(
        self, planes: int = 4, *, width: int = 3, up: str = "upv", tail: str = "conv10_1",
        up_bias: bool = True, colour_last: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        torch.manual_seed(0)
        self.names = up, tail
        self.scale, self.colour_last = (2 if planes == 4 else 3), colour_last
        widths = [width * 2**level for level in range(5)]
        for level, (inputs, outputs) in enumerate(zip([planes, *widths], widths, strict=False), 1):
            self.add_module(f"conv{level}_1", nn.Conv2d(inputs, outputs, 3, padding=1))
            self.add_module(f"conv{level}_2", nn.Conv2d(outputs, outputs, 3, padding=1))
        for number, fine in zip(range(6, 10), reversed(widths[:-1]), strict=True):
            step = nn.ConvTranspose2d(2 * fine, fine, 2, stride=2, bias=up_bias)
            self.add_module(f"{up}{number}", step)
            self.add_module(f"conv{number}_1", nn.Conv2d(2 * fine, fine, 3, padding=1))
            self.add_module(f"conv{number}_2", nn.Conv2d(fine, fine, 3, padding=1))
        last = nn.Conv2d(width, 3 * self.scale**2, 1)
        colours = torch.randn(3, width)
        pixels = self.scale**2
        rows = colours.repeat(pixels, 1) if colour_last else colours.repeat_interleave(pixels, 0)
        last.weight.data = (rows + 0.1 * torch.randn_like(rows))[:, :, None, None]
        self.add_module(tail, last)

    def forward(self, x: Tensor) -> Tensor:
        up, tail = self.names
        skips = []
        for level in range(1, 6):
            x = F.max_pool2d(x, 2) if level > 1 else x
            for layer in (1, 2):
                x = F.leaky_relu(self.get_submodule(f"conv{level}_{layer}")(x), 0.2)
            skips.append(x)
        skips.pop()
        for number in range(6, 10):
            x = torch.cat([self.get_submodule(f"{up}{number}")(x), skips.pop()], 1)
            for layer in (1, 2):
                x = F.leaky_relu(self.get_submodule(f"conv{number}_{layer}")(x), 0.2)
        x = self.get_submodule(tail)(x)
        if not self.colour_last:
            return F.pixel_shuffle(x, self.scale)
        count, _, height, width = x.shape
        blocks = x.view(count, self.scale, self.scale, 3, height, width)
        return blocks.permute(0, 3, 4, 1, 5, 2).reshape(
            count, 3, self.scale * height, self.scale * width
        )


FORMS = {
    "PyTorch": Port(),
    "without biases": Port(up="up", tail="conv10", up_bias=False),
    "TensorFlow": Port(up_bias=False, colour_last=True),
    "X-Trans": Port(9),
    "X-Trans, TensorFlow": Port(9, colour_last=True),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("prefix", ["", "module.", "netG."])
def test_computes_what_the_port_computes(form: str, prefix: str, tmp_path: Path) -> None:
    port = FORMS[form].eval()
    state = {f"{prefix}{key}": tensor for key, tensor in port.state_dict().items()}
    torch.save({"model_state_dict": state}, tmp_path / "sid.pth")
    converted = convert(tmp_path / "sid.pth")
    assert "Learning to See in the Dark" in converted.layout
    assert converted.weights.task == "dark-enhance"
    packed = torch.rand(1, 9 if "X-Trans" in form else 4, 32, 48)
    with torch.inference_mode():
        torch.testing.assert_close(converted.weights.build()(packed), port(packed))


def test_converted_weights_make_finished_pictures(
    tmp_path: Path, sensor: Callable[..., RawPicture]
) -> None:
    torch.save(FORMS["PyTorch"].state_dict(), tmp_path / "sid.pth")
    save_weights(convert(tmp_path / "sid.pth").weights, tmp_path / "sid.safetensors")
    enhanced = DarkEnhancer(tmp_path / "sid.safetensors")(sensor(), ratio=100)
    assert enhanced.to_srgb is None
    assert enhanced.picture.pixels.shape == (3, 96, 132)


def test_variants_are_refused(tmp_path: Path) -> None:
    state = FORMS["PyTorch"].state_dict()
    torch.save({**state, "extra.weight": torch.ones(1)}, tmp_path / "extra.pth")
    with pytest.raises(WeightsError, match=r"extra\.weight"):
        convert(tmp_path / "extra.pth")
    state = {**state, "conv10_1.weight": torch.ones(10, 3, 1, 1)}
    torch.save(state, tmp_path / "odd.pth")
    with pytest.raises(WeightsError):
        convert(tmp_path / "odd.pth")
