"""Where on a part defects count: regions of interest, least areas, and what overrides them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from restore.anomaly.network import InspectionNetwork
from restore.anomaly.regions import mask_above, part_score, regions_above
from restore.anomaly.roi import RegionOfInterest
from restore.anomaly.view import WHOLE, View
from restore.engine.placement import Placement
from restore.errors import InputError, UsageError, WeightsError
from restore.models.draem import Draem, DraemConfig
from restore.weights.store import Weights


def mask_file(path: Path, inside: np.ndarray) -> Path:
    Image.fromarray(np.uint8(255) * inside.astype(np.uint8)).save(path)
    return path


def speckled(*areas: tuple[int, float]) -> np.ndarray:
    """A map of squares that do not touch: ``(side, score)``."""
    scores = np.zeros((12, 20 * len(areas)), np.float32)
    for index, (side, score) in enumerate(areas):
        scores[2 : 2 + side, 20 * index : 20 * index + side] = score
    return scores


def test_a_place_of_two_by_two_pixels_need_not_reject_a_part() -> None:
    scores = speckled((2, 9.0), (3, 5.0), (4, 2.0))
    assert part_score(scores) == part_score(scores, 1) == part_score(scores, 4) == 9
    assert part_score(scores, 5) == 5
    assert part_score(scores, 10) == 2
    assert part_score(scores, 17) == 0, "no region is as large"
    regions, too_small = regions_above(scores, 1.0, 5)
    assert [region.area for region in regions] == [9, 16]
    assert too_small == 1
    assert mask_above(scores, 1.0, 5).sum() == 25


@pytest.mark.parametrize("min_area", [2, 3, 7, 30])
def test_the_score_is_above_a_threshold_exactly_if_a_region_is_large_enough(min_area: int) -> None:
    rng = np.random.default_rng(0)
    scores = np.round(rng.random((30, 40), dtype=np.float32), 2)
    score = part_score(scores, min_area)
    for threshold in np.linspace(0, 1, 41, dtype=np.float32):
        has_region = bool(regions_above(scores, float(threshold), min_area)[0])
        assert (score > threshold) == has_region == mask_above(scores, threshold, min_area).any()


def test_a_map_smaller_than_the_least_area_rejects_nothing() -> None:
    assert part_score(np.ones((3, 3), np.float32), 10) == 0


def test_a_box_is_read_and_refused_in_a_sentence() -> None:
    region = RegionOfInterest.parse("4, 2,5,3")
    assert region.box == (4, 2, 5, 3)
    inside = region.inside(10, 20)
    assert inside.sum() == 15
    assert inside[2:5, 4:9].all()
    for wrong in (
        "",
        "1,2,3",
        "1,2,0,4",
        "-1,2,3,4",
        "a,b,c,d",
        "1,2,3,4,5",
        "1,2,3,9999999999999",
    ):
        with pytest.raises(UsageError, match="give x,y,width,height"):
            RegionOfInterest.parse(wrong)
    with pytest.raises(InputError, match=r"small\.png: has 8x10 pixels, fewer than the region"):
        region.inside(10, 8, "small.png")


def test_a_mask_of_another_size_is_refused_with_both_sizes(tmp_path: Path) -> None:
    white = np.zeros((10, 20), np.bool_)
    white[3:6, 4:9] = True
    region = RegionOfInterest.read(mask_file(tmp_path / "mask.png", white))
    np.testing.assert_array_equal(region.inside(10, 20), white)
    assert region.box == (4, 3, 5, 3)
    with pytest.raises(InputError, match=r"a.png: has 20x11 pixels, the mask .* 20x10"):
        region.inside(11, 20, "a.png")
    with pytest.raises(UsageError, match="nothing is white"):
        RegionOfInterest.read(mask_file(tmp_path / "black.png", np.zeros((4, 4), np.bool_)))


@pytest.mark.parametrize("kind", ["box", "mask"])
def test_what_is_stored_is_what_was_given(kind: str) -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((40, 30)) > 0.5
    given = RegionOfInterest.parse("3,4,5,6") if kind == "box" else RegionOfInterest(
        (0, 0, 30, 40), mask
    )  # fmt: skip
    view = View(roi=given, min_area=7)
    again = View.from_mapping(view.as_mapping())
    assert again.min_area == 7
    assert again.roi is not None
    np.testing.assert_array_equal(again.roi.inside(40, 30), given.inside(40, 30))
    assert View.from_mapping({}).as_mapping() == WHOLE.as_mapping() == {}


@pytest.mark.parametrize(
    "values",
    [
        {"roi": 3}, {"roi": {}}, {"roi": {"box": [1, 2, 3]}}, {"roi": {"mask": "no"}},
        {"roi": {"mask": 5}}, {"alignment": []}, {"alignment": {"mode": "rotation"}},
        {"min_area": -1}, {"min_area": "4"}, {"min_area": True},
    ],
)  # fmt: skip
def test_stored_settings_that_make_no_sense_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(WeightsError, match="is invalid"):
        View.from_mapping(values)


def test_stored_settings_are_overridden_one_by_one() -> None:
    stored = View(roi=RegionOfInterest.parse("0,0,4,4"), min_area=5)
    assert stored.overridden().as_mapping() == stored.as_mapping()
    other = stored.overridden(roi="1,1,2,2")
    assert other.roi is not None
    assert other.roi.box == (1, 1, 2, 2)
    assert other.min_area == 5
    assert stored.overridden(roi="off").roi is None
    with pytest.raises(UsageError, match="hold no mean good part"):
        stored.overridden(align="translation")
    with pytest.raises(UsageError, match="align sideways: use off, translation, rotation"):
        stored.overridden(align="sideways")


def test_settings_that_break_the_promise_of_the_threshold_are_named() -> None:
    stored = View(roi=RegionOfInterest.parse("0,0,4,4"), min_area=5)
    assert stored.departures(stored) == []
    assert WHOLE.overridden(roi="0,0,4,4", min_area=9).departures(WHOLE) == [], "scores only fall"
    changed = stored.overridden(roi="off", min_area=0).departures(stored)
    assert [name in line for name, line in zip(["region of", "least area"], changed, strict=True)]


@pytest.fixture(scope="module")
def network() -> Weights:
    torch.manual_seed(0)
    config = DraemConfig(channels=1, reconstructor=(4, 6), discriminator=(6, 8), smoothing=5)
    tensors = Draem(config).state_dict()
    return Weights(name="tiny", network=Draem, config=config, task="anomaly", tensors=tensors)


@pytest.mark.parametrize("scale", [1, 3])
def test_nothing_outside_counts(network: Weights, scale: int) -> None:
    part = np.random.default_rng(0).random((1, 60, 80), dtype=np.float32)
    placement = Placement(device="cpu", precision="fp32")
    view = View(roi=RegionOfInterest.parse("10,20,30,25"))
    whole = InspectionNetwork(network, placement, scale=scale)(part)
    inside = InspectionNetwork(network, placement, scale=scale, view=view)(part)
    expected = np.zeros_like(whole.scores)
    expected[20:45, 10:40] = whole.scores[20:45, 10:40]
    np.testing.assert_allclose(inside.scores, expected, atol=1e-5)
    assert inside.score == pytest.approx(float(expected.max()))
    with pytest.raises(InputError, match="fewer than the region of interest"):
        InspectionNetwork(network, placement, view=view)(part[:, :30])
