"""`imrestore anomaly calibrate` as a user runs it."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from restore.anomaly.calibration import Calibration
from restore.anomaly.recalibrate import recalibrate
from restore.anomaly.runner import Detector
from restore.errors import TrainingStopped
from restore.tasks import load

Run = Callable[..., SimpleNamespace]

SHIPPED = "anomaly-magnetic-tile"

pytestmark = pytest.mark.usefixtures("plates")


@pytest.fixture
def plates(workplace: Path) -> Path:
    """Write 24 good plates with grain of their own, and two with a black hole."""
    rng = np.random.default_rng(0)
    for name in [f"good/{i:02}" for i in range(24)] + ["bad/0", "bad/1"]:
        values = rng.normal(150, 6, (48, 64)) + rng.uniform(-8, 8)
        if name.startswith("bad"):
            values[12:24, 20:34] = 0
        path = workplace / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(values.clip(0, 255).astype(np.uint8)).save(path)
    return workplace


def test_a_detector_is_calibrated_without_training(run: Run, model: str) -> None:
    ended = run(
        "anomaly", "calibrate", model, "--good", "good", "--defective", "bad",
        "-o", "new.safetensors", "--json", "--target-fpr", "0.1",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    record = json.loads(ended.out)
    assert (record["parts"], record["target_fpr"]) == (24, 0.1)
    reaching = record["reaching"]
    assert [part["score"] for part in reaching] == sorted(
        (part["score"] for part in reaching), reverse=True
    )
    assert 2 <= len(reaching) <= 3  # of 24, at a rate of 0.1
    assert reaching[-1]["score"] == pytest.approx(record["threshold"])
    assert all(Path(part["file"]).is_file() and not part["stands_out"] for part in reaching)
    assert any("made defects" in line for line in record["remarks"])
    assert all(f"imrestore: {line}" in ended.err for line in record["remarks"])
    assert all(point["missed"] == 0 for point in record["thresholds"])
    rates = [
        point["false_alarms"] / point["good"] for point in record["thresholds"] if point["fpr"]
    ]
    limits = [point["fpr"] for point in record["thresholds"] if point["fpr"]]
    assert all(rate <= limit for rate, limit in zip(rates, limits, strict=True))
    before, after = load(model), load("new.safetensors")
    for key, tensor in before.tensors.items():
        assert tensor.equal(after.tensors[key]), "the network stays as it is"
    assert Calibration.from_mapping(after.provenance["calibration"]).threshold() < 0.39
    Image.new("L", (64, 48)).save("good/black.png")
    ended = run(
        "anomaly", "good", "bad", "--model", "new.safetensors", "-o", "r", "--fail-on-anomaly"
    )
    assert ended.code == 3
    assert "good/black.png: unfamiliar: " in ended.err
    rows = [json.loads(line) for line in Path("r/results.jsonl").read_text().splitlines()]
    verdicts = {row["source"]: row["verdict"] for row in rows}
    assert verdicts["good/black.png"] == "unfamiliar"
    assert verdicts["bad/0.png"] in ("defective", "unfamiliar")
    assert "drift" in json.loads(Path("r/summary.json").read_text())


def test_verdicts_of_the_page_are_read(run: Run, model: str) -> None:
    Path("verdicts.csv").write_text("file,verdict\nbad/0.png,confirmed\ngood/00.png,false alarm\n")
    ended = run(
        "anomaly", "calibrate", model, "--good", "good", "--verdicts", "verdicts.csv",
        "-o", "new.safetensors",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert "0 of 1" in ended.out


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"v.csv": "file,verdict\nbad/0.png,good\n"}, "line 2: expected are the columns"),
        ({"v.csv": "file,verdict\nnowhere.png,confirmed\n"}, "nowhere.png: no such file"),
        ({"v.csv": "a,b\n1,2\n"}, "it has no columns file and verdict"),
    ],
)
def test_other_tables_are_refused(run: Run, model: str, files: dict[str, str], reason: str) -> None:
    for name, text in files.items():
        Path(name).write_text(text)
    ended = run(
        "anomaly", "calibrate", model, "--good", "good", "--verdicts", "v.csv",
        "-o", "new.safetensors",
    )  # fmt: skip
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert reason in ended.err
    assert not Path("new.safetensors").exists()


def test_one_part_copied_often_is_refused(run: Run, model: str) -> None:
    Path("few").mkdir()
    for index in range(30):
        name = f"{min(index, 2):02}.png"
        Path(f"few/{index:02}.png").write_bytes(Path("good", name).read_bytes())
    ended = run("anomaly", "calibrate", model, "--good", "few", "-o", "new.safetensors")
    assert ended.code == 2
    assert "3 usable pictures of good parts, and 27 copies or near-copies of them" in ended.err


def test_an_empty_folder_is_refused(run: Run, model: str) -> None:
    Path("empty").mkdir()
    ended = run("anomaly", "calibrate", model, "--good", "empty", "-o", "new.safetensors")
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert "holds no pictures" in ended.err


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--target-fpr", "0"), "--target-fpr 0.0: give a number from 0.0001 to 0.5"),
        (("--target-fpr", "0.9"), "--target-fpr 0.9: give a number from 0.0001 to 0.5"),
        (("--target-fpr", "0", "--add-good", "good"), "--target-fpr 0: give a number from"),
        (("--time", "1h"), "--time does nothing here: it is for --add-good"),
    ],
)
def test_what_would_be_left_unheard_is_refused(
    run: Run, options: tuple[str, ...], reason: str
) -> None:
    needed = ("--good", "good", "-o", "new.safetensors")
    ended = run("anomaly", "calibrate", SHIPPED, *needed, *options)
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert reason in ended.err
    assert not Path("new.safetensors").exists()


def test_where_memory_is_short_no_options_of_other_commands_are_named(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise MemoryError

    monkeypatch.setattr("restore.training.loop.Trainer.run", fail)
    train = ("--good", "good", "-o", "new.safetensors")
    ended = run("anomaly", "calibrate", SHIPPED, *train, "--add-good", "good")
    assert ended.code != 0
    assert "not enough memory: " in ended.err
    assert "let --device name one with more memory" in ended.err
    assert not any(option in ended.err for option in ("--batch", "--patch", "--accumulate"))
    ended = run("train", "anomaly", *train, "--steps", "1")
    assert "give a smaller --batch or --size, or let each" in ended.err


def test_a_calibration_that_is_stopped_speaks_of_no_checkpoint(model: str, plates: Path) -> None:
    detector = Detector(model, device="cpu")
    with pytest.raises(TrainingStopped) as stopped:
        recalibrate(detector, sorted((plates / "good").iterdir()), should_stop=lambda: True)
    assert str(stopped.value) == "stopped while calibrating; nothing was written"
