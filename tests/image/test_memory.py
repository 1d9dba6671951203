"""Memory is read where the system tells it, and shared by the pictures that are decoded at once."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from restore.errors import CorruptImage, ImageTooLarge
from restore.image.limits import (
    BYTES_PER_SAMPLE,
    DEFAULT_MAX_PIXELS,
    decoding,
    limited,
    max_pixels_of_process,
    pixel_check,
)
from restore.image.memory import available_bytes
from restore.image.raw import read_raw

GIGABYTE = 10**9
MEGAPIXEL = BYTES_PER_SAMPLE * 3 * 10**6
"""Bytes that a megapixel in colour needs."""


@pytest.fixture
def system(tmp_path: Path) -> Callable[..., Path]:
    """Write files below a folder that stands for the root of a Linux system."""

    def write(**files: str) -> Path:
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("_dot_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


def meminfo(available: int) -> str:
    return f"MemTotal: 64000000 kB\nMemFree: 100 kB\nMemAvailable: {available // 1024} kB\n"


V2 = "sys__fs__cgroup__"
V1 = "sys__fs__cgroup__memory__"


def test_what_the_kernel_calls_available_counts(system: Callable[..., Path]) -> None:
    assert available_bytes(system(proc__meminfo=meminfo(4096 << 20))) == 4096 << 20


def test_a_group_of_version_2_leaves_its_limit_without_its_use(
    system: Callable[..., Path],
) -> None:
    root = system(
        proc__meminfo=meminfo(64 << 30),
        proc__self__cgroup="0::/\n",
        **{
            f"{V2}memory_dot_max": "4000000000\n",
            f"{V2}memory_dot_current": "3000000000\n",
            f"{V2}memory_dot_stat": "anon 1\ninactive_file 500000000\nactive_file 250000000\n",
        },
    )
    assert available_bytes(root) == 1_750_000_000


def test_the_narrowest_of_nested_groups_counts(system: Callable[..., Path]) -> None:
    root = system(
        proc__meminfo=meminfo(64 << 30),
        proc__self__cgroup="0::/user/job\n",
        **{
            f"{V2}user__memory_dot_max": "2000000000",
            f"{V2}user__memory_dot_current": "1500000000",
            f"{V2}user__job__memory_dot_max": "max",
            f"{V2}user__job__memory_dot_current": "1000000000",
        },
    )
    assert available_bytes(root) == 500_000_000


def test_a_group_of_version_1_is_found_in_a_container_too(system: Callable[..., Path]) -> None:
    root = system(
        proc__meminfo=meminfo(64 << 30),
        proc__self__cgroup="5:devices:/docker/1\n4:memory:/docker/1\n0::/\n",
        **{
            f"{V1}memory_dot_limit_in_bytes": "1000000000",
            f"{V1}memory_dot_usage_in_bytes": "900000000",
            f"{V1}memory_dot_stat": "inactive_file 1\ntotal_inactive_file 300000000\n",
        },
    )
    assert available_bytes(root) == 400_000_000


def test_a_group_beyond_its_limit_leaves_nothing(system: Callable[..., Path]) -> None:
    root = system(
        proc__self__cgroup="0::/\n",
        **{f"{V2}memory_dot_max": "1000", f"{V2}memory_dot_current": "2000"},
    )
    assert available_bytes(root) == 0


def test_without_files_the_number_of_pages_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}
    # As on macOS, which does not tell what is free.
    monkeypatch.setattr("restore.image.memory.os.sysconf", pages.__getitem__, raising=False)
    monkeypatch.setitem(pages, "SC_AVPHYS_PAGES", -1)
    assert available_bytes(tmp_path) == 500 * 4096
    monkeypatch.setitem(pages, "SC_AVPHYS_PAGES", 10)
    assert available_bytes(tmp_path) == 10 * 4096


def test_where_nothing_is_known_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("restore.image.memory.os.sysconf", raising=False)
    assert available_bytes(tmp_path) is None
    monkeypatch.setattr("restore.image.reservation.available_bytes", lambda: None)
    with decoding() as check_size:
        check_size(20_000, 20_000, 4)


def test_damaged_readings_are_passed_over(system: Callable[..., Path]) -> None:
    root = system(
        proc__meminfo="MemAvailable: 1000000 kB\nbroken\n",
        proc__self__cgroup="0::/\nnonsense\n",
        **{f"{V2}memory_dot_max": "much", f"{V2}memory_dot_current": ""},
    )
    assert available_bytes(root) == 1_024_000_000


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Set how many bytes are free."""
    return lambda count: monkeypatch.setattr(
        "restore.image.reservation.available_bytes", lambda: int(count)
    )


def test_a_picture_beyond_the_memory_is_refused_in_one_line(free: Callable[[float], None]) -> None:
    free(99 * MEGAPIXEL)
    with decoding() as check_size:
        with pytest.raises(ImageTooLarge) as refused:
            check_size(10_000, 10_000, 3)
        check_size(10_000, 10_000, 1)
    assert str(refused.value) == (
        "has 10000x10000 pixels and needs 3.9 GB of memory, 3.9 GB are free; "
        "free some, take fewer jobs, or insist with max_pixels=100000000"
    )


def test_a_limit_that_was_asked_for_holds_whatever_memory_there_is(
    free: Callable[[float], None],
) -> None:
    free(0)
    with decoding(100_000_000) as check_size:
        check_size(10_000, 10_000, 3)
        with pytest.raises(ImageTooLarge, match="the limit is 100,000,000"):
            check_size(10_000, 10_001, 3)
    with limited(200_000_000), decoding() as check_size:
        check_size(20_000, 10_000, 3)
        with pytest.raises(ImageTooLarge, match="the limit is 200,000,000"):
            check_size(20_000, 10_001, 3)
    assert max_pixels_of_process() == DEFAULT_MAX_PIXELS


def test_small_pictures_never_wait_for_memory(free: Callable[[float], None]) -> None:
    free(0)
    with decoding() as check_size:
        check_size(1200, 1200, 3)


def test_pictures_without_pixels_are_refused() -> None:
    with pytest.raises(CorruptImage, match="has no pixels"):
        pixel_check()(0, 5, 3)


def test_a_picture_that_is_read_part_by_part_needs_no_memory(
    free: Callable[[float], None],
) -> None:
    free(0)
    pixel_check()(20_000, 20_000, 3)


def test_pictures_that_are_decoded_at_once_share_the_memory(
    free: Callable[[float], None],
) -> None:
    free(150 * MEGAPIXEL)
    passed = threading.Event()

    def second() -> None:
        with decoding() as check_size:
            check_size(10_000, 10_000, 3)
            passed.set()

    with decoding() as check_size:
        check_size(10_000, 10_000, 3)
        thread = threading.Thread(target=second)
        thread.start()
        assert not passed.wait(0.2)
    thread.join(10)
    assert passed.is_set()


def test_two_that_wait_do_not_wait_for_each_other(free: Callable[[float], None]) -> None:
    free(150 * MEGAPIXEL)
    meeting = threading.Barrier(3, timeout=20)

    def twice() -> None:
        with decoding() as check_size:
            check_size(5_000, 10_000, 3)
            meeting.wait()
            check_size(10_000, 10_000, 3)

    threads = [threading.Thread(target=twice) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)


def test_a_raw_file_shares_the_memory_too(
    free: Callable[[float], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "one.dng"
    path.write_bytes(b"II*\0")
    asked = []
    started = threading.Event()

    def ask(request: dict[str, Any], *, seconds: float) -> tuple[dict[str, Any], bytes]:
        del seconds
        if "only" in request:
            started.set()
            return {"width": 10_000, "height": 10_000}, b""
        asked.append(request["max_pixels"])
        raise CorruptImage("is read")

    def read() -> None:
        with pytest.raises(CorruptImage, match="is read"):
            read_raw(path)

    monkeypatch.setattr("restore.image.raw.ask", ask)
    free(99 * MEGAPIXEL)
    with pytest.raises(ImageTooLarge, match=r"one\.dng: has 10000x10000 pixels and needs 3\.9 GB"):
        read_raw(path)
    free(150 * MEGAPIXEL)
    started.clear()
    with decoding() as check_size:
        check_size(10_000, 10_000, 3)
        thread = threading.Thread(target=read)
        thread.start()
        assert started.wait(10)
        thread.join(0.3)
        assert asked == []
    thread.join(10)
    assert asked == [100_000_000]
