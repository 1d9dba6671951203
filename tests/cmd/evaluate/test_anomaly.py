"""`imrestore evaluate anomaly` on small sets in MVTec's layout."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

Run = Callable[..., SimpleNamespace]

pytestmark = pytest.mark.usefixtures("tests")


def write(path: Path, *, hole: tuple[int, int, int, int] | None, level: int = 200) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.full((48, 64), level, np.uint8)
    if hole:
        top, left, height, width = hole
        values[top : top + height, left : left + width] = 0
    Image.fromarray(values).save(path)


@pytest.fixture
def tests(workplace: Path) -> None:
    """Four good parts, of which one is darker; two kinds of defect, one of them half invisible."""
    folder = workplace / "set"
    for index in range(4):
        write(folder / f"test/good/{index}.png", hole=None, level=120 if index == 3 else 200)
    holes = {"hole": (12, 20, 8, 12), "crack": (30, 4, 4, 40)}
    for kind, (top, left, height, width) in holes.items():
        for index in range(2):
            is_seen = kind == "hole" or index == 0
            visible = (top, left, height, width) if is_seen else None
            write(folder / f"test/{kind}/{index}.png", hole=visible)
            mask = np.zeros((48, 64), np.uint8)
            mask[top : top + height, left : left + width] = 255
            path = folder / f"ground_truth/{kind}/{index}_mask.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(path)


def figures(run: Run, *arguments: str) -> dict:
    ended = run("evaluate", "anomaly", "set", "--json", *arguments)
    assert ended.code == 0, ended.err
    return json.loads(ended.out)


def test_figures_of_a_case_that_is_known(run: Run, model: str) -> None:
    """The darker good part scores below holes and cracks, the unseen crack as other good ones."""
    result = figures(run, "--model", model)
    by_kind = {kind["kind"]: kind for kind in result["kinds"]}
    assert list(by_kind) == ["crack", "hole", "all"]
    assert by_kind["hole"]["image_auroc"] == 1.0
    # Pairs of the seen crack: 4 won. Of the unseen one: 3 even, 1 lost to the darker part.
    assert by_kind["crack"]["image_auroc"] == pytest.approx((4 + 1.5) / 8)
    assert [by_kind[kind]["detected"] for kind in ("crack", "hole", "all")] == [1, 2, 3]
    assert by_kind["hole"]["pixel_auroc"] > 0.9
    assert 0.3 < by_kind["crack"]["au_pro"] < 0.7 < by_kind["hole"]["au_pro"]
    assert (result["good"], result["target_fpr"]) == (4, 0.05)
    assert result["f1"]["f1"] == pytest.approx(6 / 7), "tuned, it would miss the unseen crack only"


def test_false_alarms_are_counted_at_the_shipped_threshold(run: Run, model: str) -> None:
    strict = figures(run, "--model", model)
    assert strict["false_alarms"] in (0, 1)
    lax = figures(run, "--model", model, "--threshold", "0")
    assert lax["false_alarms"] == 4
    assert lax["interval"] == pytest.approx([0.3976, 1.0], abs=1e-3)
    assert lax["target_fpr"] is None


def test_the_table_names_what_is_tuned(run: Run, model: str) -> None:
    ended = run("evaluate", "anomaly", "set", "--model", model)
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    assert lines[0].split()[:3] == ["defect", "parts", "image"]
    assert [line.split()[0] for line in lines[1:4]] == ["crack", "hole", "all"]
    assert any(line.startswith("false alarms") and "95 % interval" in line for line in lines)
    assert any("F1-max" in line and "tuned on the test" in line for line in lines)
    assert any("set for 5 %" in line for line in lines)


def test_without_masks_there_are_figures_of_parts_only(run: Run, model: str) -> None:
    shutil.rmtree("set/ground_truth")
    result = figures(run, "--model", model)
    assert result["kinds"][-1]["image_auroc"] is not None
    assert result["kinds"][-1]["pixel_auroc"] is None
    assert result["kinds"][-1]["au_pro"] is None


def test_of_how_many_parts_the_pixels_are_is_said(run: Run, model: str) -> None:
    Path("set/ground_truth/hole/1_mask.png").rename("set/ground_truth/hole/9_mask.png")
    ended = run("evaluate", "anomaly", "set", "--model", model)
    assert ended.code == 0
    assert "set/ground_truth/hole/9_mask.png: is a mask without a picture in set/test/hole" in (
        ended.err
    )
    lines = ended.out.splitlines()
    assert "hole: the pixel figures are from the 1 of 2 parts that have masks" in lines
    assert "all: the pixel figures are from the 3 of 4 parts that have masks" in lines
    assert not any(line.startswith("crack: the pixel") for line in lines)
    assert [kind["masked"] for kind in figures(run, "--model", model)["kinds"]] == [2, 1, 3]


def test_several_networks_are_measured_side_by_side(
    run: Run, model: str, darkness_weights: Callable[..., str]
) -> None:
    calibration = {"scores": [100.0] * 39, "target_fpr": 0.05}
    blind = darkness_weights("blind", provenance={"calibration": calibration})
    both = ("--model", model, "--model", blind, "--model", model)
    ended = run("evaluate", "anomaly", "set", *both)
    assert ended.code == 0, ended.err
    head, *lines = ended.out.splitlines()
    assert head.split()[:3] == ["model", "defect", "parts"]
    rows = [line.split() for line in lines[:6]]
    assert [row[:2] for row in rows] == [
        [name, kind] for name in ("dark", "blind") for kind in ("crack", "hole", "all")
    ]
    assert [row[7] for row in rows] == ["1", "2", "3", "0", "0", "0"]
    assert {line.split(":")[0] for line in lines[6:] if ": false" in line} == {"dark", "blind"}
    assert "model: dark, blind" in lines
    told = run("evaluate", "anomaly", "set", *both, "--json").out.splitlines()
    first, second = map(json.loads, told)
    assert (first["model"], second["model"]) == ("dark", "blind")
    assert first == figures(run, "--model", model)


def test_one_threshold_is_not_for_several_networks(
    run: Run, model: str, darkness_weights: Callable[..., str]
) -> None:
    both = ("--model", model, "--model", darkness_weights("other"))
    ended = run("evaluate", "anomaly", "set", *both, "--threshold", "1")
    assert ended.code == 2
    assert "give --fpr" in ended.err


def test_what_cannot_be_measured_is_named(run: Run, model: str) -> None:
    Path("set/test/hole/0.png").write_text("not a picture")
    Image.fromarray(np.zeros((5, 5), np.uint8)).save("set/ground_truth/crack/0_mask.png")
    ended = run("evaluate", "anomaly", "set", "--model", model)
    assert ended.code == 1
    assert "set/test/hole/0.png: is not a picture" in ended.err
    assert "0_mask.png: has another size than" in ended.err


@pytest.mark.parametrize(
    ("folder", "message"),
    [("set/test", "has no folder test"), ("nowhere", "has no folder test")],
)
def test_another_layout_is_explained(run: Run, model: str, folder: str, message: str) -> None:
    ended = run("evaluate", "anomaly", folder, "--model", model)
    assert ended.code == 2
    assert message in ended.err
    shutil.rmtree("set/test")
    Path("set/test").mkdir()
    assert "needs a folder good" in run("evaluate", "anomaly", "set", "--model", model).err


def test_good_or_defective_parts_alone_give_the_figures_that_exist(run: Run, model: str) -> None:
    shutil.move("set/test/good", "good")
    defective = figures(run, "--model", model)
    assert [kind["detected"] for kind in defective["kinds"]] == [1, 2, 3]
    assert defective["kinds"][0]["image_auroc"] is None
    assert defective["kinds"][0]["image_auroc_interval"] is None
    assert (defective["good"], defective["interval"], defective["roc"]) == (0, None, [])
    assert any("has no good parts" in remark for remark in defective["remarks"])
    ended = run("evaluate", "anomaly", "set", "--model", model)
    assert "no good part could be scored; detected 3 of 4 at the threshold" in ended.out
    shutil.rmtree("set/test")
    Path("set/test").mkdir()
    shutil.move("good", "set/test/good")
    good = figures(run, "--model", model)
    assert (good["kinds"], good["good"], good["f1"]) == ([], 4, None)
    ended = run("evaluate", "anomaly", "set", "--model", model)
    assert ended.code == 0
    assert "false alarms" in ended.out
    assert "has no defective parts" in ended.err


def test_every_part_has_its_score_and_mistakes_are_listed(run: Run, model: str) -> None:
    result = figures(run, "--model", model)
    assert [part["kind"] for part in result["parts"]] == 4 * ["good"] + 2 * ["crack"] + 2 * ["hole"]
    scores = {part["path"]: part["score"] for part in result["parts"]}
    assert scores["set/test/hole/0.png"] > result["threshold"] > scores["set/test/good/0.png"]
    assert result["missed"] == ["set/test/crack/1.png"]
    strict = figures(run, "--model", model, "--threshold", "0")
    assert strict["alarmed"][0] == "set/test/good/3.png", "the highest score first"
    assert len(strict["alarmed"]) == 4
    assert (
        "missed (1): set/test/crack/1.png"
        in run("evaluate", "anomaly", "set", "--model", model).out.splitlines()
    )
    low, high = result["kinds"][-1]["image_auroc_interval"]
    assert low <= result["kinds"][-1]["image_auroc"] <= high
    rates = [(p["false_positive_rate"], p["true_positive_rate"]) for p in result["roc"]]
    assert rates[0] == (0, 0)
    assert rates[-1] == (1, 1)
    assert rates == sorted(rates)


def test_several_rates_are_measured_in_one_pass(run: Run, model: str) -> None:
    result = figures(run, "--model", model, "--fpr", "0.05", "--fpr", "0.5", "--fpr", "0.01")
    assert [point["target_fpr"] for point in result["points"]] == [0.05, 0.5, 0.01]
    assert result["target_fpr"] == 0.05
    for point in result["points"]:
        alone = figures(run, "--model", model, "--fpr", str(point["target_fpr"]))
        assert alone["points"] == [point]
    assert result["points"][1]["threshold"] < result["points"][0]["threshold"]
    assert "cannot guarantee" in result["points"][2]["shortfall"]


def test_masks_that_are_odd_lose_figures_of_pixels_only(run: Run, model: str) -> None:
    Image.fromarray(np.zeros((5, 5), np.uint8)).save("set/ground_truth/crack/0_mask.png")
    Image.fromarray(np.full((48, 64), 255, np.uint8)).save("set/ground_truth/hole/1_mask.png")
    for path in Path("set/ground_truth/crack").iterdir():
        if path.name != "0_mask.png":
            path.unlink()
    ended = run("evaluate", "anomaly", "set", "--model", model, "--json")
    assert ended.code == 0
    result = json.loads(ended.out)
    assert [kind["parts"] for kind in result["kinds"]] == [2, 2, 4]
    assert [kind["masked"] for kind in result["kinds"]] == [0, 2, 2]
    assert "0_mask.png: has another size than set/test/crack/0.png" in ended.err
    assert "1_mask.png: calls 100 % of the part defective; if it is inverted" in ended.err
    Path("set/ground_truth/crack/0_mask.png").unlink()
    ended = run("evaluate", "anomaly", "set", "--model", model)
    assert ended.code == 0
    assert "set/ground_truth/crack: holds no masks" in ended.err


def test_masks_beside_their_pictures_are_masks(run: Run, model: str) -> None:
    for kind in ("hole", "crack"):
        for path in Path(f"set/ground_truth/{kind}").iterdir():
            path.rename(f"set/test/{kind}/{path.name}")
    shutil.rmtree("set/ground_truth")
    ended = run("evaluate", "anomaly", "set", "--model", model, "--json")
    result = json.loads(ended.out)
    assert [kind["parts"] for kind in result["kinds"]] == [2, 2, 4]
    assert [kind["masked"] for kind in result["kinds"]] == [2, 2, 4]
    assert "taken for masks, not for parts: 2 pictures called NAME_mask" in ended.err
