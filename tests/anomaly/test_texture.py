"""Parts whose texture as a whole is unusual score higher."""

from typing import Any

import numpy as np
import pytest
import torch

from restore.anomaly import texture
from restore.anomaly.texture import LEAST_SIDE_PX, TextureMemory
from restore.errors import WeightsError

PEAKS = list(np.random.default_rng(3).lognormal(0, 0.5, 40))


def good(seed: int, size: tuple[int, int] = (90, 110), channels: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    level, grain = rng.uniform(0.4, 0.5), rng.uniform(0.03, 0.05)
    return rng.normal(level, grain, (channels, *size)).clip(0, 1).astype(np.float32)


def ground(seed: int) -> np.ndarray:
    """A part with faint streaks all over it, each within its grain."""
    streaks = np.repeat(np.random.default_rng(1).normal(0, 0.03, (1, 1, 110)), 90, axis=1)
    return (good(seed) + streaks).clip(0, 1).astype(np.float32)


def memory(channels: int = 1, box: tuple[int, int, int, int] | None = None) -> TextureMemory:
    pictures = [torch.from_numpy(good(seed, channels=channels)) for seed in range(40)]
    made = TextureMemory.of(pictures, PEAKS, box=box)
    assert made is not None
    return made


def test_an_unusual_texture_raises_scores_and_other_good_parts_do_not() -> None:
    known = memory()
    usual = [float(known.factor(good(seed))) for seed in range(100, 120)]
    unusual = [float(known.factor(ground(seed))) for seed in range(100, 110)]
    assert min(unusual) > 1.3 * max(usual)
    assert 0.8 < np.median(usual) < 1.3


def test_a_picture_in_bands_is_described_as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    known, part = memory(), good(7, (203, 75))
    whole = known.factor(part)
    monkeypatch.setattr(texture, "_ROWS_AT_ONCE", 32)
    assert known.factor(part) == pytest.approx(whole, rel=1e-5)


def test_it_is_the_same_from_a_file() -> None:
    known = memory(3)
    stored = TextureMemory.from_mapping(known.as_mapping(), channels=3)
    for seed in range(3):
        part = good(seed + 50, channels=3)
        assert stored.factor(part) == known.factor(part)


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (31, 33), (LEAST_SIDE_PX, 47)])
def test_pictures_of_any_size_have_a_texture(size: tuple[int, int]) -> None:
    part = good(1, size)
    part[0, 0, 0] = np.nan
    assert np.isfinite(memory().factor(part))


def test_outside_its_box_nothing_counts() -> None:
    known, part = memory(box=(10, 20, 64, 50)), good(60)
    changed = part.copy()
    changed[:, :20] = 1
    changed[:, :, 74:] = 0
    assert known.factor(changed) == known.factor(part)
    assert memory().factor(changed) > memory().factor(part)


def test_many_channels_are_described_by_their_mean() -> None:
    known = memory(channels=5)
    assert known.mean.size == memory().mean.size
    assert np.isfinite(known.factor(good(1, channels=5)))


def test_parts_that_have_no_texture_in_common_hardly_use_it() -> None:
    """Large defects on such parts are not conspicuous among all that differs between them."""
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(40):
        patches = rng.random((1, 1, 5, 5)) > 0.5
        field = np.repeat(np.repeat(patches, 20, axis=2), 20, axis=3)[0]
        pictures.append(torch.from_numpy((rng.random() * field).astype(np.float32)))
    known = TextureMemory.of(pictures, PEAKS)
    assert known is None or known.power < 0.2 * memory().power


def test_few_parts_and_parts_without_variation_have_no_memory() -> None:
    pictures = [torch.from_numpy(good(seed)) for seed in range(19)]
    assert TextureMemory.of(pictures, PEAKS) is None
    assert TextureMemory.of(3 * pictures[:1] * 10, PEAKS) is None
    assert TextureMemory.of(2 * pictures, [0.0] * 38) is None


@pytest.mark.parametrize(
    "change",
    [
        {"mean": ""}, {"power": -1}, {"power": "2"}, {"usual": 0}, {"box": [0, 0, 0, 4]},
        {"box": "all"}, {"places": None}, {"whitening": "AAAA"},
    ],
)  # fmt: skip
def test_an_invalid_memory_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(WeightsError, match="memory of textures is invalid"):
        TextureMemory.from_mapping(memory().as_mapping() | change, channels=1)
    with pytest.raises(WeightsError, match="memory of textures is invalid"):
        TextureMemory.from_mapping(memory().as_mapping(), channels=2)
