import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imrestore.__main__ import run


def _evaluate(*arguments: str | Path) -> int:
    return run(["evaluate", "denoise", *map(str, arguments)])


def test_table_holds_every_picture_the_means_and_the_protocol(
    pictures: Path, identity: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _evaluate(pictures, "--model", identity, "--sigma", "10,25") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["sigma", "10", "sigma", "25"]
    assert lines[1].split() == ["picture", "PSNR", "SSIM", "PSNR", "SSIM"]
    rows = {line.split("  ")[0].strip(): line.split()[-4:] for line in lines[2:5]}
    assert set(rows) == {"a.png", "b.png", "mean of 2"}
    for cells in rows.values():
        assert float(cells[0]) == pytest.approx(20 * math.log10(25.5), abs=0.3)
        assert float(cells[2]) == pytest.approx(20 * math.log10(10.2), abs=0.3)
    assert len({len(line) for line in lines[:5]}) == 1
    rest = "\n".join(lines[5:])
    for words in ("model: identity", "precision:", "seed: 0", "sigma known: yes", "clipped nor"):
        assert words in rest


def test_several_networks_share_a_table_with_a_row_for_each(
    pictures: Path, identity: Path, halving: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = ("--model", identity, "--model", halving, "--sigma", "0,25")
    assert _evaluate(pictures, *both) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:3] == ["mean", "of", "2"]
    rows = {line.split()[0]: line.split()[1:] for line in lines[2:4]}
    assert set(rows) == {"identity", "halving"}
    assert rows["identity"][0] == "inf"
    assert float(rows["halving"][0]) == pytest.approx(20 * math.log10(255 / 64), abs=0.1)
    assert lines[4].startswith("PSNR before: inf, 20.")
    assert "model: identity identity, halving halving" in lines


def test_records_keep_several_networks_apart(
    pictures: Path,
    identity: Path,
    halving: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    saved = tmp_path / "kept"
    both = ("--model", identity, "--model", halving, "--sigma", "0,25", "--save", saved)
    assert _evaluate(pictures, *both, "--json", "--limit", "1") == 0
    record, means = map(json.loads, capsys.readouterr().out.splitlines())
    expected = [("identity", 0), ("identity", 25), ("halving", 0), ("halving", 25)]
    assert [(each["model"], each["sigma"]) for each in record["scores"]] == expected
    assert [(each["model"], each["sigma"]) for each in means["mean"]] == expected
    noisy = {each["psnr_noisy"] for each in record["scores"] if each["sigma"]}
    assert len(noisy) == 1, "all see the same noise"
    assert (saved / "halving" / "sigma-25" / "a.png").is_file()


def test_networks_of_one_name_are_called_as_they_were_given(
    pictures: Path, identity: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "x" / "identity.safetensors"
    other.parent.mkdir()
    other.write_bytes(identity.read_bytes())
    both = ("--model", identity, "--model", other, "--sigma", "25", "--json")
    assert _evaluate(pictures, *both, "--limit", "1") == 0
    record, _ = map(json.loads, capsys.readouterr().out.splitlines())
    assert [each["model"] for each in record["scores"]] == [str(identity), str(other)]
    assert _evaluate("--raw", pictures, *both[:4]) == 2
    assert "2 models: give one for denoise-raw" in capsys.readouterr().err


def test_json_has_a_record_per_picture_and_one_of_means(
    pictures: Path, identity: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _evaluate(pictures, "--model", identity, "--sigma", "0,25", "--json") == 0
    first, second, means = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["source"].endswith("a.png")
    assert second["source"].endswith("b.png")
    assert [score["sigma"] for score in first["scores"]] == [0, 25]
    assert first["scores"][0]["psnr"] is None
    for key in ("psnr", "ssim", "psnr_noisy"):
        mean = (first["scores"][1][key] + second["scores"][1][key]) / 2
        assert means["mean"][1][key] == pytest.approx(mean, abs=1e-5)
    assert (means["pictures"], means["failed"], means["seed"]) == (2, 0, 0)
    assert "PSNR over all pixels and channels" in means["protocol"]


def test_seed_decides_the_noise(
    pictures: Path, identity: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def psnrs(seed: int) -> list[float]:
        assert _evaluate(pictures, "--model", identity, "--json", "--seed", str(seed)) == 0
        records = map(json.loads, capsys.readouterr().out.splitlines())
        return [score["psnr"] for r in records if "scores" in r for score in r["scores"]]

    assert psnrs(0) == psnrs(0)
    assert psnrs(0)[3:] == psnrs(1)[:3]


def test_estimated_sigma_is_fed_and_shown(
    pictures: Path, identity: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--model", identity, "--sigma", "20", "--estimate-sigma", "--json")
    assert _evaluate(pictures, *arguments, "--limit", "1") == 0
    record, means = map(json.loads, capsys.readouterr().out.splitlines())
    assert record["scores"][0]["sigma_given"] != 20
    assert record["scores"][0]["sigma_given"] == pytest.approx(20, rel=0.1)
    assert means["sigma_known"] is False
    assert means["pictures"] == 1


def test_unreadable_picture_is_one_line_and_exit_code_1(
    pictures: Path, identity: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures / "broken.png").write_bytes(b"no picture")
    assert _evaluate(pictures, "--model", identity, "--sigma", "25", "--json") == 1
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "broken.png" in captured.err
    records = [json.loads(line) for line in captured.out.splitlines()]
    assert [record.get("status") for record in records] == ["done", "done", "failed", None]
    assert records[-1]["failed"] == 1


def test_reference_scores_finished_outputs(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    codes = np.full((40, 48, 3), 128, np.uint8)
    Image.fromarray(codes + np.uint8(1)).save(outputs / "a.png")
    Image.fromarray(codes + np.uint8(2)).save(outputs / "b.png")
    assert _evaluate(outputs, "--reference", pictures, "--json") == 0
    first, second, means = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["scores"][0]["psnr"] == pytest.approx(20 * math.log10(255), abs=1e-3)
    assert second["scores"][0]["psnr"] == pytest.approx(20 * math.log10(127.5), abs=1e-3)
    mean = (first["scores"][0]["psnr"] + second["scores"][0]["psnr"]) / 2
    assert means["mean"][0]["psnr"] == pytest.approx(mean, abs=1e-5)


def test_pairs_are_measured_before_and_after(
    pictures: Path, identity: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noisy = tmp_path / "noisy"
    noisy.mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (48, 40), (130, 130, 130)).save(noisy / f"{name}.png")
    assert _evaluate(pictures, "--noisy", noisy, "--model", identity) == 0
    out = capsys.readouterr().out
    assert "as captured" in out
    assert "PSNR before: 42.11 dB" in out


def test_jpeg_has_a_column_for_each_quality(
    pictures: Path, identity: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _evaluate(pictures, "--jpeg", "10,90", "--model", identity, "--json") == 0
    *_, means = map(json.loads, capsys.readouterr().out.splitlines())
    assert [mean["quality"] for mean in means["mean"]] == [10, 90]
    assert "libjpeg" in means["protocol"]


def test_output_without_reference_is_exit_code_1(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    Image.open(pictures / "a.png").save(outputs / "a.png")
    assert _evaluate(outputs, "--reference", pictures) == 1
    captured = capsys.readouterr()
    assert "b.png: no output" in captured.err
    assert "mean of 1" in captured.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sigma", "fog"], "--sigma fog"),
        (["--sigma", "25,300"], "from 0 to 255"),
        (["--sigma", "nan"], "from 0 to 255"),
        (["--model", "no-such-network"], "no-such-network"),
        (["--reference", ".", "--sigma", "25"], "--reference"),
        (["--jpeg", "10", "--sigma", "25"], "--sigma and --jpeg"),
        (["--jpeg", "best"], "--jpeg best"),
        (["--jpeg", "0"], "--jpeg 0"),
        (["--noisy", "missing"], "missing"),
        (["--limit", "0"], "limit"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    pictures: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert _evaluate(pictures, *arguments) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.count("\n") == 1
    assert not captured.out


def test_folder_without_pictures_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _evaluate(tmp_path) == 2
    assert "no pictures" in capsys.readouterr().err


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A folder with one colour picture that X-Trans and SSIM are large enough for."""
    folder = tmp_path / "scene"
    folder.mkdir()
    small = np.random.default_rng(0).integers(40, 216, (4, 6, 3), dtype=np.uint8)
    big = Image.fromarray(small).resize((96, 64), Image.Resampling.BICUBIC)
    big.save(folder / "a.png")
    return folder


@pytest.mark.parametrize("sensor", ["Bayer", "X-Trans"])
def test_mosaics_are_compared_with_development_and_with_finished_pictures(
    scene: Path, mosaic_model: Path, capsys: pytest.CaptureFixture[str], sensor: str
) -> None:
    options = ["--json", "--iso", "100,6400", *(["--xtrans"] if sensor == "X-Trans" else [])]
    assert _evaluate("--raw", scene, "--model", mosaic_model, *options) == 0
    picture, means = map(json.loads, capsys.readouterr().out.splitlines())
    named = [(score["iso"], score["method"]) for score in picture["scores"]]
    assert named == [
        (iso, method) for iso in (100, 6400) for method in ("untouched", "network", "denoise")
    ]
    untouched = [each for each in picture["scores"] if each["method"] == "untouched"]
    assert untouched[0]["psnr_mosaic"] > untouched[1]["psnr_mosaic"] + 10
    assert (means["sensor"], means["profile_known"]) == (sensor, True)
    assert "Canon 5D4" in means["protocol"]


def test_options_of_other_noise_are_refused_beside_raw(
    scene: Path, mosaic_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for options in (["--sigma", "25"], ["--gray"], ["--jpeg", "50"]):
        assert _evaluate("--raw", scene, "--model", mosaic_model, *options) == 2
        assert f"{options[0]} is not for --raw" in capsys.readouterr().err
    assert _evaluate(scene, "--iso", "100") == 2
    assert "--iso does nothing here: --raw alone has ISO speeds" in capsys.readouterr().err
