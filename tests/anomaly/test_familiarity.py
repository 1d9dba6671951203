"""What is unlike the good parts as a whole is unfamiliar; other good parts are not."""

import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from restore.anomaly.appearance import Onlooker
from restore.anomaly.familiarity import UNFAMILIAR_FPR, Familiarity
from restore.anomaly.part import Part, check_range
from restore.errors import UnsupportedImage, WeightsError
from restore.image.decode import decode
from restore.models.draem import Draem, DraemConfig
from restore.weights.store import weights_of

Pixels = NDArray[np.float32]


def tile(seed: int) -> Pixels:
    """A brushed plate with a round hole, differently lit and placed each time, with grain."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:96, :128]
    middle = 48 + rng.uniform(-3, 3), 64 + rng.uniform(-3, 3)
    brushed = ndimage.gaussian_filter(rng.normal(0, 1, (96, 128)), (0.5, 6))
    hole = np.hypot(y - middle[0], x - middle[1]) < 18
    light = rng.uniform(0.9, 1.1) * (0.45 + 0.001 * x)
    noise = rng.normal(0, 0.01, (96, 128))
    values = light * (1 + 0.15 * brushed / brushed.std()) * (1 - 0.8 * hole) + noise
    return np.clip(values, 0, 1)[None].astype(np.float32)


@pytest.fixture(scope="module")
def onlooker() -> Onlooker:
    torch.manual_seed(0)
    network = Draem(DraemConfig(channels=1, reconstructor=(4,), discriminator=(8, 16)))
    return Onlooker(weights_of(network, name="a", task="anomaly", provenance={}), 1)


@pytest.fixture(scope="module")
def familiarity(onlooker: Onlooker) -> Familiarity:
    return Familiarity.of([onlooker(Part(pixels=tile(seed))) for seed in range(80)])


def test_other_good_parts_are_familiar(onlooker: Onlooker, familiarity: Familiarity) -> None:
    shares = [
        familiarity(onlooker(Part(pixels=tile(seed)))).familiarity for seed in range(100, 160)
    ]
    assert min(shares) > UNFAMILIAR_FPR
    assert 0.25 < np.median(shares) < 0.75, "half of the good parts are as odd as half of them"


ODD: dict[str, tuple[Callable[[Pixels], Pixels], int, str]] = {
    "black": (np.zeros_like, 8, "darker than any good part"),
    "white": (np.ones_like, 8, "brighter than any good part"),
    "flat": (lambda part: np.full_like(part, part.mean()), 8, "less contrast"),
    "noise": (
        lambda part: np.random.default_rng(0).random(part.shape, dtype=np.float32), 8, ""
    ),
    "gradient": (
        lambda part: np.tile(np.linspace(0, 1, part.shape[2], dtype=np.float32), (1, 96, 1)), 8, "",
    ),
    "12 bits in 16": (lambda part: np.rint(part * 4095) / np.float32(65535), 16, "12 bits in 16"),
    "10 bits in 16": (lambda part: np.rint(part * 1023) / np.float32(65535), 16, "10 bits in 16"),
    "inverted": (lambda part: 1 - part, 8, ""),
    "blurred": (
        lambda part: ndimage.gaussian_filter(part, (0, 2, 2)), 8, "more blurred|smoother"
    ),
    "cropped": (lambda part: part[:, 20:60, 30:80], 8, "another (width|height): (50|40) pixels"),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_what_is_no_such_part_is_unfamiliar(
    onlooker: Onlooker, familiarity: Familiarity, name: str
) -> None:
    change, depth, reason = ODD[name]
    pixels = np.ascontiguousarray(change(tile(200)), np.float32)
    judged = familiarity(onlooker(Part(pixels=pixels, bit_depth=depth)))
    assert judged.familiarity < UNFAMILIAR_FPR
    assert judged.reason
    assert re.search(reason, judged.reason)


def test_another_photograph_is_unfamiliar(
    onlooker: Onlooker, familiarity: Familiarity, data: Path
) -> None:
    for path in sorted(data.glob("*.png")):
        photo = decode(path).pixels.mean(axis=0, keepdims=True)[:, :96, :128]
        judged = familiarity(onlooker(Part(pixels=np.ascontiguousarray(photo))))
        assert judged.familiarity < UNFAMILIAR_FPR, path


def test_the_share_falls_with_the_oddity_without_a_jump(familiarity: Familiarity) -> None:
    shares = [familiarity.share_as_odd(oddity) for oddity in np.linspace(-1, 5, 400)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == 1
    assert max(a - b for a, b in itertools.pairwise(shares)) < 0.1
    assert shares[-1] < 1e-4


def test_too_few_parts_for_a_rate_are_told(familiarity: Familiarity) -> None:
    assert familiarity.shortfall(0.02) == ""
    assert "80 good parts guarantee 0.012" in familiarity.shortfall(0.001)


def test_a_weight_file_holds_how_good_parts_look(
    onlooker: Onlooker, familiarity: Familiarity
) -> None:
    again = Familiarity.from_mapping(familiarity.as_mapping(), channels=1)
    look = onlooker(Part(pixels=tile(300)))
    assert again(look).familiarity == pytest.approx(familiarity(look).familiarity, rel=0.02)
    assert again.as_mapping() == familiarity.as_mapping()


@pytest.mark.parametrize(
    "changes",
    [
        {"mean": "!"}, {"mean": ""}, {"mean": 7}, {"centre": [1.0]}, {"spread": [0.0] * 8},
        {"rest": 0}, {"rest": "a"}, {"oddities": []}, {"oddities": [float("nan")] * 20},
        {"places": "AAAA"}, {"directions": "AAAA"}, {"bit_depths": None},
    ],
)  # fmt: skip
def test_invalid_values_are_refused(familiarity: Familiarity, changes: dict[str, Any]) -> None:
    with pytest.raises(WeightsError, match="how good parts look is invalid"):
        Familiarity.from_mapping(familiarity.as_mapping() | changes, channels=1)
    with pytest.raises(WeightsError, match="how good parts look is invalid"):
        Familiarity.from_mapping(familiarity.as_mapping(), channels=3)


def test_colour_is_a_trait_of_colour_pictures() -> None:
    torch.manual_seed(0)
    network = Draem(DraemConfig(channels=3, reconstructor=(4,), discriminator=(8, 16)))
    onlooker = Onlooker(weights_of(network, name="a", task="anomaly", provenance={}), 1)

    def coloured(seed: int, blue: float) -> Part:
        return Part(pixels=np.concatenate([tile(seed), 0.8 * tile(seed), blue * tile(seed)]))

    familiarity = Familiarity.of([onlooker(coloured(seed, 0.5)) for seed in range(40)])
    judged = familiarity(onlooker(coloured(50, 0.75)))
    assert judged.familiarity < UNFAMILIAR_FPR
    assert judged.reason == "more blue than any good part"


def test_samples_beyond_0_to_1_are_refused_with_what_to_do() -> None:
    check_range(Part(pixels=np.array([[[np.nan, np.inf, 1.01, -0.01]]], np.float32)), "a")
    beyond = replace(Part(pixels=tile(0)), pixels=tile(0) * np.float32(255))
    with pytest.raises(UnsupportedImage, match=r"a: has samples from 0 to .*; divide them by 255"):
        check_range(beyond, "a")
