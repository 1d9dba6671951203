"""Child processes that read RAW files: replaced when they fail, few, and gone when idle."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tifffile

from restore.errors import CorruptImage
from restore.image import raw_process
from restore.image.dng import write_cfa_dng
from restore.image.raw import read_raw
from restore.image.raw_picture import RawPicture

Sensor = Callable[..., RawPicture]


@pytest.fixture
def path(tmp_path: Path, sensor: Sensor) -> Path:
    path = tmp_path / "file.dng"
    path.write_bytes(write_cfa_dng(sensor()))
    return path


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[raw_process._Pool]:
    """A pool of its own, of two children that end after a second without work."""
    pool = raw_process._Pool(2, 1.0)
    monkeypatch.setattr(raw_process, "_pool", pool)
    yield pool
    pool.end()


def in_threads(count: int, work: Callable[[], None]) -> None:
    errors: list[BaseException] = []

    def caught() -> None:
        try:
            work()
        except BaseException as error:  # told by the thread that waits
            errors.append(error)

    threads = [threading.Thread(target=caught) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def idle_process(pool: raw_process._Pool) -> "subprocess.Popen[bytes]":
    (child,) = pool._idle
    return child.process


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs POSIX signals")
def test_child_that_hangs_or_dies_is_replaced(path: Path, pool: raw_process._Pool) -> None:
    pool._idle_s = 60.0
    read_raw(path)
    os.kill(idle_process(pool).pid, signal.SIGSTOP)
    with pytest.raises(CorruptImage, match=r"took longer than 0\.5 s"):
        read_raw(path, seconds=0.5)
    assert read_raw(path).width == 132
    first = idle_process(pool)
    first.kill()
    first.wait()
    assert read_raw(path).width == 132
    assert idle_process(pool).pid != first.pid


@pytest.mark.skipif(not hasattr(os, "getpgid"), reason="needs process groups")
def test_an_interrupt_from_the_terminal_leaves_the_child_alone(
    path: Path, pool: raw_process._Pool
) -> None:
    """It goes to the whole group of the command, which finishes what it has begun."""
    pool._idle_s = 60.0
    read_raw(path)
    assert os.getpgid(idle_process(pool).pid) != os.getpgid(0)


def test_a_child_with_an_answer_that_nobody_took_is_not_used_again(
    path: Path, pool: raw_process._Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_self: object, _request: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(raw_process._Child, "_answer", interrupted)
        with pytest.raises(KeyboardInterrupt):
            read_raw(path)
    assert not pool._idle
    assert read_raw(path).width == 132


def test_threads_read_side_by_side(pool: raw_process._Pool) -> None:
    pids, both = set(), threading.Barrier(2, timeout=60)

    def hold() -> None:
        with pool.child() as child:
            pids.add(child.process.pid)
            both.wait()

    in_threads(2, hold)
    assert len(pids) == 2


def test_many_threads_leave_few_children_and_in_the_end_none(
    path: Path, pool: raw_process._Pool
) -> None:
    begun: list[raw_process._Child] = []

    class Counted(raw_process._Child):
        def __init__(self) -> None:
            super().__init__()
            begun.append(self)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(raw_process, "_Child", Counted)
        pool._idle_s = 60.0
        for _ in range(3):
            in_threads(8, lambda: read_raw(path))
    assert len([child for child in begun if child.is_alive]) == len(begun) <= 2
    pool._idle_s = 0.0
    with pool._changed:
        pool._changed.notify_all()
    deadline = time.monotonic() + 60
    while any(child.is_alive for child in begun) or pool._reaper is not None:
        assert time.monotonic() < deadline, "idle children did not end"
        time.sleep(0.05)
    assert read_raw(path).width == 132


def test_whatever_a_file_raises_leaves_the_child_in_place(
    path: Path, pool: raw_process._Pool
) -> None:
    pool._idle_s = 60.0
    read_raw(path)
    first = idle_process(pool)
    request = {"path": str(path), "max_pixels": 10**6, "look": "unknown"}
    with pytest.raises(CorruptImage, match="unknown"):
        raw_process.ask(request, seconds=60)
    assert idle_process(pool) is first


def test_a_file_is_not_blamed_for_what_its_neighbours_left_behind(
    path: Path, pool: raw_process._Pool
) -> None:
    """As if memory that an earlier file damaged ended the child while it reads another."""
    pool._idle_s = 60.0
    read_raw(path)
    with pytest.MonkeyPatch.context() as patched:
        answer = raw_process._Child._answer

        def crashing(child: raw_process._Child, request: dict[str, object]) -> object:
            if child is used:
                child.process.kill()
            return answer(child, request)

        (used,) = pool._idle
        patched.setattr(raw_process._Child, "_answer", crashing)
        assert read_raw(path).width == 132


def test_a_child_survives_the_thread_that_asked_for_it(path: Path, pool: raw_process._Pool) -> None:
    pool._idle_s = 60.0
    in_threads(1, lambda: read_raw(path))
    first = idle_process(pool)
    time.sleep(0.2)
    assert first.poll() is None


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_child_does_not_outlive_its_parent(path: Path) -> None:
    """Even in the middle of a file, where it does not look at its standard input."""
    script = f"""
import os, signal, time
from pathlib import Path
from restore.image import raw_process
from restore.image.raw import read_raw

read_raw(Path({str(path)!r}))
(child,) = raw_process._pool._idle
os.kill(child.process.pid, signal.SIGSTOP)
print(child.process.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        status = Path("/proc", parent.stdout.readline().decode().strip(), "stat")
        assert status.exists()
        parent.kill()
    deadline = time.monotonic() + 5
    while status.exists() and ") Z" not in status.read_text():
        assert time.monotonic() < deadline, "the child goes on"
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_memory_and_processor_time_are_limited_from_now_on() -> None:
    program = f"""
import runpy
limit = runpy.run_path({str(raw_process._SCRIPT)!r})["_limit"]
limit(1 << 30, 60)
kept = bytearray(900 << 20)
limit(100 << 20, 60)
try:
    bytearray(200 << 20)
    print("not limited", flush=True)
except MemoryError:
    limit(100 << 20, 0.1)
    while True:
        pass
"""
    child = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=60, check=False
    )
    assert (child.returncode, child.stdout) == (-signal.SIGXCPU, b"")


def test_files_too_short_for_their_pixels_are_refused(tmp_path: Path, sensor: Sensor) -> None:
    """Of some cameras LibRaw would read zeros."""
    whole = write_cfa_dng(sensor(size=(2000, 3000)))
    start = tifffile.TiffFile(io.BytesIO(whole)).pages.first.dataoffsets[0]
    path = tmp_path / "short.dng"
    path.write_bytes(whole[: start + 1000])
    with pytest.raises(CorruptImage, match="is cut short"):
        read_raw(path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_has_children_of_its_own(path: Path) -> None:
    script = f"""
import os, sys, warnings
from pathlib import Path
from restore.image.raw import read_raw
from restore.image import raw_process

warnings.simplefilter("ignore")
path = Path({str(path)!r})
read_raw(path)
before = raw_process._pool
pid = os.fork()
is_own = (raw_process._pool is before) == bool(pid)
for _ in range(3):
    assert read_raw(path).width == 132
if pid:
    _, status = os.waitpid(pid, 0)
    sys.exit(status or not is_own)
sys.exit(not is_own)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=300)
