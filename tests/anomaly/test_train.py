from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from restore.anomaly.crops import PartCrops
from restore.anomaly.data import Parts, load_parts
from restore.anomaly.defects import with_defects
from restore.anomaly.judge import DefectJudge
from restore.anomaly.losses import draem_loss
from restore.anomaly.perlin import Dice
from restore.anomaly.recipe import AnomalyRecipe, scale_for
from restore.anomaly.roi import RegionOfInterest
from restore.anomaly.runner import Detector
from restore.anomaly.train import train_detector
from restore.anomaly.verdict import Verdict
from restore.anomaly.view import View
from restore.errors import TrainingError, TrainingStopped, UsageError
from restore.models.draem import Draem, DraemConfig
from restore.training.picture_store import PictureStore
from restore.training.schedule import Progress
from restore.training.session import Settings
from restore.training.state import Randomness


@pytest.fixture(autouse=True)
def _pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO would convert every network that is trained here."""
    monkeypatch.setenv("IMRESTORE_ENGINE", "pytorch")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Parts that differ in exposure: a ramp with grain."""
    good = tmp_path / "good"
    good.mkdir()
    rng = np.random.default_rng(0)
    for index in range(40):
        ramp = np.linspace(60, 120, 96) * rng.uniform(0.9, 1.1)
        values = ramp + rng.normal(0, 3, (80, 96))
        Image.fromarray(values.astype(np.uint8)).save(good / f"{index:02d}.png")
    return good


def test_parts_serve_one_purpose_each(folder: Path) -> None:
    parts = load_parts(
        folder, scale=1, target_fpr=0.1, seed=0, store=PictureStore(), warn=lambda _: None
    )
    assert len(parts.calibrating) == 9, "what one false alarm in ten takes"
    assert (len(parts.judging), len(parts.training)) == (2, 29)
    used = [picture.numpy().tobytes() for picture in parts.judging + parts.training]
    assert len(set(used)) == 31
    for path in parts.calibrating:
        with Image.open(path) as image:
            pixels = np.asarray(image).astype(np.float32)[None] / np.float32(255)
        assert pixels.tobytes() not in used


def test_another_seed_keeps_other_parts_out(folder: Path) -> None:
    first, again, other = (
        load_parts(
            folder, scale=1, target_fpr=0.1, seed=seed, store=PictureStore(), warn=lambda _: None
        ).calibrating
        for seed in (0, 0, 1)
    )
    assert first == again != other


def test_parts_beyond_the_memory_are_left_out_of_training_at_random(folder: Path) -> None:
    def load(warn: list[str], most_bytes: int | None = None) -> Parts:
        store = PictureStore(most_bytes=most_bytes)
        return load_parts(folder, scale=1, target_fpr=0.1, seed=0, store=store, warn=warn.append)

    silent: list[str] = []
    whole = load(silent)
    assert not silent
    said: list[str] = []
    limited = load(said, 15 * 80 * 96 * 4)
    (line,) = said
    assert line.startswith("16 of 31 pictures, chosen at random, left out: ")
    assert limited.calibrating == whole.calibrating, "they need no memory"
    learned = [tensor.numpy().tobytes() for tensor in limited.judging + limited.training]
    every = [tensor.numpy().tobytes() for tensor in whole.judging + whole.training]
    assert learned == every[:15], "the order is random, and that without a limit"
    least = load(said, 1)
    assert (len(least.judging), len(least.training)) == (1, 1)


def test_reading_stops_when_asked(folder: Path) -> None:
    asked = iter([False, False, True])
    with pytest.raises(TrainingStopped):
        load_parts(
            folder, scale=1, target_fpr=0.1, seed=0, store=PictureStore(), warn=lambda _: None,
            should_stop=lambda: next(asked),
        )  # fmt: skip


def test_a_folder_of_nothing_usable_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no")
    with pytest.raises(TrainingError, match="0 usable pictures"):
        load_parts(
            tmp_path, scale=1, target_fpr=0.1, seed=0, store=PictureStore(), warn=lambda _: None
        )


def test_crops_of_small_parts_are_mirrored_and_crops_differ() -> None:
    small = torch.arange(20.0).view(1, 4, 5) / 40
    crops = PartCrops([small], patch=6, batch=32)
    drawn = crops(Randomness(0, torch.device("cpu"))).pictures
    assert drawn.shape == (32, 1, 6, 6)
    relative = drawn / drawn.flatten(1).amax(dim=1)[:, None, None, None]
    assert len({tuple(crop.flatten().round(decimals=4).tolist()) for crop in relative}) == 4, (
        "both mirrors of what fills the crop"
    )
    assert drawn.flatten(1).amax(dim=1).std() > 0.02, "exposures differ"


def test_the_edges_of_a_part_are_seen_as_often_as_its_middle() -> None:
    """Crops of a ramp tell where they were cut, whatever their exposure and orientation."""
    ramp = torch.linspace(10, 57, 48)[:, None].expand(48, 48) / 100
    crops = PartCrops([ramp[None]], patch=16, batch=400)
    columns = crops(Randomness(0, torch.device("cpu"))).pictures[:, 0, :, 0]
    rise = columns.diff(dim=1).abs().mean(dim=1)
    centres = columns.mean(dim=1) / rise - 10
    assert (centres - 7.5).abs().lt(0.1).float().mean() > 0.08, "crops at the upper edge"
    assert (centres - 39.5).abs().lt(0.1).float().mean() > 0.08, "crops at the lower edge"
    assert (centres - 23.5).abs().lt(8).float().mean() > 0.3, "crops of the middle"


def loss_of(evidence: torch.Tensor, masks: torch.Tensor, repair: torch.Tensor) -> float:
    network = Draem(DraemConfig(reconstructor=(2,), discriminator=(2,), smoothing=3))
    good = torch.full_like(masks, 0.5)
    return float(draem_loss(network, torch.cat([repair, evidence], dim=1), good, masks))


def test_loss_is_least_for_the_right_answer() -> None:
    masks = torch.zeros(2, 1, 32, 32)
    masks[0, :, 10:14, 10:14] = 1
    right, unsure, wrong = 8 * (2 * masks - 1), torch.zeros_like(masks), 8 * (1 - 2 * masks)
    repaired, spoilt = torch.full_like(masks, 0.5), torch.full_like(masks, 0.7)
    assert loss_of(right, masks, repaired) == pytest.approx(0, abs=1e-3)
    assert loss_of(right, masks, repaired) < loss_of(unsure, masks, repaired)
    assert loss_of(unsure, masks, repaired) < loss_of(wrong, masks, repaired)
    assert loss_of(right, masks, repaired) + 0.03 < loss_of(right, masks, spoilt)


def test_missing_a_small_defect_costs_nearly_as_much_as_a_large_one() -> None:
    repaired = torch.full((1, 1, 64, 64), 0.5)
    costs = []
    for side in (4, 40):
        masks = torch.zeros(1, 1, 64, 64)
        masks[..., :side, :side] = 1
        blind = torch.full_like(masks, -3.0)
        costs.append(loss_of(blind, masks, repaired))
    small, large = costs
    assert small > 0.05 * large, "by its share of pixels it would cost a hundredth"


@pytest.mark.parametrize(
    ("defect_size", "scale"), [(None, 1), (3, 1), (8, 1), (15, 1), (16, 2), (64, 8)]
)
def test_the_smallest_defect_stays_eight_pixels_across(defect_size: int | None, scale: int) -> None:
    assert scale_for(defect_size) == scale


def test_the_judge_does_without_defects_that_do_not_show() -> None:
    rows, columns = torch.meshgrid(torch.arange(160), torch.arange(160), indexing="ij")
    holes = ((rows % 28 - 14) ** 2 + (columns % 28 - 14) ** 2 > 100).float()
    parts = [holes[None] for _ in range(4)]
    judge = DefectJudge(parts, patch=64, seed=0, device=torch.device("cpu"))
    assert len(judge.good) / 2 < len(judge.defective) <= len(judge.good)


def test_the_judge_prefers_a_network_that_sees_defects(folder: Path) -> None:
    parts = load_parts(
        folder, scale=1, target_fpr=0.1, seed=0, store=PictureStore(), warn=lambda _: None
    )
    judge = DefectJudge(parts.judging, patch=64, seed=0, device=torch.device("cpu"))

    class Roughness(torch.nn.Module):
        """Scores a pixel by how much it differs from its surroundings, or by nothing."""

        sees = True

        def inspect(self, pictures: torch.Tensor) -> torch.Tensor:
            blurred = torch.nn.functional.avg_pool2d(pictures, 15, 1, 7, count_include_pad=False)
            scores = (pictures - blurred).abs() if self.sees else torch.zeros_like(pictures)
            return torch.cat([pictures, scores], dim=1)

    sharp = Roughness()
    seen = judge(sharp)
    sharp.sees = False
    assert judge(sharp) == 50.0
    assert seen > 80
    sheet = judge.sheet()
    assert sheet is not None
    assert sheet.shape[0] == 3


def test_no_defects_are_made_outside_the_region_of_interest() -> None:
    rng = torch.Generator().manual_seed(0)
    good = 0.5 + 0.05 * torch.randn(6, 1, 64, 64, generator=rng)
    inside = torch.zeros(6, 1, 64, 64)
    inside[:, :, 20:50, 10:40] = 1
    made = with_defects(good, Dice(rng, rng), share=1, inside=inside)
    assert made.masks.any()
    assert not (made.masks * (1 - inside)).any()
    assert torch.equal(made.pictures * (1 - inside), good * (1 - inside))


def test_the_loss_ignores_what_lies_outside() -> None:
    masks = torch.zeros(2, 1, 32, 32)
    masks[0, :, 10:14, 10:14] = 1
    inside = torch.zeros_like(masks)
    inside[..., 4:20, 4:20] = 1
    network = Draem(DraemConfig(reconstructor=(2,), discriminator=(2,), smoothing=3))
    right = torch.cat([torch.full_like(masks, 0.5), 8 * (2 * masks - 1)], dim=1)
    wild = torch.where(inside > 0, right, right + 9)
    # The similarity of a pixel depends on those around it.
    wild[:, :1] = right[:, :1]
    good = torch.full_like(masks, 0.5)
    first, second = (draem_loss(network, each, good, masks, inside) for each in (right, wild))
    assert float(second) == pytest.approx(float(first), abs=1e-6)
    assert float(draem_loss(network, wild, good, masks)) > float(first) + 0.1
    nothing = draem_loss(network, wild, good, masks * 0, inside * 0)
    assert float(nothing) == pytest.approx(0, abs=1e-6)


def test_crops_are_taken_around_the_region_of_interest() -> None:
    picture = torch.zeros(1, 100, 100)
    inside = torch.zeros(100, 100, dtype=torch.bool)
    inside[80:90, 70:80] = True
    picture[0, inside] = 0.5
    crops = PartCrops([picture], patch=16, batch=40, inside=[inside])
    drawn = crops(Randomness(0, torch.device("cpu")))
    assert torch.equal(drawn.pictures > 0, drawn.inside > 0), "they are cut and mirrored alike"
    assert (drawn.inside.flatten(1).sum(dim=1) > 0).float().mean() > 0.8


def test_parts_that_a_mask_does_not_fit_are_left_out_or_refuse_it(folder: Path) -> None:
    Image.new("L", (50, 50), 90).save(folder / "odd.png")
    said: list[str] = []
    view = View(roi=RegionOfInterest((0, 0, 96, 80), np.ones((80, 96), np.bool_)))
    parts = load_parts(
        folder, scale=1, target_fpr=0.1, seed=0, store=PictureStore(), view=view, warn=said.append
    )
    assert parts.usable == 40
    (line,) = said
    assert "odd.png: has 50x50 pixels, the mask of the region of interest 96x80" in line
    wrong = View(roi=RegionOfInterest((0, 0, 50, 50), np.ones((50, 50), np.bool_)))
    with pytest.raises(UsageError, match=r"00\.png: has 96x80 pixels, the mask"):
        load_parts(
            folder,
            scale=1,
            target_fpr=0.1,
            seed=0,
            store=PictureStore(),
            view=wrong,
            warn=said.append,
        )


def test_training_looks_inside_the_region_only_and_stores_it(folder: Path, tmp_path: Path) -> None:
    region = RegionOfInterest.parse("30,20,40,30")
    recipe = AnomalyRecipe(
        patch=64, batch=2, steps=2, target_fpr=0.1, roi=region.name, min_area=5, scale=2
    )
    path = tmp_path / "part.safetensors"
    train_detector(recipe, path, good=folder, roi=region, settings=Settings(device="cpu"))
    detector = Detector(path)
    assert detector.view.roi is not None
    assert detector.view.roi.box == region.box
    assert detector.view.min_area == 5
    held = load_parts(
        folder,
        scale=2,
        target_fpr=0.1,
        seed=0,
        store=PictureStore(),
        view=detector.view,
        warn=lambda _: None,
    )
    assert detector.calibration is not None
    scores = sorted(detector(path).score for path in held.calibrating)
    assert scores == pytest.approx(detector.calibration.scores, rel=1e-4)
    assert Detector(path, roi="off", min_area=0)(held.calibrating[0]).score > scores[0]


def test_training_aligns_parts_and_leaves_out_those_it_cannot(tmp_path: Path) -> None:
    good = tmp_path / "good"
    good.mkdir()
    rng = np.random.default_rng(0)
    for index in range(14):
        down, right = rng.integers(0, 9, 2)
        values = np.full((72, 80), 50.0)
        values[12 + down : 44 + down, 16 + right : 60 + right] = 150
        values[18 + down : 26 + down, 20 + right : 40 + right] = 230
        Image.fromarray((values + rng.normal(0, 3, (72, 80))).astype(np.uint8)).save(
            good / f"{index:02d}.png"
        )
    Image.fromarray(rng.integers(0, 255, (72, 80), np.uint8)).save(good / "noise.png")
    said: list[str] = []
    path = tmp_path / "part.safetensors"
    train_detector(
        AnomalyRecipe(patch=64, batch=2, steps=1, target_fpr=0.3, align="translation"),
        path,
        good=good,
        settings=Settings(device="cpu"),
        warn=said.append,
    )
    assert [line for line in said if "noise.png: cannot be registered" in line]
    assert Detector(path)(good / "03.png").placed is not None
    lost = Detector(path)(good / "noise.png")
    assert (lost.verdict, lost.is_defective) == (Verdict.UNFAMILIAR, lost.score > lost.threshold)
    assert "cannot be registered to the mean good part" in lost.reason
    assert Detector(path, align="off")(good / "noise.png").placed is None


@pytest.mark.slow
def test_training_learns_to_point_at_defects(folder: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    recipe = AnomalyRecipe(patch=64, batch=8, steps=150, learning_rate=2e-3, target_fpr=0.1)
    weights = train_detector(
        recipe,
        tmp_path / "part.safetensors",
        good=folder,
        settings=Settings(device="cpu"),
        report=seen.append,
    )
    aurocs = [progress.validation for progress in seen if progress.validated]
    assert max(value or 0 for value in aurocs) > 85
    assert seen[-1].loss < 0.85 * seen[1].loss
    assert weights.provenance["calibration"]["pictures"] == 9
