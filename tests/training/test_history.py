import csv
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from restore.training.curve import curve_of
from restore.training.history import History
from restore.training.schedule import Figure, Progress


def progress(step: int, *, of: int = 1000, validated: bool = False) -> Progress:
    return Progress(
        step=step,
        progress=step / of,
        elapsed=step / 10,
        loss=1 / (1 + step),
        learning_rate=1e-3,
        validation=30.0 + step / of,
        best=31.0,
        images_per_second=5.0,
        validated=validated,
    )


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "net.history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_long_runs_have_about_two_hundred_rows(tmp_path: Path) -> None:
    history = History(tmp_path / "net.safetensors", resume=False)
    for step in range(1, 1001):
        history(progress(step))
    history.close()
    assert 195 <= len(rows(tmp_path)) <= 205


def test_validations_have_rows_of_their_own(tmp_path: Path) -> None:
    history = History(tmp_path / "net.safetensors", resume=False)
    for step in (1, 2, 3):
        history(progress(step, validated=step == 3))
    history.close()
    assert [row["validation_psnr_db"] for row in rows(tmp_path)] == ["", "30.003"]
    assert [row["step"] for row in rows(tmp_path)] == ["1", "3"]


def test_resumed_run_replaces_what_it_repeats(tmp_path: Path) -> None:
    first = History(tmp_path / "net.safetensors", resume=False)
    for step in (10, 20, 30, 40):
        first(progress(step))
    first.close()
    second = History(tmp_path / "net.safetensors", resume=True)
    for step in (21, 30, 41):
        second(progress(step))
    second.close()
    assert [row["step"] for row in rows(tmp_path)] == ["10", "20", "21", "30", "41"]


def test_new_run_forgets_the_old_one(tmp_path: Path) -> None:
    for step in (10, 5):
        history = History(tmp_path / "net.safetensors", resume=False)
        history(progress(step))
        history.close()
    assert [row["step"] for row in rows(tmp_path)] == ["5"]


@pytest.mark.usefixtures("drawn_curves")
def test_curve_is_drawn(tmp_path: Path) -> None:
    history = History(tmp_path / "net.safetensors", resume=False)
    for step in (100, 200, 300):
        history(progress(step, validated=True))
    with Image.open(tmp_path / "net.history.png") as curve:
        colours = curve.convert("RGB").getcolors(1 << 24)
    assert colours is not None
    assert any(blue > red + 60 for _, (red, _, blue) in colours), "the blue line of the PSNR"
    history.close()


def test_tensorboard_gets_numbers_and_pictures(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    history = History(
        tmp_path / "net.safetensors", resume=False, sheet=lambda: torch.rand(3, 20, 60)
    )
    history(progress(100, validated=True))
    history(progress(200))
    history.close()
    events = accumulator.EventAccumulator(str(tmp_path / "net.tensorboard")).Reload()
    assert [event.step for event in events.Scalars("loss")] == [100, 200]
    assert [event.value for event in events.Scalars("validation_psnr_db")] == [
        pytest.approx(30.1, abs=1e-4)
    ]
    (picture,) = events.Images("noisy, restored, clean")
    assert (picture.width, picture.height) == (60, 20)


@pytest.mark.parametrize(
    "text",
    [b"\xff\xfe", b"step,seconds\n", b"step,seconds,loss,learning_rate,validation_psnr_db\nx,,,,\n",
     b"step,seconds,loss,learning_rate,validation_psnr_db\n1,0,0,=cmd,\n", b"0" * (2 << 20)],
    ids=["bytes", "columns", "words", "formula", "long"],
)  # fmt: skip
def test_a_table_of_something_else_is_not_continued(
    tmp_path: Path, text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "net.history.csv").write_bytes(text)
    history = History(tmp_path / "net.safetensors", resume=True)
    history(progress(5))
    if text != b"step,seconds\n":
        assert "is no history of this run; it begins anew" in caplog.text
    assert [row["step"] for row in rows(tmp_path)] == ["5"]


def test_a_full_disk_ends_tensorboard_and_not_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    writer = pytest.importorskip("tensorboard.summary.writer.record_writer").RecordWriter
    history = History(tmp_path / "net.safetensors", resume=False)
    history(progress(10))

    def fail(_self: object, _record: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer, "write", fail)
    for step in (20, 30):
        history(progress(step))
    history.close()
    (line,) = caplog.messages
    assert line.endswith("training goes on without it: No space left on device")
    assert [row["step"] for row in rows(tmp_path)] == ["10", "20", "30"]


def test_a_folder_that_cannot_be_made_for_tensorboard_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("tensorboard")
    (tmp_path / "net.tensorboard").write_text("in the way")
    history = History(tmp_path / "net.safetensors", resume=False)
    for step in (10, 20):
        history(progress(step))
    history.close()
    assert len(caplog.messages) == 1


def test_losses_below_zero_are_drawn() -> None:
    figure = Figure(key="score", name="score", unit="")
    assert figure.label == "score"

    rows = [{"step": str(step), "loss": f"-{step}", "score": ""} for step in (1, 2, 3)]
    with Image.open(io.BytesIO(curve_of(rows, figure))) as curve:
        inside = np.asarray(curve.convert("RGB"))[:, 150:-150]
    assert (inside == 127).all(axis=2).sum() > 300
