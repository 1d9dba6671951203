"""A detector gives the same verdicts whichever engine runs it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from restore.anomaly.measure import verdict_change
from restore.anomaly.part import Part
from restore.anomaly.runner import Detector
from restore.models.autoencoder import Autoencoder, AutoencoderConfig
from restore.models.draem import Draem, DraemConfig
from restore.weights.store import Weights

NETWORKS = (
    Draem(DraemConfig(channels=1, reconstructor=(4, 6), discriminator=(6, 8), smoothing=5)),
    Autoencoder(AutoencoderConfig(channels=1, window=32, latent=4, loss="ssim")),
)


def weights_of(network: torch.nn.Module) -> Weights:
    torch.manual_seed(0)
    built = type(network)(network.config)
    return Weights(
        name="tiny",
        network=type(network),
        config=network.config,
        task="anomaly",
        tensors=built.state_dict(),
        provenance={"calibration": {"scores": [0.1, 0.2], "target_fpr": 0.4}},
    )


def opened(monkeypatch: pytest.MonkeyPatch, weights: Weights, engine: str) -> Detector:
    monkeypatch.setenv("IMRESTORE_ENGINE", engine)
    detector = Detector(weights, device="cpu")
    assert detector.network.runner.engine == engine
    assert detector.network.runner.precision == "fp32"
    return detector


@pytest.mark.parametrize("network", NETWORKS, ids=["draem", "ae"])
def test_openvino_gives_the_verdicts_of_pytorch(
    network: torch.nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    weights = weights_of(network)
    rng = np.random.default_rng(0)
    parts = [Part(pixels=rng.random((1, side, 70), dtype=np.float32)) for side in (33, 40, 64)]
    slow = opened(monkeypatch, weights, "pytorch")
    scores = sorted(slow(part).score for part in parts)
    calibration = {"scores": [(scores[0] + scores[1]) / 2], "target_fpr": 0.4}
    weights = replace(weights, provenance={"calibration": calibration})
    slow, fast = (opened(monkeypatch, weights, engine) for engine in ("pytorch", "openvino"))
    change = verdict_change(slow, fast, parts)
    assert change.parts == 3
    assert change.preserves_verdicts
    assert change.shift < 1e-3
    assert len({slow(part).verdict for part in parts}) == 2
    np.testing.assert_allclose(fast(parts[0]).scores, slow(parts[0]).scores, atol=1e-4)


def test_the_low_scores_of_good_parts_keep_their_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    weights = weights_of(NETWORKS[0])
    weights.tensors["discriminator.tail.bias"] -= 20
    part = Part(pixels=np.random.default_rng(0).random((1, 40, 40), dtype=np.float32))
    slow, fast = (opened(monkeypatch, weights, engine) for engine in ("pytorch", "openvino"))
    assert 0 < slow(part).score < 1e-7
    np.testing.assert_allclose(fast(part).scores, slow(part).scores, rtol=1e-3)


def test_half_precision_runs_only_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMRESTORE_ENGINE", raising=False)
    weights = weights_of(NETWORKS[0])
    assert Detector(weights, device="cpu").network.runner.precision == "fp32"
    half = Detector(weights, device="cpu", precision="bf16").network.runner
    assert (half.precision, half.engine) == ("bf16", "pytorch")


def test_changed_verdicts_are_counted() -> None:
    weights = weights_of(NETWORKS[0])
    part = Part(pixels=np.random.default_rng(0).random((1, 40, 40), dtype=np.float32))
    detector = Detector(weights, device="cpu")
    score = detector(part).score
    strict, lax = (Detector(weights, threshold=share * score, device="cpu") for share in (0.5, 2))
    change = verdict_change(strict, lax, [part, part])
    assert (change.parts, change.changed) == (2, 2)
    assert not change.preserves_verdicts
