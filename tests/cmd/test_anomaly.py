"""`imrestore anomaly` on files and folders."""

import csv
import json
import re
import signal
import subprocess
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from restore.models.autoencoder import Autoencoder, AutoencoderConfig
from restore.models.draem import Draem, DraemConfig
from restore.weights import Weights, save_weights

Run = Callable[..., SimpleNamespace]
Part = Callable[..., Path]
Weigh = Callable[..., str]
KINDS = ("maps", "masks", "overlays", "reconstructions", "thumbnails")


@pytest.fixture
def model(darkness_weights: Weigh) -> str:
    return darkness_weights("dark")


@pytest.fixture
def part(workplace: Path) -> Callable[..., Path]:
    """Write a light part, if wished with a black hole of 10x8 pixels at (left 20, top 12)."""

    def write(name: str, *, hole: bool = False, width: int = 64, height: int = 48) -> Path:
        path = workplace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        values = np.full((height, width), 200, np.uint8)
        if hole:
            values[12:20, 20:30] = 0
        Image.fromarray(values).save(path)
        return path

    return write


def pixels(path: str | Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def records(report: str = "report") -> list[dict[str, object]]:
    lines = Path(report, "results.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_a_hole_is_found_where_it_is(run: Run, part: Part, model: str) -> None:
    part("in/bad.png", hole=True)
    part("in/sub/good.png")
    ended = run("anomaly", "in", "-r", "--model", model, "-o", "report")
    assert (ended.code, ended.out) == (0, "")
    assert "1 defective of 2; report/report.html" in ended.err
    bad, good = records()
    assert (bad["source"], bad["verdict"]) == ("in/bad.png", "defective")
    assert (good["source"], good["verdict"], good["regions"]) == ("in/sub/good.png", "good", [])
    (region,) = bad["regions"]
    # The stand-in sees blocks of two pixels and averages over four.
    assert abs(region["left"] - 20) <= 2
    assert abs(region["top"] - 12) <= 2
    assert abs(region["width"] - 10) <= 4
    assert abs(region["height"] - 8) <= 4
    assert region["peak"] == pytest.approx(bad["score"])
    assert bad["relative_score"] == pytest.approx(bad["score"] / bad["threshold"], rel=1e-4)
    assert bad["relative_score"] > 1 > good["relative_score"]


def test_every_file_of_the_report_agrees_with_the_records(run: Run, part: Part, model: str) -> None:
    part("in/bad.png", hole=True)
    part("in/good.png")
    run("anomaly", "in", "--model", model, "-o", "report")
    for record in records():
        scores = tifffile.imread(f"report/{record['map']}")
        assert (scores.dtype, scores.shape) == (np.float32, (48, 64))
        assert scores.max() == pytest.approx(record["score"], rel=1e-5)
        mask = pixels(f"report/{record['mask']}")
        np.testing.assert_array_equal(mask == 255, scores > record["threshold"])
        assert sum(region["area"] for region in record["regions"]) == (mask > 0).sum()
        assert pixels(f"report/{record['overlay']}").shape[:2] == (48, 64)
        assert pixels(f"report/{record['reconstruction']}").shape[:2] == (48, 64)
    with Path("report/results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["verdict"] for row in rows] == ["defective", "good"]
    assert json.loads(rows[0]["boxes"]) == records()[0]["regions"]
    assert [int(row["regions"]) for row in rows] == [1, 0]


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.addresses += [v or "" for key, v in attributes if key in ("src", "href")]


def test_the_page_needs_no_other_file_and_no_network(run: Run, part: Part, model: str) -> None:
    part("in/bad & <b>.png", hole=True)
    part("in/good.png")
    run("anomaly", "in", "--model", model, "-o", "report")
    page = Path("report/report.html").read_text()
    links = Links()
    links.feed(page)
    pictures = [each for each in links.addresses if each.startswith("data:image/jpeg;base64,/9j/")]
    others = [each for each in links.addresses if not each.startswith("data:")]
    assert len(pictures) == 2
    assert links.scripts == 0
    assert others
    assert not any(":" in each for each in others), "links lead into the report"
    from urllib.parse import unquote

    assert all(Path("report", unquote(each)).is_file() for each in others)
    assert "<b>.png" not in page
    assert "bad &amp; &lt;b&gt;.png" in page
    assert "prefers-color-scheme: dark" in page
    assert page.index("bad &amp;") < page.index("in/good.png"), "highest score first"


@pytest.mark.parametrize(("hole", "code"), [(True, 3), (False, 0)])
def test_fail_on_anomaly_says_so_by_exit_code(
    run: Run, part: Part, model: str, hole: bool, code: int
) -> None:
    part("in/a.png", hole=hole)
    assert run("anomaly", "in", "--model", model, "-o", "r", "--fail-on-anomaly").code == code
    again = run(
        "anomaly", "in", "--model", model, "-o", "r", "--fail-on-anomaly", "--skip-existing"
    )
    assert again.code == code, "earlier finds count"


def test_what_cannot_be_inspected_fails_alone(run: Run, part: Part, model: str) -> None:
    """Colour, damage and a missing file in the middle: one line each, the others are done."""
    part("in/a.png")
    Path("in/b.png").write_text("not a picture")
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save("in/c.png")
    part("in/d.png", hole=True, width=33, height=70)
    ended = run("anomaly", "in", "missing.png", "--model", model, "-o", "r", "--fail-on-anomaly")
    assert ended.code == 1
    lines = ended.err.splitlines()
    assert "in/b.png: is not a picture" in lines[0]
    assert (
        "in/c.png: has 3 channels (colour); dark was trained on pictures of 1 channel" in lines[1]
    )
    assert "missing.png" in lines[2]
    verdicts = {record["source"]: record["verdict"] for record in records("r")}
    assert verdicts == {
        "in/a.png": "good", "in/b.png": "failed", "in/c.png": "failed", "in/d.png": "defective",
        "missing.png": "failed",
    }  # fmt: skip
    assert "Not inspected" in Path("r/report.html").read_text()


def test_16_bit_and_float_pictures_are_inspected_as_they_are(run: Run, model: str) -> None:
    values = np.full((40, 40), 50_000, np.uint16)
    values[10:18, 10:18] = 0
    Path("in").mkdir()
    Image.fromarray(values).save("in/deep.png")
    tifffile.imwrite("in/float.tif", values.astype(np.float32) / 65535)
    run("anomaly", "in", "--model", model, "-o", "r")
    deep, real = records("r")
    assert deep["verdict"] == real["verdict"] == "defective"
    assert deep["score"] == pytest.approx(real["score"], rel=1e-5)


def test_the_threshold_follows_the_rate(run: Run, part: Part, model: str) -> None:
    """39 good scores 0.01 .. 0.39: rank 40 (1 - rate)."""
    part("a.png")
    for option, expected in (([], 0.38), (["--fpr", "0.5"], 0.2), (["--threshold", "7"], 7.0)):
        run("anomaly", "a.png", "--model", model, "-o", "r", "--overwrite", *option)
        assert records("r")[0]["threshold"] == pytest.approx(expected)


def test_a_rate_that_cannot_be_promised_is_said_so(run: Run, part: Part, model: str) -> None:
    part("a.png")
    ended = run("anomaly", "a.png", "--model", model, "-o", "r", "--fpr", "0.001")
    assert "39 held-out good parts cannot promise 0.001 false alarms" in ended.err
    assert "39 held-out good parts cannot promise" in Path("r/report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.png", "-o", "r"], "give --model FILE, trained with"),
        (["a.png", "-o", "-", "--model", "M"], "a report is a folder"),
        (["a.png", "-o", "a.png", "--model", "M"], "a report needs a folder"),
        (["-o", "r", "--model", "M"], "give pictures or folders to inspect"),
        (["a.png", "-o", "r", "--model", "M", "--fpr", "2"], "false-alarm rate 2"),
        (["a.png", "-o", "r", "--model", "M", "--threshold", "-1"], "threshold -1"),
        (["a.png", "-o", "r", "--model", "M", "--fpr", "0.1", "--threshold", "1"], "not both"),
        (["a.png", "-o", "r", "--model", "M", "-q", "-v"], "contradict"),
        (["a.png", "-o", "r", "--model", "resunet-gray"], "are for denoise, not for anomaly"),
        (["a.png", "-o", "r", "--model", "M", "--sample", "2"], "leave the inputs out"),
        (["-o", "r", "--model", "M", "--sample", "2"], "only variational autoencoders"),
    ],
)
def test_wrong_usage_is_one_line_and_writes_nothing(
    run: Run, part: Part, model: str, arguments: list[str], message: str
) -> None:
    part("a.png")
    ended = run("anomaly", *[model if each == "M" else each for each in arguments])
    assert ended.code == 2
    (line,) = ended.err.splitlines()
    assert message in line
    assert not Path("r").exists()


def test_weights_that_were_never_calibrated_need_a_threshold(
    run: Run, part: Part, darkness_weights: Weigh
) -> None:
    part("a.png", hole=True)
    raw = darkness_weights("raw", provenance={})
    ended = run("anomaly", "a.png", "--model", raw, "-o", "r")
    assert ended.code == 2
    assert "raw: was never calibrated on good parts; give --threshold" in ended.err
    assert run("anomaly", "a.png", "--model", raw, "-o", "r", "--threshold", "1").code == 0
    assert records("r")[0]["verdict"] == "defective"


@pytest.mark.parametrize(
    "provenance",
    [{"calibration": [1]}, {"calibration": {"scores": "x"}}, {"inspection": {"scale": 10**9}}],
)
def test_hostile_weights_are_refused(
    run: Run, part: Part, darkness_weights: Weigh, provenance: dict[str, object]
) -> None:
    part("a.png")
    bad = darkness_weights("bad", provenance=provenance)
    ended = run("anomaly", "a.png", "--model", bad, "-o", "r", "--threshold", "1")
    assert ended.code == 2
    assert "bad: a " in ended.err
    assert "makes no sense" in ended.err


def test_a_report_is_not_replaced_unasked(run: Run, part: Part, model: str) -> None:
    part("a.png")
    part("b.png", hole=True)
    run("anomaly", "a.png", "--model", model, "-o", "r")
    before = Path("r/report.html").read_bytes()
    refused = run("anomaly", "b.png", "--model", model, "-o", "r")
    assert refused.code == 2
    assert "r: holds a report already" in refused.err
    assert Path("r/report.html").read_bytes() == before
    assert run("anomaly", "b.png", "--model", model, "-o", "r", "--overwrite").code == 0
    assert [record["source"] for record in records("r")] == ["b.png"]


def tree(report: str) -> dict[str, bytes]:
    paths = sorted(path for path in Path(report).rglob("*") if path.is_file())
    return {str(path.relative_to(report)): path.read_bytes() for path in paths}


def test_a_stopped_run_goes_on_to_the_same_report(run: Run, part: Part, model: str) -> None:
    for index in range(4):
        part(f"in/{index}.png", hole=index % 2 == 1, width=40 + index)
    run("anomaly", "in", "--model", model, "-o", "whole")
    run("anomaly", "in/0.png", "in/1.png", "--model", model, "-o", "parts")
    # What a kill in the middle leaves: a line cut short, a map without a record, no tables.
    lines = Path("parts/results.jsonl")
    lines.write_text(lines.read_text() + '{"source": "in/2.pn')
    Path("parts/maps/2.tif").write_bytes(b"half")
    Path("parts/report.html").unlink()
    resumed = run("anomaly", "in", "--model", model, "-o", "parts", "--skip-existing")
    assert "2 done, 2 skipped" in resumed.err
    assert tree("parts") == tree("whole")


def test_results_of_earlier_runs_stay_in_the_report(run: Run, part: Part, model: str) -> None:
    part("a.png", hole=True)
    part("b.png")
    run("anomaly", "a.png", "--model", model, "-o", "r")
    run("anomaly", "b.png", "--model", model, "-o", "r", "--skip-existing")
    assert {record["source"] for record in records("r")} == {"a.png", "b.png"}
    page = Path("r/report.html").read_text()
    assert page.count("data:image/jpeg;base64,/9j/") == 2


def test_verdicts_of_two_thresholds_do_not_mix(run: Run, part: Part, model: str) -> None:
    part("a.png", hole=True)
    part("b.png")
    run("anomaly", "a.png", "--model", model, "-o", "r")
    before = tree("r")
    ended = run("anomaly", "b.png", "--model", model, "-o", "r", "--skip-existing", "--fpr", "0.2")
    assert ended.code == 2
    assert "r: was made with other weights or another threshold" in ended.err
    assert tree("r") == before


def test_standard_input_is_inspected(
    spawn: Callable[..., "subprocess.Popen[bytes]"], part: Part, model: str
) -> None:
    process = spawn("anomaly", "-", "--model", model, "-o", "r", stdin=subprocess.PIPE)
    _, messages = process.communicate(part("a.png", hole=True).read_bytes(), timeout=120)
    assert process.returncode == 0, messages.decode()
    (record,) = records("r")
    assert (record["source"], record["verdict"]) == ("-", "defective")
    assert record["map"] == "maps/stdin.tif"


def test_inputs_are_never_overwritten(run: Run, part: Part, model: str) -> None:
    photo = part("r/masks/a.png")
    before = photo.read_bytes()
    ended = run("anomaly", "r/masks/a.png", "--model", model, "-o", "r", "--overwrite")
    assert ended.code == 2
    assert "is the input r/masks/a.png" in ended.err
    assert photo.read_bytes() == before


def test_the_report_is_not_inspected_itself(run: Run, part: Part, model: str) -> None:
    part("a.png")
    run("anomaly", ".", "-r", "--model", model, "-o", "report")
    run("anomaly", ".", "-r", "--model", model, "-o", "report", "--overwrite")
    assert [record["source"] for record in records()] == ["a.png"]


def test_two_inputs_of_one_name_are_refused_before_work(run: Run, part: Part, model: str) -> None:
    part("in/a.png")
    part("in/a.bmp")
    ended = run("anomaly", "in", "--model", model, "-o", "r")
    assert ended.code == 2
    assert "would both be written to" in ended.err
    assert not Path("r").exists()


def test_dry_run_writes_nothing(run: Run, part: Part) -> None:
    part("in/a.png")
    ended = run("anomaly", "in", "--model", "none", "-o", "r", "--dry-run")
    assert (ended.code, ended.out) == (0, "in/a.png -> r/maps/a.tif\n")
    assert not Path("r").exists()


def test_json_tells_of_every_picture(run: Run, part: Part, model: str) -> None:
    part("in/a.png", hole=True)
    Path("in/b.png").write_text("no")
    ended = run("anomaly", "in", "--model", model, "-o", "r", "--json", "-q")
    done, failed = [json.loads(line) for line in ended.out.splitlines()]
    assert done["verdict"] == "defective"
    assert len(done["regions"]) == 1
    assert (done["model"], done["device"], done["status"]) == ("dark", "cpu", "done")
    assert failed["status"] == "failed"


def test_shards_share_a_folder_but_no_table(run: Run, part: Part, model: str) -> None:
    for name in "abc":
        part(f"in/{name}.png")
    for shard in ("1/2", "2/2"):
        assert run("anomaly", "in", "--model", model, "-o", "r", "--shard", shard).code == 0
    names = {path.name for path in Path("r").glob("*.jsonl")}
    assert names == {"results-1-of-2.jsonl", "results-2-of-2.jsonl"}
    assert len(list(Path("r/maps").iterdir())) == 3


def test_a_scaled_detector_reports_in_the_pictures_own_pixels(
    run: Run, darkness_weights: Weigh
) -> None:
    provenance = {"inspection": {"scale": 4}}
    coarse = darkness_weights("coarse", provenance=provenance)
    values = np.full((203, 301), 200, np.uint8)
    values[80:120, 160:200] = 0
    Image.fromarray(values).save("big.png")
    run("anomaly", "big.png", "--model", coarse, "-o", "r", "--threshold", "2")
    (record,) = records("r")
    (region,) = record["regions"]
    assert abs(region["left"] - 160) <= 12
    assert abs(region["left"] + region["width"] - 200) <= 12
    assert tifffile.imread("r/maps/big.tif").shape == (203, 301)


def test_parts_of_many_channels_are_inspected(run: Run, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = DraemConfig(channels=5, reconstructor=(4,), discriminator=(4,))
    network = Draem(config)
    path = tmp_path / "five.safetensors"
    save_weights(
        Weights(
            name="five", architecture="Draem", config=config, task="anomaly",
            tensors=network.state_dict(),
        ),
        path,
    )  # fmt: skip
    values = np.random.default_rng(0).integers(0, 65535, (5, 30, 40), dtype=np.uint16)
    tifffile.imwrite("m.tif", values, photometric="minisblack", planarconfig="separate")
    ended = run("anomaly", "m.tif", "--model", str(path), "-o", "r", "--threshold", "9")
    assert ended.code == 0, ended.err
    assert tifffile.imread("r/reconstructions/m.tif").shape == (5, 30, 40)


@pytest.fixture
def vae(tmp_path: Path) -> str:
    torch.manual_seed(0)
    config = AutoencoderConfig(window=32, latent=4, loss="l2", variational=True)
    network = Autoencoder(config)
    path = tmp_path / "vae.safetensors"
    save_weights(
        Weights(
            name="vae", architecture="Autoencoder", config=config, task="anomaly",
            tensors=network.state_dict(),
        ),
        path,
    )  # fmt: skip
    return str(path)


def test_samples_are_drawn_from_the_latent_space(run: Run, vae: str) -> None:
    assert run("anomaly", "--sample", "3", "--model", vae, "-o", "drawn").code == 0
    first = {path.name: pixels(path) for path in Path("drawn").iterdir()}
    assert sorted(first) == ["sample-0001.png", "sample-0002.png", "sample-0003.png"]
    assert all(picture.shape == (32, 32) for picture in first.values())
    assert (first["sample-0001.png"] != first["sample-0002.png"]).any()
    run("anomaly", "--sample", "3", "--model", vae, "-o", "again")
    run("anomaly", "--sample", "3", "--model", vae, "-o", "other", "--seed", "5")
    one, again, other = (
        pixels(f"{folder}/sample-0001.png") for folder in ("drawn", "again", "other")
    )
    assert (one == again).all()
    assert (one != other).any()
    refused = run("anomaly", "--sample", "3", "--model", vae, "-o", "drawn")
    assert refused.code == 2
    assert "exists already" in refused.err


def test_ctrl_c_stops_within_two_seconds_and_says_how_to_go_on(
    spawn: Callable[..., "subprocess.Popen[bytes]"], part: Part, tmp_path: Path
) -> None:
    config = DraemConfig(channels=1, reconstructor=(64, 64), discriminator=(64, 64), blocks=4)
    network = Draem(config)
    path = tmp_path / "slow.safetensors"
    save_weights(
        Weights(
            name="slow", architecture="Draem", config=config, task="anomaly",
            tensors=network.state_dict(),
        ),
        path,
    )  # fmt: skip
    part("in/a.png")
    for name in "bcd":
        part(f"in/{name}.png", width=2000, height=1500)
    arguments = ["anomaly", "in", "--model", str(path), "-o", "r", "--threshold", "1"]
    process = spawn(*arguments, "--device", "cpu")
    deadline = time.monotonic() + 120
    while not (Path("r/results.jsonl").exists() and Path("r/results.jsonl").read_text()):
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=60)
    assert time.monotonic() - started < 3
    assert process.returncode == 130
    assert b"--skip-existing does the rest" in messages
    done = [json.loads(line)["source"] for line in Path("r/results.jsonl").read_text().splitlines()]
    assert "in/a.png" in done
    assert not list(Path("r").rglob("*.part"))


def test_bars_of_the_histogram_count_every_part_once() -> None:
    from restore.tasks.anomaly_histogram import histogram

    scores = [0.0, 0.1, 0.5, 0.5, 0.50001, 2.0]
    drawn = histogram(scores, 0.5)
    bars = re.findall(r'class="(good|defective)" .*?<title>(\d+) with', drawn)
    assert sum(int(count) for _, count in bars) == len(scores)
    assert sum(int(count) for kind, count in bars if kind == "defective") == 2
    assert histogram([0.0], 0.0)
    assert histogram([1.0], 50.0)
