"""What `imrestore anomaly` refuses, and how it says so."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from restore.anomaly.results import Results
from restore.errors import OutputError
from restore.tasks import load
from restore.weights.store import save_weights

Run = Callable[..., SimpleNamespace]
Part = Callable[..., Path]
Weigh = Callable[..., str]
Records = Callable[..., list[dict[str, object]]]
Tree = Callable[[str], dict[str, bytes]]


def test_what_cannot_be_inspected_fails_alone(
    run: Run, part: Part, model: str, records: Records
) -> None:
    """Colour, damage and a missing file in the middle: one line each, the others are done."""
    part("in/a.png")
    Path("in/b.png").write_text("not a picture")
    Image.fromarray(np.full((20, 20, 3), (200, 90, 30), np.uint8)).save("in/c.png")
    part("in/d.png", hole=True, width=33, height=70)
    ended = run(
        "anomaly", "in", "missing.png", "--model", model, "-o", "r", "--fail-on-anomaly",
        "--unfamiliar-fpr", "0",
    )  # fmt: skip
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


def test_nothing_inspected_is_no_clean_bill(run: Run, model: str, workplace: Path) -> None:
    (workplace / "text.png").write_text("not a picture")
    (workplace / "empty").mkdir()
    ended = run("anomaly", "text.png", "empty", "--model", model, "-o", "r", "--json")
    assert ended.code == 1
    assert "empty: holds no pictures" in ended.err
    assert ended.err.splitlines()[-1] == "imrestore: no part was inspected; r/report.html"


def test_a_rate_that_cannot_be_promised_is_said_so(run: Run, part: Part, model: str) -> None:
    part("a.png")
    ended = run("anomaly", "a.png", "--model", model, "-o", "r", "--fpr", "0.001")
    assert "39 held-out good parts cannot guarantee a false-alarm rate of 0.001" in ended.err
    assert "39 held-out good parts cannot guarantee" in Path("r/report.html").read_text()


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
    run: Run, part: Part, darkness_weights: Weigh, records: Records
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
    assert "bad: its " in ended.err
    assert "is invalid" in ended.err


def test_a_report_is_not_replaced_unasked(
    run: Run, part: Part, model: str, records: Records
) -> None:
    part("a.png")
    part("b.png", hole=True)
    run("anomaly", "a.png", "--model", model, "-o", "r")
    before = Path("r/report.html").read_bytes()
    refused = run("anomaly", "b.png", "--model", model, "-o", "r")
    assert refused.code == 2
    assert "r/results.jsonl: exists already; --overwrite replaces, --skip-existing" in refused.err
    assert Path("r/report.html").read_bytes() == before
    assert run("anomaly", "b.png", "--model", model, "-o", "r", "--overwrite").code == 0
    assert [record["source"] for record in records("r")] == ["b.png"]


@pytest.mark.parametrize("option", [[], ["--skip-existing"]])
@pytest.mark.parametrize("name", ["report.html", "results.csv", "results.jsonl"])
def test_files_of_the_users_own_are_not_taken_for_a_report(
    run: Run, part: Part, model: str, tree: Tree, name: str, option: list[str]
) -> None:
    part("a.png")
    Path("r").mkdir()
    Path("r", name).write_text("my own\n")
    before = tree("r")
    ended = run("anomaly", "a.png", "--model", model, "-o", "r", *option)
    assert ended.code == 2
    (line,) = ended.err.splitlines()
    assert f"r/{name}: " in line
    assert "--overwrite" in line
    assert tree("r") == before
    assert run("anomaly", "a.png", "--model", model, "-o", "r", "--overwrite").code == 0


@pytest.mark.parametrize(
    ("was", "planted"),
    [
        ('"verdict": "good"', '"verdict": "<script>alert(1)</script>"'),
        ('"map": "maps/a.tif"', '"map": "maps/../../x.tif"'),
        ('"score": ', '"score": [], "was": '),
    ],
)
def test_records_that_were_tampered_with_are_not_believed(
    run: Run, part: Part, model: str, tree: Tree, was: str, planted: str
) -> None:
    part("a.png")
    run("anomaly", "a.png", "--model", model, "-o", "r")
    lines = Path("r/results.jsonl")
    assert was in lines.read_text()
    lines.write_text(lines.read_text().replace(was, planted))
    before = tree("r")
    ended = run("anomaly", "a.png", "--model", model, "-o", "r", "--skip-existing")
    assert ended.code == 2
    (line,) = ended.err.splitlines()
    assert "r/results.jsonl: line 1: " in line
    assert "use --overwrite or another folder" in line
    assert tree("r") == before


@pytest.mark.parametrize("name", ["maps/a.tif", "masks/a.png", "thumbnails/a.webp"])
def test_results_that_exist_are_refused_before_work(
    run: Run, part: Part, model: str, name: str
) -> None:
    part("a.png")
    mine = Path("r", name)
    mine.parent.mkdir(parents=True)
    mine.write_text("my own")
    ended = run("anomaly", "a.png", "--model", model, "-o", "r")
    assert ended.code == 2
    assert f"r/{name}: exists already" in ended.err
    mine.unlink()
    mine.mkdir()
    ended = run("anomaly", "a.png", "--model", model, "-o", "r", "--overwrite")
    assert ended.code == 2
    assert f"r/{name}: is a folder" in ended.err
    assert not Path("r/results.jsonl").exists()


def test_verdicts_of_two_thresholds_do_not_mix(
    run: Run, part: Part, model: str, tree: Tree
) -> None:
    part("a.png", hole=True)
    part("b.png")
    run("anomaly", "a.png", "--model", model, "-o", "r")
    before = tree("r")
    ended = run("anomaly", "b.png", "--model", model, "-o", "r", "--skip-existing", "--fpr", "0.2")
    assert ended.code == 2
    assert "r: was made with other weights or another threshold" in ended.err
    assert tree("r") == before


@pytest.mark.parametrize("change", ["tensors", {"scale": 2}, {"edge_factors": [1.5]}])
def test_verdicts_of_two_trainings_of_one_name_do_not_mix(
    run: Run, part: Part, model: str, tree: Tree, change: object
) -> None:
    part("a.png", hole=True)
    part("b.png")
    arguments = ("--model", model, "-o", "r", "--skip-existing", "--threshold", "0.5")
    run("anomaly", "a.png", *arguments)
    before = tree("r")
    weights = load(model)
    if change == "tensors":
        tensors = {key: 2 * tensor for key, tensor in weights.tensors.items()}
        weights = replace(weights, tensors=tensors)
    else:
        weights = replace(weights, provenance=weights.provenance | {"inspection": change})
    save_weights(weights, Path(model), overwrite=True)
    ended = run("anomaly", "b.png", *arguments)
    assert ended.code == 2
    assert "r: was made with other weights or another threshold" in ended.err
    assert tree("r") == before


def test_inputs_are_never_overwritten(run: Run, part: Part, model: str) -> None:
    photo = part("r/masks/a.png")
    before = photo.read_bytes()
    ended = run("anomaly", "r/masks/a.png", "--model", model, "-o", "r", "--overwrite")
    assert ended.code == 2
    assert "is the input r/masks/a.png" in ended.err
    assert photo.read_bytes() == before


def test_the_report_is_not_inspected_itself(
    run: Run, part: Part, model: str, records: Records
) -> None:
    part("a.png")
    run("anomaly", ".", "-r", "--model", model, "-o", "report")
    run("anomaly", ".", "-r", "--model", model, "-o", "report", "--overwrite")
    assert [record["source"] for record in records()] == ["a.png"]


@pytest.mark.parametrize("names", [("a.png", "a.bmp"), ("a.png", "a.tiff"), ("a.TIF", "a.tiff")])
def test_two_inputs_of_one_name_are_refused_before_work(
    run: Run, part: Part, model: str, names: tuple[str, str]
) -> None:
    for name in names:
        part(f"in/{name}")
    ended = run("anomaly", "in", "--model", model, "-o", "r")
    assert ended.code == 2
    assert "would both be written to" in ended.err
    assert not Path("r").exists()


def test_a_full_disk_is_told_like_other_failures(
    run: Run, part: Part, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a record nor the page fits: one line for that, and the sum of what was done."""
    part("in/a.png")
    part("in/b.png", hole=True)

    def full(self: Results) -> None:
        raise OutputError(f"{self.page}: cannot be written: No space left on device")

    opened = Path.open

    def open_full(path: Path, mode: str = "r", **options: object) -> object:
        return opened(Path("/dev/full") if path.name == "results.jsonl" else path, mode, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Results, "finish", lambda self, *_: full(self))
        patched.setattr(Path, "open", open_full)
        ended = run(
            "anomaly", "in", "--model", model, "-o", "r", "--fail-on-anomaly",
            "--unfamiliar-fpr", "0",
        )  # fmt: skip
    assert ended.code == 1
    first, second = ended.err.splitlines()
    assert "2 done" in first
    assert "r/report.html: cannot be written: No space left on device" in second
    resumed = run(
        "anomaly", "in", "--model", model, "-o", "r", "--skip-existing", "--unfamiliar-fpr", "0"
    )
    assert resumed.code == 0
    assert "1 defective of 2" in resumed.err


def test_dry_run_writes_nothing(run: Run, part: Part) -> None:
    part("in/a.png")
    ended = run("anomaly", "in", "--model", "none", "-o", "r", "--dry-run")
    assert (ended.code, ended.out) == (0, "in/a.png -> r/maps/a.tif\n")
    assert not Path("r").exists()
