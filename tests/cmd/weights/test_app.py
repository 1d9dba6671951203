import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from imrestore.weights import app
from restore.errors import OutputExists, UsageError, WeightsError
from restore.models.dncnn import DnCNN, DnCNNConfig
from restore.tasks import load
from restore.weights.file import read_weight_file, shipped
from restore.weights.header import HASH_KEY
from restore.weights.store import Weights, save_weights

LOSSES = {name: {str(sigma): 0.001 for sigma in (5, 15, 25, 50)} for name in ("fp16", "bf16")}


def _run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = DnCNNConfig(channels=1, depth=3, width=4)
    weights = Weights(
        name="tiny",
        network=DnCNN,
        config=config,
        task="denoise",
        tensors=DnCNN(config).state_dict(),
        provenance={"recipe": {"sigma": [0, 55]}, "data": {"folder": "photos"}},
        precision_loss_db=LOSSES,
    )
    save_weights(weights, tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors"


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A checkpoint in KAIR's layout, of a network that removes noise by a little blur."""
    blur = torch.tensor([1.0, 2.0, 1.0])
    kernel = blur[:, None] * blur / blur.sum() ** 2
    centre = torch.zeros(3, 3)
    centre[1, 1] = 1.0
    state = {
        "model.0.weight": centre.view(1, 1, 3, 3),
        "model.0.bias": torch.ones(1),  # so that the ReLU passes everything
        "model.2.weight": (centre - kernel).view(1, 1, 3, 3),
        "model.2.bias": torch.zeros(1),
    }
    torch.save(state, tmp_path / "foreign.pth")
    return tmp_path / "foreign.pth"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.linear_gradient("L").resize((48, 48)).save(folder / "a.png")
    return folder


def test_list_has_a_line_per_shipped_network() -> None:
    result = _run("list")
    assert result.exit_code == 0
    head, *rows = result.stdout.splitlines()
    assert head.split()[:3] == ["name", "task", "network"]
    assert [row.split()[0] for row in rows] == shipped()
    records = [json.loads(line) for line in _run("list", "--json").stdout.splitlines()]
    assert [record["name"] for record in records] == shipped()


def test_show_tells_config_origin_and_losses(tiny: Path) -> None:
    result = _run("show", tiny)
    assert result.exit_code == 0
    for words in ("DnCNN", "config.depth", "provenance.data.folder", "photos", "bf16", "0.0010"):
        assert words in result.stdout
    record = json.loads(_run("show", tiny, "--json").stdout)
    assert record["config"]["depth"] == 3
    assert record["parameters"] == load(tiny).parameters
    assert record["noise"] == "Gaussian, sigma 0-55"
    assert record["card"] is None
    assert record["precision_loss_db"] == LOSSES


def test_what_is_not_for_noise_has_none() -> None:
    rows = {row.split()[0]: row for row in _run("list").stdout.splitlines()}
    assert rows["anomaly-magnetic-tile"].endswith("  -")
    assert json.loads(_run("show", "anomaly-magnetic-tile", "--json").stdout)["noise"] is None


def test_show_tells_other_noise(tiny: Path, tmp_path: Path) -> None:
    recipe = {"sigma": [0, 30], "noise": ["camera", "awgn", "jpeg:10-90"]}
    mixed = tmp_path / "mixed.safetensors"
    save_weights(replace(load(tiny), provenance={"recipe": recipe}), mixed)
    record = json.loads(_run("show", mixed, "--json").stdout)
    assert record["noise"] == "camera, Gaussian, sigma 0-30, jpeg:10-90"


def test_sound_weights_pass(tiny: Path) -> None:
    result = _run("verify", tiny)
    assert (result.exit_code, result.stdout.count("\n")) == (0, 1)
    assert result.stdout.startswith("ok tiny: DnCNN, gray")


def test_every_shipped_network_passes() -> None:
    result = _run("verify")
    assert result.exit_code == 0, result.stdout
    assert result.stdout.count("\n") == len(shipped())


def test_verify_stores_the_hash_that_a_file_lacks(tiny: Path) -> None:
    metadata = dict(read_weight_file(tiny).header.metadata)
    del metadata[HASH_KEY]
    save_file(load_file(tiny), tiny, metadata)
    assert "store it with --write" in _run("verify", tiny).stdout
    assert not read_weight_file(tiny).has_hash
    assert _run("verify", tiny, "--write").stdout.endswith("; SHA-256 stored\n")
    assert _run("verify", tiny).stdout.endswith("stored as float32\n")
    tiny.write_bytes(tiny.read_bytes()[:-8] + b"\0\0\0\0\0\0\0\0")
    damaged = _run("verify", tiny, "--write")
    assert damaged.exit_code == 1
    assert "its tensors are damaged" in damaged.stdout


def _nan(weights: Weights) -> Weights:
    weights.tensors["convs.1.bias"][0] = torch.nan
    return weights


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_nan, "not finite"),
        (lambda weights: replace(weights, provenance={}), "where it comes from"),
        (lambda weights: replace(weights, precision_loss_db={}), "not measured"),
        (lambda weights: replace(weights, config=DnCNNConfig(channels=1, depth=4)), "do not fit"),
    ],
)
def test_spoilt_weights_fail_in_one_line(
    tiny: Path, spoil: Callable[[Weights], Weights], words: str
) -> None:
    save_weights(spoil(load(tiny)), tiny, overwrite=True)
    result = _run("verify", tiny)
    assert (result.exit_code, result.stdout.count("\n")) == (1, 1)
    assert re.match(r"FAILED \S*tiny", result.stdout)
    assert words in result.stdout


def test_convert_says_the_layout_and_measures(foreign: Path, tmp_path: Path) -> None:
    output = tmp_path / "ours.safetensors"
    result = _run("convert", foreign, "-o", output)
    assert result.exit_code == 0, result.output
    assert "foreign.pth: KAIR DnCNN, 2 layers, gray, batch norm merged" in result.stdout
    assert "predicts the noise, values from 0 to 1" in result.stdout
    assert "dB at sigma 25" in result.stdout
    weights = load(output)
    assert weights.provenance["tried"]["role"] == "noise"
    assert set(weights.precision_loss_db) == {"fp16", "bf16"}
    assert weights.provenance["converted_from"]["file"] == "foreign.pth"
    assert _run("verify", output).exit_code == 0


def test_convert_stores_as_it_is_told(foreign: Path, tmp_path: Path) -> None:
    output = tmp_path / "ours.safetensors"
    assert _run("convert", foreign, "-o", output, "--dtype", "bfloat16").exit_code == 0
    assert load(output).stored_dtype is torch.bfloat16
    ended = _run("convert", foreign, "-o", output, "--overwrite", "--dtype", "int8")
    assert isinstance(ended.exception, UsageError)


def test_convert_says_what_its_layout_would_have_got_wrong(foreign: Path, tmp_path: Path) -> None:
    state = torch.load(foreign)
    for part in ("weight", "bias"):
        state[f"model.2.{part}"] = -state[f"model.2.{part}"]
    torch.save(state, foreign)
    result = _run("convert", foreign, "-o", tmp_path / "ours.safetensors")
    assert "predicts the noise with a minus sign" in result.stdout
    assert "its layout would say that it predicts the noise" in result.stderr


def test_convert_refuses_before_it_works(foreign: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken.safetensors"
    taken.write_bytes(b"")
    for output, kind in (
        (taken, OutputExists),
        (tmp_path / "ours.pth", UsageError),
        (tmp_path / "none" / "ours.safetensors", UsageError),
    ):
        assert isinstance(_run("convert", foreign, "-o", output).exception, kind)
    assert taken.read_bytes() == b""
    itself = tmp_path / "itself.safetensors"
    itself.write_bytes(foreign.read_bytes())
    ended = _run("convert", itself, "-o", itself, "--overwrite")
    assert isinstance(ended.exception, UsageError)
    assert itself.read_bytes() == foreign.read_bytes()
    output = tmp_path / "ours.safetensors"
    missing = _run("convert", tmp_path / "none.pth", "-o", output)
    assert isinstance(missing.exception, WeightsError)
    assert not output.exists()


def test_measure_prints_and_writes_only_when_told(tiny: Path, pictures: Path) -> None:
    before = tiny.read_bytes()
    result = _run("measure", tiny, "--pictures", pictures)
    assert result.exit_code == 0, result.output
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["loss", "fp16", "bf16"]
    assert tiny.read_bytes() == before
    record = json.loads(_run("measure", tiny, "--pictures", pictures, "--write", "--json").stdout)
    again = load(tiny)
    assert again.precision_loss_db == record["precision_loss_db"] != LOSSES
    assert all(torch.equal(again.tensors[key], value) for key, value in load(tiny).tensors.items())


def test_unknown_name_is_an_error_for_the_program_to_report() -> None:
    for command in ("show", "measure"):
        assert isinstance(_run(command, "no-such-network").exception, WeightsError)
    result = _run("verify", "no-such-network")
    assert result.exit_code == 1
    assert "no such weights" in result.stdout


@pytest.mark.parametrize("command", ["list", "show", "verify", "convert", "measure"])
def test_help_has_examples(command: str) -> None:
    result = _run(command, "--help")
    assert result.exit_code == 0
    assert f"imrestore weights {command}" in result.stdout


def test_export_writes_onnx_and_says_what_it_takes(tiny: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    output = tmp_path / "tiny.onnx"
    result = _run("export", tiny, "-o", output)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{output}: DnCNN, gray")
    assert "pictures of any size; at most" in result.stdout
    assert output.stat().st_size > 0
    assert "exists already" in str(_run("export", tiny, "-o", output).exception)


def test_export_refuses_before_it_works(tiny: Path, tmp_path: Path) -> None:
    for output, words in ((tmp_path / "a.pb", "end in .onnx"), (tmp_path / "no" / "a.onnx", "no ")):
        assert words in str(_run("export", tiny, "-o", output).exception)


def test_round_writes_bf16_numbers_and_what_they_cost(
    tiny: Path, pictures: Path, tmp_path: Path
) -> None:
    output = tmp_path / "rounded.safetensors"
    result = _run("round", tiny, pictures, "-o", output)
    assert result.exit_code == 0, result.stderr
    assert [line.split()[0] for line in result.stdout.splitlines()[1:4]] == [
        "fp16",
        "bf16",
        "fp32,",
    ]
    rounded = load(output)
    assert rounded.precision_loss_db["bf16"].keys() == LOSSES["bf16"].keys()
    assert rounded.provenance["rounded"] == "bfloat16"
    kernel = rounded.tensors["convs.1.weight"]
    torch.testing.assert_close(kernel.bfloat16().float(), kernel, rtol=0, atol=0)
    assert not torch.equal(kernel, load(tiny).tensors["convs.1.weight"])
    assert isinstance(_run("round", tiny, pictures, "-o", output).exception, OutputExists)
    onto_itself = _run("round", output, pictures, "-o", output, "--overwrite").exception
    assert "is the input" in str(onto_itself)


def test_the_end_of_a_file_is_no_silent_end_of_the_program(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from imrestore.__main__ import run

    def end(_: object) -> None:
        raise EOFError("No data left in file")

    monkeypatch.setattr("restore.tasks.load", end)
    assert run(["weights", "show", str(tiny)]) == 70
    assert "a bug: EOFError: No data left in file" in capsys.readouterr().err
