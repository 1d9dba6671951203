"""Weight files that ask for more than they hold are refused before anything is built or read."""

import errno
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from restore.errors import WeightsError
from restore.tasks import load, task_called
from restore.weights.verify import verify

MOST_SECONDS = 5.0
MOST_MEGABYTES = 100
LONGEST = 300

READ = """
import resource, sys
from restore.errors import WeightsError
from restore.weights.file import read_weight_file
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_weight_file(sys.argv[1]).fingerprint("1")
    print("accepted")
except WeightsError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def written(
    path: Path,
    tensors: dict[str, tuple[str, list[int], int]],
    *,
    architecture: str = "DnCNN",
    task: str = "denoise",
    sparse: bool = False,
    **metadata: Any,
) -> Path:
    """Write a file of zeros; tensors are name -> dtype, shape and number of bytes."""
    texts = {"format": "imrestore", "format_version": "1", "architecture": architecture}
    texts |= {"task": task} | {key: json.dumps(value) for key, value in metadata.items()}
    fields: dict[str, Any] = {"__metadata__": texts}
    end = 0
    for name, (dtype, shape, size) in tensors.items():
        fields[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    header = json.dumps(fields).encode()
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        if sparse:
            file.truncate(8 + len(header) + end)
        else:
            file.write(bytes(end))
    return path


def refusal(path: Path) -> str:
    started = time.process_time()
    with pytest.raises(WeightsError) as caught:
        load(path)
    assert time.process_time() - started < MOST_SECONDS
    said = str(caught.value)
    assert len(said) < LONGEST
    assert "\n" not in said
    return said


@pytest.mark.parametrize(
    ("architecture", "task", "config"),
    [
        ("ResUNet", "denoise", {"blocks": 10_000}),
        ("ResUNet", "denoise", {"widths": [1] * 100_000}),
        ("ResUNet", "denoise", {"widths": [10_000] * 1000, "blocks": 10_000}),
        ("DRUNet", "denoise", {"blocks": 10_000}),
        ("DnCNN", "denoise", {"depth": 10_000, "width": 10_000}),
        ("DnCNN", "denoise", {"depth": 10_000, "batch_norm": True}),
        ("FFDNet", "denoise", {"depth": 10_000}),
        ("Draem", "anomaly", {"blocks": 10_000, "discriminator": [10_000] * 1000}),
        ("HdrResUNet", "hdr", {"blocks": 10_000, "widths": [10_000] * 1000}),
        ("HdrUNet", "hdr", {"width": 10_000}),
        ("IspUNet", "dark-enhance", {"width": 10_000}),
        ("IspResUNet", "dark-enhance", {"blocks": 10_000, "widths": [10_000] * 1000}),
        ("Autoencoder", "anomaly", {"window": 1024, "latent": 10_000}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_networks_larger_than_their_files_are_not_built(
    tmp_path: Path, architecture: str, task: str, config: dict[str, Any]
) -> None:
    path = written(
        tmp_path / "net.safetensors",
        {f"tensor.{i}": ("F32", [1], 4) for i in range(4)},
        architecture=architecture,
        task=task,
        config=config,
    )
    assert "do not fit: its config asks for more than the 4" in refusal(path)


def test_tensors_that_do_not_fit_are_not_all_named(tmp_path: Path) -> None:
    tensors = {f"{'layer' * 50}.{i}": ("F32", [1, 2, 3], 24) for i in range(2000)}
    path = written(tmp_path / "net.safetensors", tensors, config={"depth": 500})
    said = refusal(path)
    assert "tensors do not fit" in said
    assert "2,999 more" in said


@pytest.mark.skipif(sys.platform == "win32", reason="no resource module")
@pytest.mark.parametrize("dtype", ["F32", "F16"])
def test_a_sparse_file_of_gigabytes_is_not_read(tmp_path: Path, dtype: str) -> None:
    side, size = 7455, 4 if dtype == "F32" else 2
    tensors = {
        "convs.0.weight": (dtype, [side, 1, 3, 3], 9 * size * side),
        "convs.0.bias": (dtype, [side], size * side),
        "convs.1.weight": (dtype, [side, side, 3, 3], 9 * size * side * side),
        "convs.1.bias": (dtype, [side], size * side),
        "convs.2.weight": (dtype, [1, side, 3, 3], 9 * size * side),
        "convs.2.bias": (dtype, [1], size),
    }
    config = {"channels": 1, "depth": 3, "width": side}
    path = written(tmp_path / "net.safetensors", tensors, config=config, sparse=True)
    assert path.stat().st_size > 1_000_000_000 * (size // 2)
    command = [sys.executable, "-c", READ, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    said, megabytes = done.stdout.splitlines()
    assert "values; at most" in said
    assert int(megabytes) < MOST_MEGABYTES


SOUND = {"a": ("F32", [2], 8)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data[:4], "cut short"),
        (lambda data: data[:-1], "7 bytes of tensors, not 8; copy or download it again"),
        (lambda data: data + b"0", "9 bytes of tensors, not 8; copy or download it again"),
        (lambda data: (1 << 62).to_bytes(8, "little") + data[8:], "cut short"),
        (lambda _: (2 << 20).to_bytes(8, "little") + bytes(2 << 20), "a header of 2,097,152"),
        (lambda data: data.replace(b'{"__', b'["__', 1), "not JSON"),
        (lambda data: data.replace(b'"F32"', b'"F3X"'), "without dtype"),
        (lambda data: data.replace(b"[2]", b"[3]"), "does not suit its shape"),
        (lambda data: data.replace(b"[2]", b"2.0"), "without dtype"),
        (lambda data: data.replace(b"[0, 8]", b"[-8,0]"), "without dtype"),
        (lambda _: (40_000).to_bytes(8, "little") + 40_000 * b"[", "not JSON"),
    ],
)
def test_headers_that_make_no_sense_are_refused(
    tmp_path: Path, change: Callable[[bytes], bytes], words: str
) -> None:
    path = written(tmp_path / "net.safetensors", SOUND, config={})
    path.write_bytes(change(path.read_bytes()))
    assert words in refusal(path)


def test_a_file_that_cannot_be_read_is_not_called_foreign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "net.safetensors", SOUND, config={})

    def fail(_file: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("restore.weights.file.read_header", fail)
    assert refusal(path) == f"{path}: cannot be read: Input/output error"


def test_gaps_between_tensors_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "net.safetensors", SOUND | {"b": ("F32", [2], 8)}, config={})
    data = path.read_bytes()
    path.write_bytes(data.replace(b"[8, 16]", b"[4, 12]"))
    assert "a gap or overlap before the tensor b" in refusal(path)


def test_thousands_of_tensors_are_refused(tmp_path: Path) -> None:
    tensors = {str(i): ("F32", [0], 0) for i in range(5000)}
    assert "5,000 tensors" in refusal(written(tmp_path / "net.safetensors", tensors))


DNCNN = {
    "convs.0.weight": ("F32", [1, 1, 3, 3], 36),
    "convs.0.bias": ("F32", [1], 4),
    "convs.1.weight": ("F32", [1, 1, 3, 3], 36),
    "convs.1.bias": ("F32", [1], 4),
}
SMALL = {"channels": 1, "depth": 2, "width": 1}


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"precision_loss_db": {"bf16": 0.5}}, "not a number of dB"),
        ({"precision_loss_db": {"bf16": {"5": True}}}, "not a number of dB"),
        ({"precision_loss_db": {"bf16": {"5": 10**400}}}, "not a number of dB"),
        ({"provenance": json.loads("[" * 30 + "]" * 30)}, "not a JSON object"),
        ({"provenance": {"a": json.loads("[" * 30 + "]" * 30)}}, "nested more than 16"),
        ({"provenance": {"recipe": {"sigma": ["5", "9"]}}}, "recipe.sigma is ['5', '9']"),
        ({"provenance": {"recipe": {"sigma": [10**400]}}}, "recipe.sigma is [10000"),
        ({"provenance": {"recipe": {"sigma": 5}}}, "recipe.sigma is 5"),
        ({"provenance": {"recipe": {"sigma": [5], "noise": 7}}}, "recipe.noise is 7"),
        ({"provenance": {"recipe": {"sigma": [5], "noise": [7]}}}, "recipe.noise is [7]"),
        ({"provenance": {"recipe": "text"}}, "recipe.sigma is 'text'"),
    ],
)
def test_metadata_of_other_types_are_refused_in_one_line(
    tmp_path: Path, metadata: dict[str, Any], words: str
) -> None:
    path = written(tmp_path / "net.safetensors", DNCNN, config=SMALL, **metadata)
    with pytest.raises(WeightsError) as caught:
        task_called("denoise").training_noise_of(load(path))
    assert words in str(caught.value)
    assert len(str(caught.value)) < LONGEST


@pytest.mark.parametrize("noise", [7, "camera", [["camera"]]])
def test_a_recipe_of_other_types_is_refused_before_denoising(tmp_path: Path, noise: object) -> None:
    from restore.denoise.runner import Denoiser

    recipe = {"recipe": {"noise": noise}}
    path = written(tmp_path / "net.safetensors", DNCNN, config=SMALL, provenance=recipe)
    with pytest.raises(WeightsError, match=r"recipe\.noise is"):
        Denoiser(str(path))


def test_a_foreign_file_without_provenance_still_loads(tmp_path: Path) -> None:
    path = written(tmp_path / "net.safetensors", DNCNN, config=SMALL)
    weights = load(path)
    with pytest.raises(WeightsError, match="where it comes from"):
        verify(weights, task_called("denoise"))
