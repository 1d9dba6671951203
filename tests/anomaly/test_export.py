"""An exported detector gives the maps, scores and verdicts of an inspection."""

import json
from typing import Any

import numpy as np
import pytest
import torch

from restore.anomaly.export import DetectorGraph, graph_of
from restore.anomaly.part import Part
from restore.anomaly.regions import regions_above
from restore.anomaly.roi import RegionOfInterest
from restore.anomaly.runner import Detector
from restore.anomaly.task import TASK
from restore.anomaly.texture import TextureMemory
from restore.errors import WeightsError
from restore.models.autoencoder import Autoencoder, AutoencoderConfig
from restore.models.draem import Draem, DraemConfig
from restore.weights.store import Weights

DRAEM = Draem(DraemConfig(channels=3, reconstructor=(4, 6), discriminator=(6, 8), smoothing=5))
WINDOWED = Autoencoder(AutoencoderConfig(channels=1, window=32, latent=4, loss="ssim"))
SIZES = ((48, 64), (37, 53), (90, 41), (33, 33), (60, 100))


def weights_of(network: torch.nn.Module, **inspection: object) -> Weights:
    torch.manual_seed(0)
    usual = {"scale": 1, "edge_factors": [2.5, 2.0, 1.5, 1.5]}
    return Weights(
        name="tiny",
        network=type(network),
        config=network.config,
        task="anomaly",
        tensors=type(network)(network.config).state_dict(),
        provenance={
            "calibration": {"scores": [0.69, 0.7, 0.71], "target_fpr": 0.3},
            "inspection": usual | inspection,
        },
    )


def parts(channels: int, count: int) -> list[Part]:
    """Parts of several sizes, some with values that are no numbers."""
    rng = np.random.default_rng(0)
    made = []
    for index in range(count):
        pixels = rng.random((channels, *SIZES[index % len(SIZES)]), dtype=np.float32)
        if index % 7 == 0:
            pixels[0, 3, 4] = np.nan
        made.append(Part(pixels=pixels))
    return made


def texture(channels: int, box: tuple[int, int, int, int] | None = None) -> dict[str, object]:
    rng = np.random.default_rng(1)
    pictures = [
        torch.from_numpy(rng.normal(0.5, rng.uniform(0.05, 0.06), (channels, 48, 64)).clip(0, 1))
        for _ in range(24)
    ]
    memory = TextureMemory.of([each.float() for each in pictures], rng.random(24) + 0.5, box=box)
    assert memory is not None
    return memory.as_mapping()


BOX = RegionOfInterest.parse("5,4,24,20").as_mapping()


@pytest.mark.parametrize(
    ("network", "inspection"),
    [
        (DRAEM, {}),
        (DRAEM, {"scale": 3}),
        (DRAEM, {"scale": 4, "roi": BOX}),
        (DRAEM, {"texture": texture(3)}),
        (DRAEM, {"texture": texture(3, (5, 4, 37, 30)), "scale": 2}),
        (WINDOWED, {}),
        (WINDOWED, {"scale": 2, "roi": BOX}),
    ],
    ids=[
        "draem",
        "draem at a third",
        "draem in a box",
        "textures",
        "texture in a box",
        "windows",
        "windows in a box",
    ],
)
def test_the_graph_computes_what_an_inspection_does(
    network: torch.nn.Module, inspection: dict[str, object]
) -> None:
    weights = weights_of(network, **inspection)
    detector = Detector(weights, device="cpu")
    graph = DetectorGraph(detector)
    for part in parts(weights.channels, 7):
        expected = detector(part)
        with torch.inference_mode():
            scores, score = graph(torch.from_numpy(part.pixels)[None])
        np.testing.assert_allclose(scores[0].numpy(), expected.scores, atol=1e-4)
        assert float(score[0]) == pytest.approx(expected.score, abs=1e-4)


def run(data: bytes, part: Part) -> tuple[np.ndarray, float]:
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    scores, score = session.run(["map", "score"], {"picture": part.pixels[None]})
    return scores[0], float(score[0])


def test_fifty_parts_get_the_same_verdicts_from_the_file() -> None:
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    from restore.weights.export import to_onnx

    weights = weights_of(DRAEM, scale=2, roi=BOX, texture=texture(3))
    exported = to_onnx(weights, TASK)
    session = onnxruntime.InferenceSession(exported.data, providers=["CPUExecutionProvider"])
    stored = session.get_modelmeta().custom_metadata_map
    every = parts(3, 50)
    middle = float(np.median([Detector(weights, device="cpu")(part).score for part in every]))
    detector = Detector(weights, threshold=middle, device="cpu")
    verdicts = []
    for part in every:
        expected = detector(part)
        scores, score = session.run(["map", "score"], {"picture": part.pixels[None]})
        np.testing.assert_allclose(scores[0], expected.scores, atol=1e-4)
        assert float(score[0]) == pytest.approx(expected.score, abs=1e-4)
        if abs(expected.score - middle) > 1e-5:
            assert (float(score[0]) > middle) == expected.is_defective
            verdicts.append(expected.is_defective)
    assert {True, False} == set(verdicts)
    assert exported.difference is not None
    assert exported.difference < 1e-4
    assert float(stored["threshold"]) == Detector(weights, device="cpu").threshold
    assert json.loads(stored["calibration"])["scores"] == [0.69, 0.7, 0.71]
    assert json.loads(stored["channels"]) == 3
    assert (stored["name"], stored["architecture"]) == ("tiny", "Draem")
    assert {"imrestore", "torch", "weights", "edge_factors", "scale", "roi"} <= set(stored)


@pytest.mark.slow
def test_an_autoencoder_is_exported_for_pictures_of_any_size() -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    from restore.weights.export import to_onnx

    weights = weights_of(WINDOWED)
    exported = to_onnx(weights, TASK)
    detector = Detector(weights, device="cpu")
    for part in parts(1, 5):
        scores, score = run(exported.data, part)
        np.testing.assert_allclose(scores, detector(part).scores, atol=1e-4)
        assert score == pytest.approx(detector(part).score, abs=1e-4)


def test_what_is_not_in_the_graph_is_said() -> None:
    mask = np.zeros((40, 50), np.bool_)
    mask[10:20, 10:30] = True
    region = RegionOfInterest((10, 10, 20, 10), mask)
    graph: Any = graph_of(weights_of(DRAEM, min_area=9, roi=region.as_mapping()))
    assert graph.size == (40, 50)
    (remark,) = graph.remarks
    assert "fewer than 9 pixels" in remark
    assert json.loads(graph.metadata["min_area"]) == 9


def test_with_a_least_area_verdicts_follow_from_the_map_of_the_graph() -> None:
    weights = weights_of(DRAEM, min_area=40)
    threshold = float(np.median([Detector(weights)(part).score for part in parts(3, 10)]))
    detector = Detector(weights, threshold=threshold, device="cpu")
    graph = DetectorGraph(detector)
    for part in parts(3, 10):
        with torch.inference_mode():
            scores, _ = graph(torch.from_numpy(part.pixels)[None])
        found, _ = regions_above(scores[0].numpy(), threshold, 40)
        expected = detector(part)
        if abs(expected.score - threshold) > 1e-5:
            assert bool(found) == expected.is_defective


def test_weights_without_a_threshold_are_not_exported() -> None:
    weights = weights_of(DRAEM)
    del weights.provenance["calibration"]
    with pytest.raises(WeightsError, match="never calibrated"):
        graph_of(weights)
