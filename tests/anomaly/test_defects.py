import pytest
import torch

from restore.anomaly import defect_fills as fills
from restore.anomaly import defect_shapes as shapes
from restore.anomaly.defects import KINDS, DefectKind, make_defect, with_defects
from restore.anomaly.made_defects import MadeDefects
from restore.anomaly.perlin import Dice, perlin
from restore.anomaly.recipe import AnomalyRecipe


def dice(seed: int = 0) -> Dice:
    return Dice(torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed + 1))


def parts(count: int = 4, channels: int = 1) -> torch.Tensor:
    rng = torch.Generator().manual_seed(5)
    ramp = torch.linspace(0.3, 0.6, 96).expand(count, channels, 80, 96)
    return ramp + 0.05 * torch.rand(count, channels, 80, 96, generator=rng)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_a_defect_changes_the_part_where_its_mask_says(kind: str, channels: int) -> None:
    """And next to nowhere else: what is left beyond is the fading of its edge."""
    draw, good = dice(), parts(2, channels)
    made = 0
    # This part has hardly any form that could change.
    for _ in range(24 if kind == "form" else 12):
        picture, mask = make_defect(good[0], good[1], KINDS[kind], draw)
        change = (picture - good[0]).abs().amax(dim=0)
        assert picture.min() >= 0
        assert picture.max() <= 1
        if not mask.any():
            assert torch.equal(picture, good[0]), "an invisible defect is not made"
            continue
        made += 1
        assert set(mask.unique().tolist()) <= {0.0, 1.0}
        inside, beyond = change[mask[0] > 0], change[mask[0] == 0]
        assert inside.mean() > 0.005
        if len(beyond):
            assert beyond.mean() < 0.3 * inside.mean()
            assert (beyond == 0).float().mean() > 0.3, "most of it is not touched at all"
    assert made >= 4


def test_large_defects_may_be_fainter_than_small_ones() -> None:
    """A shade that a speck would be lost in shows over a large area, and only there."""

    def disc(radius: float) -> DefectKind:
        rows, columns = torch.arange(160.0)[:, None], torch.arange(160.0)[None, :]
        distance = radius - torch.hypot(rows - 80, columns - 80)
        return DefectKind(lambda *_: distance, {lambda site, _: site.part + shade: 1.0})

    shade = 0.16
    across = torch.arange(160.0)
    streaks = (0.4 + 0.15 * torch.sin(across / 3) * torch.sin(across / 7)).expand(1, 160, 160)
    made = {
        radius: sum(
            bool(make_defect(streaks, streaks, disc(radius), dice(seed))[1].any())
            for seed in range(20)
        )
        for radius in (6.0, 50.0)
    }
    assert made[6.0] < 5 < 10 < made[50.0]


def test_lines_are_thin_and_spots_are_small() -> None:
    draw, good = dice(), parts(2)
    sizes: dict[str, list[float]] = {"line": [], "spot": [], "area": []}
    for kind, seen in sizes.items():
        for _ in range(40):
            _, mask = make_defect(good[0], good[1], KINDS[kind], draw)
            if mask.any():
                seen.append(float(mask.mean()))
    medians = {kind: float(torch.tensor(seen).median()) for kind, seen in sizes.items()}
    assert medians["spot"] < 0.03
    assert medians["line"] < 0.06
    assert medians["area"] > 0.1


def test_about_half_of_the_pictures_stay_good() -> None:
    good = parts(120)
    made = with_defects(good, dice())
    is_defective = made.masks.flatten(1).any(dim=1)
    assert 0.35 < is_defective.float().mean() < 0.65
    for index in (~is_defective).nonzero().flatten():
        assert torch.equal(made.pictures[index], good[index])
    assert not torch.equal(made.pictures, good)


def test_the_same_dice_make_the_same_defects() -> None:
    good = parts()
    first, second = (with_defects(good, dice(3), share=1) for _ in range(2))
    assert torch.equal(first.pictures, second.pictures)
    assert not torch.equal(first.pictures, with_defects(good, dice(4), share=1).pictures)


def test_the_good_parts_are_left_alone() -> None:
    good = parts()
    before = good.clone()
    with_defects(good, dice(), share=1)
    assert torch.equal(good, before)


def test_perlin_noise_is_smooth_and_as_coarse_as_asked() -> None:
    for cell in (4.0, 16.0):
        noise = perlin(128, 128, dice(), cell=(cell, cell))
        assert noise.abs().max() <= 1.01
        assert noise.mean().abs() < 0.1
        steps = (noise[1:] - noise[:-1]).abs().mean() * cell
        assert 0.3 < steps < 1.2, "it changes by about its own size over a cell"


def circuit() -> torch.Tensor:
    """Tracks of copper 14 pixels wide and as far apart, without any grain."""
    rows = (torch.arange(160) % 28 < 14).float()
    return rows[:, None].expand(160, 160)[None].clone()


@pytest.mark.parametrize("kind", ["spot", "piece", "form", "crack"])
def test_small_defects_are_made_on_parts_with_many_edges(kind: str) -> None:
    """Edges are no grain that a defect would be lost in."""
    draw, part = dice(), circuit()
    made = [make_defect(part, part, KINDS[kind], draw)[1].any() for _ in range(40)]
    assert sum(map(bool, made)) > 15


def test_a_piece_of_material_is_a_defect_only_where_there_was_none() -> None:
    """A bridge between two tracks is no defect on the tracks."""
    draw, part = dice(2), circuit()
    made = 0
    for _ in range(30):
        picture, mask = make_defect(part, part, KINDS["piece"], draw)
        if mask.any():
            made += 1
            assert torch.equal(picture != part, (picture != part) & (mask > 0))
            assert ((picture - part).abs() > 0.1)[mask > 0].float().mean() > 0.5
    assert made > 10


def test_a_graft_has_no_seam() -> None:
    """Its level at the border is that of the part, however different the other part is."""
    part, other = torch.full((1, 120, 120), 0.3), torch.full((1, 120, 120), 0.8)
    disc = (torch.hypot(*torch.meshgrid(*[torch.arange(120.0) - 60] * 2, indexing="ij")) < 30) * 1.0
    site = fills.Site(part, other, disc, torch.full((1, 1, 1), 0.3))
    for seed in range(4):
        torch.testing.assert_close(fills.grafted(site, dice(seed)), part, atol=1e-3, rtol=0)


def test_cracks_are_long_thin_and_jagged() -> None:
    shares, sides = [], []
    for seed in range(20):
        inside = shapes.crack(160, 160, dice(seed)) > 0
        if inside.any():
            rows, columns = inside.nonzero(as_tuple=True)
            sides.append(int(max(rows.max() - rows.min(), columns.max() - columns.min())))
            shares.append(float(inside.float().mean()))
    assert sorted(sides)[len(sides) // 2] > 25
    assert max(shares) < 0.04


def test_advice_about_a_continued_detector_names_no_settings_of_its_first_training() -> None:
    useless = MadeDefects({"spot": 4}, {"spot": 0})
    recipe = AnomalyRecipe(model="vae", scale=4, steps=10)
    first = useless.warning(recipe, steps=10, parts=20)
    assert all(word in first for word in ("defect_size", "model", "target_fpr"))
    later = useless.warning(recipe, steps=10, parts=20, continued=True)
    assert "target_fpr" in later
    assert not any(word in later for word in ("defect_size", "model="))
