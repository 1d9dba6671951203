"""Score maps of large pictures, tile by tile."""

from collections import deque
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from restore.anomaly import network as inspection
from restore.anomaly.edges import EdgeProfile
from restore.anomaly.network import InspectionNetwork
from restore.anomaly.regions import part_score
from restore.anomaly.roi import RegionOfInterest
from restore.anomaly.scale import shrunk
from restore.anomaly.view import View
from restore.engine.lane import TileTooLarge
from restore.engine.placement import Placement
from restore.engine.torch_lanes import TorchLane
from restore.models.autoencoder import Autoencoder, AutoencoderConfig
from restore.models.draem import Draem, DraemConfig
from restore.weights.store import Weights

SMALL = DraemConfig(channels=1, reconstructor=(4, 6), discriminator=(6, 8), smoothing=5)
WINDOWED = AutoencoderConfig(channels=1, window=32, latent=4, loss="l2")


@pytest.fixture(autouse=True)
def _pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    """What tiles and lanes are given is watched in PyTorch's."""
    monkeypatch.setenv("IMRESTORE_ENGINE", "pytorch")


def weights(network: torch.nn.Module) -> Weights:
    return Weights(
        name="tiny",
        network=type(network),
        config=network.config,
        task="anomaly",
        tensors=network.state_dict(),
    )


@pytest.fixture(scope="module")
def draem() -> Weights:
    torch.manual_seed(0)
    return weights(Draem(SMALL))


def network_of(
    weights: Weights, *, scale: int = 1, tile: str | int = "auto", precision: str = "auto"
) -> InspectionNetwork:
    placement = Placement(device="cpu", precision=precision, tile=tile)
    return InspectionNetwork(weights, placement, scale=scale)


def part(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).random((1, height, width), dtype=np.float32)


@pytest.mark.parametrize(("height", "width"), [(150, 211), (64, 64), (3, 5), (1, 1)])
@pytest.mark.parametrize("tile", [16, 50])
def test_tiled_map_has_no_seams(draem: Weights, height: int, width: int, tile: int) -> None:
    whole = network_of(draem, tile=4096)(part(height, width))
    tiled = network_of(draem, tile=tile)(part(height, width))
    np.testing.assert_allclose(tiled.scores, whole.scores, atol=1e-5)
    np.testing.assert_allclose(tiled.reconstruction, whole.reconstruction, atol=1e-5)
    assert whole.scores.shape == (height, width)
    assert whole.score == pytest.approx(float(whole.scores.max()))


def test_only_tiles_reach_the_network(draem: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    """So memory does not grow with a picture beyond its own pixels."""
    seen: list[tuple[int, ...]] = []
    run = TorchLane.__call__

    def watched(lane: TorchLane, *crops: np.ndarray) -> np.ndarray:
        seen.append(crops[0].shape)
        return run(lane, *crops)

    monkeypatch.setattr(TorchLane, "__call__", watched)
    network_of(draem, tile=64)(part(300, 500))
    most = 64 + 2 * Draem(SMALL).halo
    assert len(seen) == 5 * 8
    assert max(shape[2] for shape in seen) <= most
    assert max(shape[3] for shape in seen) <= -(-most // 16) * 16
    assert {shape[0] for shape in seen} == {1}


def test_scale_looks_at_a_smaller_picture(draem: Weights) -> None:
    network = network_of(draem, scale=4)
    raw, scored = network.raw(part(101, 64)), network(part(101, 64))
    assert raw.scores.shape == (26, 16)
    assert scored.scores.shape == (101, 64)
    assert scored.score == raw.scores.max(), "the peak is kept"


def test_autoencoders_see_pictures_of_any_size() -> None:
    torch.manual_seed(0)
    backend = network_of(weights(Autoencoder(WINDOWED)))
    for size in ((20, 70), (32, 32), (33, 100)):
        scored = backend(part(*size))
        assert scored.scores.shape == size
        assert scored.scores.min() >= 0


def test_values_that_are_no_numbers_do_not_spread(draem: Weights) -> None:
    pixels = part(40, 40)
    pixels[0, 5, 5] = np.nan
    pixels[0, 6, 6] = np.inf
    assert np.isfinite(network_of(draem)(pixels).scores).all()


def test_a_pixel_that_is_no_light_spoils_its_square_no_more_than_in_training(
    draem: Weights,
) -> None:
    """There, pictures are cleaned before they are made smaller."""
    clean = part(40, 40)
    clean[0, 6:8, 6:8] = ((0, 1), (0, 0))
    wild = clean.copy()
    wild[0, 6:8, 6:8] = ((np.nan, 60), (-5, 0))
    backend = network_of(draem, scale=2)
    np.testing.assert_array_equal(backend(wild).scores, backend(clean).scores)


def test_large_pictures_are_made_smaller_without_a_second_one_in_memory(
    draem: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    wild = part(1000, 40)
    wild[0, ::50, 7] = np.nan
    wild[0, 1::50, 9] = 60
    small = shrunk(np.clip(np.nan_to_num(wild), 0, 1), 3)
    expected = network_of(draem).raw(small).scores
    cleaned = Mock(wraps=inspection._clean)
    monkeypatch.setattr(inspection, "_clean", cleaned)
    raw = network_of(draem, scale=3).raw(wild)
    np.testing.assert_array_equal(raw.scores, expected)
    assert max(call.args[0].size for call in cleaned.call_args_list) < wild.size / 2


@pytest.mark.parametrize("network", [Draem(SMALL), Autoencoder(WINDOWED)], ids=["draem", "ae"])
def test_half_precision_scores_nearly_the_same(network: torch.nn.Module) -> None:
    exact, half = (
        network_of(weights(network), precision=precision)(part(48, 64))
        for precision in ("fp32", "bf16")
    )
    np.testing.assert_allclose(half.scores, exact.scores, atol=0.05)
    np.testing.assert_allclose(half.reconstruction, exact.reconstruction, atol=0.05)
    assert half.scores.dtype == np.float32


@pytest.mark.parametrize("network", [Draem(SMALL), Autoencoder(WINDOWED)])
def test_a_device_without_room_gives_way_to_the_processor(
    network: torch.nn.Module, caplog: pytest.LogCaptureFixture
) -> None:
    backend = network_of(weights(network), tile=128)
    expected = backend(part(150, 90))
    full = Mock(device="cuda", side_effect=TileTooLarge)
    tight = network_of(weights(network), tile=128)
    put_into(tight, [full])
    for _ in range(2):
        np.testing.assert_array_equal(tight(part(150, 90)).scores, expected.scores)
    assert caplog.messages == ["cuda ran out of memory; going on with the processor"]
    assert (tight.runner.device, tight.runner.tile) == ("cpu", 128)


@pytest.mark.parametrize("network", [Draem(SMALL), Autoencoder(WINDOWED)], ids=["draem", "ae"])
def test_the_result_is_the_same_in_several_lanes(network: torch.nn.Module) -> None:
    backend = network_of(weights(network), tile=32)
    expected = backend(part(150, 90))
    put_into(backend, [backend.runner._first, *torch_lanes_of(network)])
    assert backend.runner.lanes == 3
    result = backend(part(150, 90))
    np.testing.assert_array_equal(result.scores, expected.scores)
    np.testing.assert_array_equal(result.reconstruction, expected.reconstruction)


def torch_lanes_of(network: torch.nn.Module) -> list[TorchLane]:
    return [network_of(weights(network)).runner._first for _ in range(2)]


def put_into(network: InspectionNetwork, lanes: list[Any]) -> None:
    runner = network.runner
    runner._lanes, runner._free, runner._first = lanes, deque(lanes), lanes[0]


@pytest.mark.parametrize("options", [{}, {"scale": 3}, {"roi": True, "min_area": 5}])
def test_a_part_is_above_a_threshold_exactly_if_its_map_is(
    draem: Weights, options: dict[str, Any]
) -> None:
    """Whatever the edge profile leaves of the map."""
    roi = RegionOfInterest.parse("0,4,70,60") if options.pop("roi", False) else None
    view = View(roi=roi, min_area=options.pop("min_area", 0))
    placement = Placement(device="cpu")
    edges = EdgeProfile((1.5, 1.2))
    plain = InspectionNetwork(draem, placement, view=view, **options)(part(90, 120))
    scored = InspectionNetwork(draem, placement, edges=edges, view=view, **options)(part(90, 120))
    assert (scored.scores < plain.scores).any(), "the relief is seen"
    assert scored.score == part_score(scored.scores, view.min_area)
    assert (scored.scores[0] > 0).any() == (roi is None)
