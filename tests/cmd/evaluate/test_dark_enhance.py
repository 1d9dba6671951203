import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import restore
from restore.image.dng import write_cfa_dng
from restore.image.raw_picture import RawPicture

Run = Callable[..., SimpleNamespace]
Models = dict[str, Path]


@pytest.fixture
def photos(workplace: Path) -> Path:
    (workplace / "photos").mkdir()
    small = np.random.default_rng(0).integers(40, 216, (4, 6, 3), dtype=np.uint8)
    big = Image.fromarray(small).resize((96, 64), Image.Resampling.BICUBIC)
    big.save(workplace / "photos/a.png")
    return workplace / "photos"


@pytest.mark.usefixtures("photos")
def test_table_has_every_ratio_and_method(run: Run, isp_weights: Models) -> None:
    ended = run(
        "evaluate", "dark-enhance", "photos", "--model", str(isp_weights["bayer"]), "--ratio", "50"
    )
    assert ended.code == 0
    assert ended.out.split()[:2] == ["network", "LibRaw"]
    assert "\nBayer x50 " in ended.out
    assert "Canon 5D4" in ended.out


@pytest.mark.usefixtures("photos")
def test_records_name_the_method_of_each_figure(run: Run, isp_weights: Models) -> None:
    arguments = ("--model", str(isp_weights["bayer"]), "--ratio", "20,50", "--json")
    picture, means = map(
        json.loads, run("evaluate", "dark-enhance", "photos", *arguments).out.splitlines()
    )
    for scores in (picture["scores"], means["mean"]):
        named = [(score["ratio"], score["method"]) for score in scores]
        assert named[:2] == [(20, "network"), (20, "LibRaw")]
        assert [ratio for ratio, _ in named] == [20] * (len(named) // 2) + [50] * (len(named) // 2)


def test_pairs_are_measured_in_the_protocol_of_the_paper(
    run: Run, isp_weights: Models, sensor: Callable[..., RawPicture]
) -> None:
    for name, level in (("1_10s", 0.8), ("1_0.1s", 0.008), ("2_0.1s", 0.008)):
        Path(f"{name}.dng").write_bytes(write_cfa_dng(sensor("gbrg", level=level, orientation=6)))
    Path("list.txt").write_text("1_0.1s.dng 1_10s.dng\n2_0.1s.dng 2_10s.dng\n")
    arguments = ("--pairs", "list.txt", "--model", str(isp_weights["bayer"]), "--json")
    ended = run("evaluate", "dark-enhance", *arguments)
    assert ended.code == 1
    assert "2_10s.dng" in ended.err
    done, failed, means = map(json.loads, ended.out.splitlines())
    assert done["scores"][0]["ratio"] == 100
    assert done["scores"][0]["method"] == "network"
    assert failed["status"] == "failed"
    assert "Chen et al. 2018" in means["protocol"]
    found = restore.evaluate("dark-enhance", pairs="list.txt", model=isp_weights["bayer"])
    assert found.scores[0]["psnr"] == pytest.approx(done["scores"][0]["psnr"], abs=1e-4)
    assert "2_10s.dng" in found.failures[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "not both"),
        (["photos", "--pairs", "list.txt"], "not both"),
        (["photos", "--ratio", "dark"], "--ratio dark"),
        (["--pairs", "missing.txt"], "missing.txt"),
        (
            ["--pairs", "list.txt", "--ratio", "50"],
            "--ratio is not for --pairs, which are measured as",
        ),
        (["--pairs", "list.txt", "--sensor", "bayer"], "--sensor is not for --pairs"),
        (["--pairs", "list.txt", "--iso", "100"], "--iso is not for --pairs"),
        (["photos", "--sensor", "foveon"], "use bayer or x-trans"),
        (["photos", "--iso", "50"], "--iso 50"),
        (["--pairs", "list.txt", "--seed", "0"], "--seed is not for --pairs"),
    ],
)
def test_wrong_usage_is_one_line(
    run: Run, isp_weights: Models, photos: Path, arguments: list[str], words: str
) -> None:
    assert photos.is_dir()
    ended = run("evaluate", "dark-enhance", *arguments, "--model", str(isp_weights["bayer"]))
    assert ended.code == 2
    assert words in ended.err
    assert ended.err.count("\n") == 1
