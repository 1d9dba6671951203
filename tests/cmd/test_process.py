"""The console script as a process: pipes, signals, exit codes, imports."""

import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Spawn = Callable[..., "subprocess.Popen[bytes]"]
Photo = Callable[..., Path]


def test_help_and_version_do_not_import_what_takes_long() -> None:
    program = (
        "import sys; from imrestore.__main__ import run\n"
        "def check(commands, *heavy):\n"
        "    assert not any(run(command.split()) for command in commands)\n"
        "    assert not (found := set(heavy) & set(sys.modules)), found\n"
        "own = ('torch', 'numpy', 'PIL', 'scipy', 'tqdm', 'tifffile', 'rich',\n"
        "    'restore.files', 'restore.remote.url_paths', 'restore.remote.store')\n"
        "check(['--help'], *own, 'concurrent.futures', 'importlib.metadata', 'zipfile')\n"
        "check(['--version', 'denoise --help', 'anomaly --help', 'train anomaly --help'], *own)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)


def test_version_and_help_go_to_standard_output(spawn: Spawn, run: Callable[..., Any]) -> None:
    for arguments, text in ((["--version"], b"imrestore 0."), ([], b"Usage:")):
        out, err = (process := spawn(*arguments)).communicate()
        assert (process.returncode, err) == (0, b"")
        assert text in out
    for arguments, words in (
        (["--help"], "denoise"),
        (["-h"], "Exit codes"),
        (["denoise", "--help"], "imrestore denoise photos/ -r"),
    ):
        ended = run(*arguments)
        assert (ended.code, ended.err) == (0, "")
        assert words in ended.out


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_daemons_have_no_standard_streams(
    workplace: Path, spawn: Spawn, photo: Photo, tiny_weights: str, closed: int
) -> None:
    photo("a.png")
    arguments = ["denoise", "a.png", "-o", "b.png", "--model", tiny_weights]
    process = spawn(*arguments, preexec_fn=lambda: os.close(closed))
    _, err = process.communicate()
    assert (process.returncode, b"Traceback" in err) == (0, False)
    assert (workplace / "b.png").is_file()


def test_a_closed_standard_output_is_missed_by_what_goes_there(
    spawn: Spawn, photo: Photo, tiny_weights: str
) -> None:
    photo("a.png")
    told = ["denoise", "a.png", "-o", "-", "--format", "png", "--model", tiny_weights]
    process = spawn(*told, preexec_fn=lambda: os.close(1))
    _, err = process.communicate()
    assert process.returncode == 1
    assert b"standard output" in err


def test_names_that_cannot_be_shown_are_no_bug(
    spawn: Spawn, photo: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo("\u0444\u043e\u0442\u043e.png")
    monkeypatch.setenv("PYTHONIOENCODING", "cp1252")
    process = spawn("denoise", ".", "-o", "out", "--dry-run")
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert b".png" in out


def test_an_image_goes_through_pipes(spawn: Spawn, photo: Photo, tiny_weights: str) -> None:
    source = photo("a.png")
    options = ("--format", "png", "--model", tiny_weights, "--strength", "0")
    process = spawn("denoise", "-", "-o", "-", *options, stdin=subprocess.PIPE)
    out, err = process.communicate(source.read_bytes())
    assert process.returncode == 0
    assert out.startswith(b"\x89PNG")
    assert b"1 done" in err
    process = spawn("denoise", "-", "-o", "out.png", *options, stdin=subprocess.PIPE)
    process.communicate(b"not a picture")
    assert process.returncode == 1
    assert not Path("out.png").exists()


def test_an_input_may_be_a_named_pipe(spawn: Spawn, photo: Photo, tiny_weights: str) -> None:
    source = photo("a.png").read_bytes()
    os.mkfifo("pipe")
    process = spawn("denoise", "pipe", "-o", "out.png", "--model", tiny_weights)
    Path("pipe").write_bytes(source)
    process.communicate()
    assert process.returncode == 0
    assert Path("out.png").exists()


def test_a_closed_pipe_ends_quietly(spawn: Spawn, photo: Photo, tiny_weights: str) -> None:
    for n in range(40):
        photo(f"in/{n}.png")
    process = spawn("denoise", "in", "-o", "out", "--json", "--model", tiny_weights)
    assert process.stdout
    assert process.stderr
    assert json.loads(process.stdout.readline())["status"] == "done"
    process.stdout.close()
    assert process.wait(30) == 141
    assert process.stderr.read() == b""
    assert all(path.suffix == ".png" for path in Path("out").iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("arguments", [["-o", "-", "--format", "png"], ["-o", "b.png", "--json"]])
def test_a_full_disk_behind_standard_output_is_one_line(
    spawn: Spawn, photo: Photo, tiny_weights: str, arguments: list[str]
) -> None:
    photo("a.png")
    with Path("/dev/full").open("wb") as full:
        process = spawn("denoise", "a.png", "-q", "--model", tiny_weights, *arguments, stdout=full)
        _, err = process.communicate()
    assert process.returncode == 1
    assert err.count(b"\n") == 1
    assert b"No space left" in err


def test_a_picture_that_does_not_fit_the_disk_fails_alone(
    spawn: Spawn, photo: Photo, tiny_weights: str
) -> None:
    photo("in/a.png")
    photo("in/b.png", width=300, height=300)
    photo("in/c.png")
    limit = 50_000  # a limit on the size of files stands for a disk with so much room
    process = spawn(
        *("denoise", "in", "-o", "out", "--model", tiny_weights),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    _, err = process.communicate()
    assert process.returncode == 1
    first, last = err.decode().splitlines()
    assert "out/b.png: cannot be written: File too large" in first
    assert "2 done, 1 failed" in last
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.png", "c.png"]


def test_a_terminal_gets_a_bar(spawn: Spawn, photo: Photo, tiny_weights: str) -> None:
    photo("a.png")
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    process = spawn("denoise", "a.png", "-o", "b.png", "--model", tiny_weights, stderr=theirs)
    process.communicate()
    os.close(theirs)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    assert "| 0/1 [" in shown
    assert "images/s]" in shown
    assert "1 done in" in shown


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_in_the_middle_of_a_big_picture_ends_within_two_seconds(
    spawn: Spawn, photo: Photo, slow_weights: str, number: int, code: int
) -> None:
    photo("in/a.png")
    photo("in/b.png", width=1500, height=1500)
    options = ("--model", slow_weights, "--tile", "2000", "--json")
    process = spawn("denoise", "in", "-o", "out", *options)
    assert process.stdout
    assert json.loads(process.stdout.readline())["source"] == "in/a.png"
    time.sleep(0.5)  # now in the middle of the second picture
    sent = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate()
    assert time.monotonic() - sent < 2
    assert process.returncode == code
    assert out == b""
    assert b"--skip-existing" in err
    assert b"Traceback" not in err
    assert [path.name for path in Path("out").iterdir()] == ["a.png"]


@pytest.mark.skipif(sys.platform != "linux", reason="a pipe of 4 KiB")
def test_a_signal_ends_a_run_whose_output_nobody_reads(
    spawn: Spawn, photo: Photo, tiny_weights: str
) -> None:
    for n in range(40):
        photo(f"in/{n}.png")
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    process = spawn("denoise", "in", "-o", "out", "--json", "--model", tiny_weights, stdout=writer)
    os.close(writer)
    counts = [-1, 0]
    while counts[-1] != counts[-2] or not counts[-1]:
        assert process.poll() is None
        time.sleep(1)
        counts.append(len(list(Path("out").glob("*.png"))))
    sent = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert time.monotonic() - sent < 2.5
    os.close(reader)
    assert all(path.suffix == ".png" for path in Path("out").iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_messages_that_cannot_be_written_do_not_end_a_run(
    spawn: Spawn, photo: Photo, tiny_weights: str
) -> None:
    photo("in/a.png")
    Path("in/b.png").write_text("not a picture")
    with Path("/dev/full").open("wb") as full:
        process = spawn("denoise", "in", "-o", "out", "-v", "--model", tiny_weights, stderr=full)
        process.communicate()
    assert process.returncode == 1
    assert [path.name for path in Path("out").iterdir()] == ["a.png"]


def test_after_overwriting_stopped_nothing_is_said_to_be_skipped(
    spawn: Spawn, photo: Photo, slow_weights: str
) -> None:
    """The old results look as if they were done."""
    photo("in/a.png")
    photo("in/b.png", width=1500, height=1500)
    options = ("--model", slow_weights, "--tile", "2000", "--json", "--overwrite")
    process = spawn("denoise", "in", "-o", "out", *options)
    assert process.stdout
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert b"--skip-existing" not in err
    assert b"the same command does all of it again" in err


def test_after_kill_the_rest_is_done_by_skip_existing(
    spawn: Spawn, photo: Photo, slow_weights: str, tiny_weights: str
) -> None:
    photo("in/a.png")
    photo("in/b.png", width=1500, height=1500)
    process = spawn("denoise", "in", "-o", "out", "--model", slow_weights, "--json")
    assert process.stdout
    process.stdout.readline()
    process.kill()
    process.communicate()
    first = Path("out/a.png").stat()
    assert not Path("out/b.png").exists()
    process = spawn("denoise", "in", "-o", "out", "--model", tiny_weights, "--skip-existing")
    _, err = process.communicate()
    assert process.returncode == 0
    assert b"1 done, 1 skipped" in err
    assert Path("out/a.png").stat().st_mtime_ns == first.st_mtime_ns


def test_a_signal_that_was_ignored_at_the_start_stays_ignored(
    spawn: Spawn, photo: Photo, tiny_weights: str
) -> None:
    for n in range(3):
        photo(f"in/{n}.png")
    process = spawn(
        *("denoise", "in", "-o", "out", "--model", tiny_weights, "--json"),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert process.stdout
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 0


def test_debug_prints_the_traceback_wherever_it_stands(spawn: Spawn) -> None:
    Path("empty").mkdir()
    for arguments in (
        ["--debug", "denoise", "empty", "-o", "out"],
        ["denoise", "empty", "-o", "out", "--debug"],
    ):
        _, err = (process := spawn(*arguments)).communicate()
        assert process.returncode == 2
        assert b"Traceback" in err
    _, err = (process := spawn("denoise", "-o", "out", "--", "--debug")).communicate()
    assert process.returncode == 2
    assert err == b"imrestore: --debug: no such file or folder\n"


def test_names_after_two_dashes_are_files(
    run: Callable[..., Any], photo: Photo, tiny_weights: str
) -> None:
    photo("-v.png")
    assert run("denoise", "-o", "out.png", "--model", tiny_weights, "--", "-v.png").code == 0
    assert Path("out.png").exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_there_for_every_shell(shell: str) -> None:
    environment = os.environ | {"_IMRESTORE_COMPLETE": f"source_{shell}"}
    script = Path(sys.executable).with_name("imrestore")
    ended = subprocess.run([script], env=environment, capture_output=True, check=False, text=True)
    assert "imrestore" in ended.stdout
    assert "_IMRESTORE_COMPLETE" in ended.stdout
    assert ended.returncode == 0


@pytest.mark.parametrize(("words", "code"), [("imrestore den", 0), ("imrestore nothing", 1)])
def test_fish_is_told_whether_there_is_anything_to_complete(words: str, code: int) -> None:
    asked = {
        "_IMRESTORE_COMPLETE": "complete_fish",
        "_TYPER_COMPLETE_FISH_ACTION": "is-args",
        "_TYPER_COMPLETE_ARGS": words,
    }
    script = Path(sys.executable).with_name("imrestore")
    ended = subprocess.run([script], env=os.environ | asked, capture_output=True, check=False)
    assert ended.returncode == code


def test_warnings_of_other_libraries_are_not_printed(spawn: Spawn, workplace: Path) -> None:
    """PyTorch warns of a checkpoint whose pickle is of a protocol that it does not write."""
    import torch

    path = workplace / "a.pth"
    torch.save({"a": torch.ones(1)}, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes().replace(b"\x80\x02", b"\x80\x04"))
    _, err = (process := spawn("weights", "convert", "a.pth", "-o", "a.safetensors")).communicate()
    assert process.returncode == 2
    (line,) = err.decode().splitlines()
    assert line.startswith("imrestore: a.pth: ")
