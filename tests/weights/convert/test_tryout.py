"""Small networks that denoise by a blur, stored in every way that the layers could be read."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from restore.errors import WeightsError
from restore.models.dncnn import DnCNN, DnCNNConfig
from restore.models.drunet import DRUNet, DRUNetConfig
from restore.models.ffdnet import FFDNet, FFDNetConfig
from restore.weights.convert.convert import convert
from restore.weights.convert.interpretation import IRCNN_DILATIONS, Interpretation, interpreted
from restore.weights.convert.tryout import Tried, settled
from restore.weights.store import Weights

CENTRE = torch.zeros(3, 3)
CENTRE[1, 1] = 1.0
_SIDE = torch.tensor([1.0, 2.0, 1.0]) / 4
BLUR = _SIDE[:, None] * _SIDE


def blurring(role: str, *, white: float = 1.0, channels: int = 1) -> dict[str, Tensor]:
    """Two layers of KAIR's names whose hidden features are the light above a tenth of white.

    Only where values reach ``white`` do they hold a picture.
    """
    eye = torch.eye(channels)[:, :, None, None]
    black = 0.1 * white
    blurred, same = eye * BLUR, eye * CENTRE
    last = {"picture": blurred, "noise": same - blurred, "negative noise": blurred - same}[role]
    shift = black if role == "picture" else 0.0
    return {
        "model.0.weight": same,
        "model.0.bias": torch.full((channels,), -black),
        "model.2.weight": last.clone(),
        "model.2.bias": torch.full((channels,), shift),
    }


def tried(folder: Path, state: dict[str, Tensor]) -> tuple[Weights, Tried]:
    torch.save(state, folder / "net.pth")
    converted = convert(folder / "net.pth")
    assert converted.tried is not None
    return converted.weights, converted.tried


def denoised(weights: Weights) -> Tensor:
    noisy = torch.full((1, weights.channels, 16, 16), 0.5) + 0.1 * torch.randn(
        (1, weights.channels, 16, 16), generator=torch.Generator().manual_seed(0)
    )
    with torch.inference_mode():
        return weights.build()(noisy, torch.tensor([0.1]))[..., 3:-3, 3:-3]


@pytest.mark.parametrize("white", [1, 255])
@pytest.mark.parametrize("role", ["noise", "negative noise", "picture"])
def test_what_the_layers_predict_and_on_which_scale_is_found(
    tmp_path: Path, role: str, white: int
) -> None:
    weights, found = tried(tmp_path, blurring(role, white=white))
    assert (found.way.role, found.way.scale) == (role, white)
    assert found.of_layout == Interpretation(role="noise")
    result = denoised(weights)
    assert result.mean() == pytest.approx(0.5, abs=0.03)
    assert result.std() < 0.06  # of 0.1 that was added
    assert weights.provenance["tried"]["psnr_db"]["sigma 50"][1] > 17


def test_the_order_of_colours_is_found(tmp_path: Path) -> None:
    """Its first channel never rises above a third, as that of blue in the pictures seldom does."""
    state = blurring("picture", channels=3)
    state["model.0.weight"] = torch.cat([state["model.0.weight"], -state["model.0.weight"][:1]])
    state["model.0.bias"] = torch.tensor([-0.1, -0.1, -0.1, 0.33])
    state["model.2.weight"] = torch.cat([state["model.2.weight"], torch.zeros(3, 1, 3, 3)], dim=1)
    state["model.2.weight"][0, 0] = 0
    state["model.2.weight"][0, 3] = -BLUR
    state["model.2.bias"][0] = 0.33
    _, found = tried(tmp_path, state)
    assert found.way == Interpretation(role="picture", order="BGR")
    assert found.of_layout.order == "RGB"


def test_dilated_layers_are_told_from_plain_ones() -> None:
    def stack(dilations: tuple[int, ...]) -> Weights:
        """Six layers of identities, and one at half the distance of its neighbours that blurs."""
        config = DnCNNConfig(channels=1, depth=7, width=1, residual=False, dilations=dilations)
        tensors = {}
        for layer in range(7):
            # Wide dilations would blur too much: the first and last layer have none.
            kernel = BLUR if layer in (0, 6) else CENTRE
            tensors[f"convs.{layer}.weight"] = kernel.view(1, 1, 3, 3).clone()
            tensors[f"convs.{layer}.bias"] = torch.zeros(1)
        tensors["convs.3.weight"] = (CENTRE + CENTRE.roll(1, 0)).view(1, 1, 3, 3) / 2
        tensors["convs.4.weight"] = (CENTRE + CENTRE.roll(-1, 0)).view(1, 1, 3, 3) / 2
        return Weights(name="x", network=DnCNN, config=config, task="denoise", tensors=tensors)

    # Dilated, these layers tear the picture apart; as plain layers they blur it a little.
    weights, found = settled(stack(IRCNN_DILATIONS))
    assert (found.of_layout.dilations, found.way.dilations) == (IRCNN_DILATIONS, ())
    assert weights.config.dilations == ()


def test_a_network_that_restores_nothing_is_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = {key: torch.randn_like(tensor) for key, tensor in blurring("noise").items()}
    with pytest.raises(WeightsError, match=r"net\.pth: KAIR DnCNN.*it improves no picture"):
        tried(tmp_path, state)


def test_a_network_that_hardly_changes_its_input_is_refused(tmp_path: Path) -> None:
    state = blurring("noise")
    state["model.2.weight"] *= 0.01
    with pytest.raises(WeightsError, match="it improves no picture"):
        tried(tmp_path, state)


@pytest.mark.parametrize("levels", [4, 8, 9])
def test_deep_networks_are_tried_on_pictures_that_they_take(levels: int) -> None:
    config = DRUNetConfig(channels=1, widths=(2,) * levels, blocks=1)
    tensors = {key: 0 * each for key, each in DRUNet(config).state_dict().items()}
    weights = Weights(name="x", network=DRUNet, config=config, task="denoise", tensors=tensors)
    with pytest.raises(WeightsError, match="too large" if levels == 9 else "improves no picture"):
        settled(weights)


@pytest.mark.parametrize(
    ("network", "config"),
    [
        (DnCNN, DnCNNConfig(channels=3, depth=3, width=4, residual=False, noise_map=True)),
        (FFDNet, FFDNetConfig(channels=3, depth=3, width=4)),
    ],
)
def test_interpretations_compute_what_they_say(
    network: type[DnCNN] | type[FFDNet], config: DnCNNConfig | FFDNetConfig
) -> None:
    torch.manual_seed(0)
    built = network(config)  # type: ignore[arg-type]
    weights = Weights(
        name="x", network=network, config=config, task="denoise", tensors=built.state_dict()
    )
    noisy, sigma = torch.rand(1, 3, 8, 8), torch.tensor([0.1])
    way = Interpretation(role="negative noise", scale=255, order="BGR")
    with torch.inference_mode():
        ours = interpreted(weights, way).build()(noisy, sigma)
        theirs = built(255 * noisy.flip(1), 255 * sigma).flip(1) / 255
    torch.testing.assert_close(ours, noisy + theirs, rtol=1e-4, atol=1e-4)
    assert F.mse_loss(ours, noisy) > 0
