"""What libraries print ends up neither among a command's records nor in the picture it writes."""

import json
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from restore.image.codecs import ImageFormat
from restore.image.encode import encode
from restore.image.picture import Picture, Transfer

Spawn = Callable[..., "subprocess.Popen[bytes]"]


def damaged_exr() -> bytes:
    pixels = np.random.default_rng(0).random((3, 40, 50)).astype(np.float32)
    light = Picture(pixels=pixels, bit_depth=16, is_float=True, transfer=Transfer.LINEAR)
    whole = bytearray(encode(light, ImageFormat.EXR))
    for position in range(len(whole) // 2, len(whole) // 2 + 60):
        whole[position] ^= 255
    return bytes(whole)


def damaged_png() -> bytes:
    rows = bytearray(zlib.compress(np.random.default_rng(0).bytes(20 * 61)))
    rows[200:260] = bytes(60)
    parts = [(b"IHDR", struct.pack(">IIBBBBB", 20, 20, 8, 2, 0, 0, 0)), (b"IDAT", bytes(rows))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in [*parts, (b"IEND", b"")]
    )


def test_only_the_command_prints(workplace: Path, spawn: Spawn, tiny_weights: str) -> None:
    (workplace / "in.exr").write_bytes(damaged_exr())
    (workplace / "in.png").write_bytes(damaged_png())
    inputs = ["in.exr", "in.png"]
    process = spawn("denoise", *inputs, "-o", "out/", "-q", "--json", "--model", tiny_weights)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert [json.loads(line)["status"] for line in out.splitlines()] == ["failed", "failed"]
    assert sorted(line[:19] for line in err.splitlines()) == [
        b"imrestore: in.exr: ", b"imrestore: in.png: ",
    ]  # fmt: skip


def test_nothing_but_the_picture_goes_through_a_pipe(
    workplace: Path, spawn: Spawn, tiny_weights: str
) -> None:
    (workplace / "in.exr").write_bytes(damaged_exr())
    options = ("-o", "-", "--format", "exr", "--model", tiny_weights)
    out, _ = spawn("denoise", "in.exr", *options).communicate(timeout=120)
    assert out == b""


@pytest.mark.parametrize("asked_by", ["-v", "--debug"])
def test_libraries_are_heard_on_request(
    workplace: Path, spawn: Spawn, tiny_weights: str, asked_by: str
) -> None:
    (workplace / "in.exr").write_bytes(damaged_exr())
    process = spawn("denoise", "in.exr", "-o", "out/", "--json", asked_by, "--model", tiny_weights)
    out, err = process.communicate(timeout=120)
    assert json.loads(out)["status"] == "failed"
    assert b"EXR_ERR_CORRUPT_CHUNK" in err
    assert b"Warning: Exception raised" in err


@pytest.mark.parametrize("asked_by", ["-v", "-rv", "variable", "file", "nothing"])
def test_requests_come_from_everywhere(
    run: Callable[..., object], monkeypatch: pytest.MonkeyPatch, asked_by: str
) -> None:
    if asked_by == "variable":
        monkeypatch.setenv("IMRESTORE_VERBOSE", "1")
    elif asked_by == "file":
        Path("imrestore.toml").write_text("verbose = true")
    shown: list[str] = []
    monkeypatch.setattr("imrestore.expansion.show_libraries", lambda: shown.append(asked_by))
    run("denoise", "none.exr", "-o", "out/", *([asked_by] if asked_by.startswith("-") else []))
    assert bool(shown) is (asked_by != "nothing")
