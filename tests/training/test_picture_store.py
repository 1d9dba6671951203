"""Pictures kept in memory or in a cache."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

import restore.files
from restore.denoise.noisy_pictures import open_noisy_pictures
from restore.errors import InputError, OutputError, TrainingError, UsageError
from restore.hdr.data import open_library
from restore.image.codecs import ImageFormat
from restore.image.damage import keeping_damaged
from restore.image.encode import encode
from restore.image.picture import Picture, Transfer
from restore.training.crops import RandomCrops, load_pictures
from restore.training.picture_store import PictureStore, Samples, unstacked
from restore.training.state import Randomness

ARRAYS = [
    np.arange(3 * 5 * 7, dtype=np.uint8).reshape(3, 5, 7),
    np.linspace(-1, 1, 21, dtype=np.float32).reshape(1, 3, 7),
    np.eye(4, dtype=np.bool_),
]


class Maker:
    """Makes arrays, and counts how often."""

    def __init__(self, arrays: Sequence[np.ndarray] = ARRAYS) -> None:
        self.arrays, self.calls = arrays, 0

    def __call__(self) -> Sequence[np.ndarray]:
        self.calls += 1
        return self.arrays


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.png"
    path.write_bytes(b"pixels")
    return path


def entries(cache: Path) -> list[Path]:
    return sorted(cache.iterdir())


def check(kept: Sequence[Samples]) -> None:
    assert [torch.equal(each[:], torch.from_numpy(a)) for each, a in zip(kept, ARRAYS, strict=True)]
    for each, array in zip(kept, ARRAYS, strict=True):
        assert each.shape == array.shape
        np.testing.assert_array_equal(each[:].numpy(), array)


def test_what_one_run_prepared_others_find(source: Path, tmp_path: Path) -> None:
    make = Maker()
    for _ in range(3):
        check(PictureStore(tmp_path / "cache").kept([source], "kind", make))
    assert make.calls == 1
    check(PictureStore(tmp_path / "cache").kept([source], "other kind", make))
    assert make.calls == 2
    with keeping_damaged(True):
        PictureStore(tmp_path / "cache").kept([source], "kind", make)
    assert make.calls == 3, "a damaged picture is another one"


def test_a_picture_that_changed_is_prepared_again(source: Path, tmp_path: Path) -> None:
    make, store = Maker(), PictureStore(tmp_path / "cache")
    store.kept([source], "kind", make)
    os.utime(source, ns=(0, 1))
    store.kept([source], "kind", make)
    assert make.calls == 2
    source.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        store.kept([source], "kind", make)


@pytest.mark.parametrize("spoil", ["cut", "flip", "longer shape", "other", "nothing", "deep"])
def test_damaged_and_foreign_files_are_not_believed(
    source: Path, tmp_path: Path, spoil: str
) -> None:
    make, store = Maker(), PictureStore(tmp_path / "cache")
    store.kept([source], "kind", make)
    (path,) = entries(tmp_path / "cache")
    data = path.read_bytes()
    if spoil == "other":
        store.kept([source], "another kind", make)
        (other,) = (each for each in entries(tmp_path / "cache") if each != path)
        other.replace(path)
    else:
        path.write_bytes(
            {
                "cut": data[:-64],
                "flip": data[:-64] + bytes([data[-64] ^ 1]) + data[-63:],
                "longer shape": data.replace(b"[3, 5, 7]", b"[3, 5, 9]"),
                "nothing": b"",
                "deep": b"[" * 100_000,
            }[spoil]
        )
    make.calls = 0
    check(PictureStore(tmp_path / "cache").kept([source], "kind", make))
    assert make.calls == 1


_HOSTILE = """
import resource, sys
from pathlib import Path
import numpy as np
from restore.training.picture_store import PictureStore
with open("/proc/self/statm") as file:
    taken = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + (1 << 30), taken + (1 << 30)))
resource.setrlimit(resource.RLIMIT_CPU, (30, 30))
made = []
def prepare():
    made.append(1)
    return [np.zeros((3, 4, 5), np.uint8)]
for cache in sys.argv[2:]:
    (kept,) = PictureStore(Path(cache)).kept([Path(sys.argv[1])], "kind", prepare)
    assert tuple(kept[:].shape) == (3, 4, 5), cache
print(len(made))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_headers_that_ask_for_much_are_not_believed(source: Path, tmp_path: Path) -> None:
    """Headers of another user of the folder, over files with holes of 64 GB."""
    shapes = ["-1", "-3,-4,5", "1e400,1", "3,4,5e0", "1099511627776", ",".join("1" * 9)]
    for index, shape in enumerate(shapes):
        cache = tmp_path / str(index)
        PictureStore(cache).kept([source], "kind", lambda: [np.zeros((3, 4, 5), np.uint8)])
        (path,) = entries(cache)
        with path.open("r+b") as file:
            header = file.readline().rstrip().replace(b"[3, 4, 5]", f"[{shape}]".encode())
            file.seek(0)
            file.write(header + b" " * (-(len(header) + 1) % 64) + b"\n")
            file.truncate(64 << 30)
    caches = [tmp_path / str(index) for index in range(len(shapes))]
    done = subprocess.run(
        [sys.executable, "-c", _HOSTILE, source, *caches],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.stdout, done.returncode) == (f"{len(shapes)}\n", 0), done.stderr[-500:]


def test_every_run_says_what_is_damaged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pixels = np.random.default_rng(0).random((3, 64, 64), np.float32)
    data = encode(Picture(pixels=pixels), ImageFormat.JPEG)
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    for _ in range(2):
        store = PictureStore(tmp_path / "cache")
        with keeping_damaged(True):
            load_pictures(
                [tmp_path / "cut.jpg"], channels=3, least_size=32, store=store, warn=pytest.fail
            )
        assert "cut.jpg" in caplog.text
        assert "what is there is taken" in caplog.text
        caplog.clear()


def test_two_runs_may_prepare_the_same_picture_at_once(source: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"

    def slowly() -> Sequence[np.ndarray]:
        check(PictureStore(cache).kept([source], "kind", Maker()))
        return ARRAYS

    check(PictureStore(cache).kept([source], "kind", slowly))
    assert len(entries(cache)) == 1


def test_a_full_disk_is_one_line_and_leaves_nothing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(restore.files.os, "fsync", full)
    with pytest.raises(
        OutputError, match=r"No space left on device; name a folder with room as cache"
    ):
        PictureStore(tmp_path / "cache").kept([source], "kind", Maker())
    assert not entries(tmp_path / "cache")


def test_a_cache_that_cannot_be_is_refused(source: Path) -> None:
    with pytest.raises(UsageError, match="name one as cache"):
        PictureStore(source)
    with pytest.raises(OutputError, match="cannot be made"):
        PictureStore(source / "below")


def test_a_file_that_is_gone_is_one_line(source: Path, tmp_path: Path) -> None:
    kept, *_ = PictureStore(tmp_path / "cache").kept([source], "kind", Maker())
    (path,) = entries(tmp_path / "cache")
    path.unlink()
    with pytest.raises(TrainingError, match="gone or cut short"):
        kept[:]


def test_planes_of_a_stack_are_cut_out_one_by_one(source: Path, tmp_path: Path) -> None:
    stack = np.random.default_rng(0).random((4, 1, 6, 5), np.float32)
    for store in (PictureStore(tmp_path / "cache"), PictureStore()):
        (kept,) = store.kept([source], "stack", lambda: [stack])
        planes = unstacked(kept)
        assert [torch.equal(p[:], torch.from_numpy(s)) for p, s in zip(planes, stack, strict=True)]
        np.testing.assert_array_equal(planes[2][:, 1:3, 2:], stack[2][:, 1:3, 2:])


def test_memory_takes_pictures_from_all_of_the_alphabet(tmp_path: Path) -> None:
    paths = [tmp_path / f"{index:03}" for index in range(100)]
    store, said = PictureStore(most_bytes=30 * 100), list[str]()

    def keep(path: Path) -> int:
        store.kept([path], "kind", lambda: [np.zeros(100, np.uint8)])
        return int(path.name)

    kept = list(store.gathered(paths, keep, said.append).values())
    assert kept == sorted(kept)
    assert len(kept) == 30
    assert 30 < np.mean(kept) < 70
    assert said == [
        "70 of 100 pictures, chosen at random, left out: 0 MiB of memory are full; with a folder "
        "as cache, none is left out"
    ]


def folder_of_all_kinds(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(3):
        light = rng.lognormal(-1, 1.5, (3, 64, 128 if index else 70)).astype(np.float32)
        picture = Picture(pixels=light, is_float=True, bit_depth=32, transfer=Transfer.LINEAR)
        (folder / f"{index}.exr").write_bytes(encode(picture, ImageFormat.EXR))
    for index in range(3):
        picture = Picture(pixels=rng.random((3, 70, 80), np.float32))
        (folder / f"{index}.png").write_bytes(encode(picture, ImageFormat.PNG))
    return folder


def test_a_cache_changes_no_crop(tmp_path: Path) -> None:
    folder = folder_of_all_kinds(tmp_path)
    batches, libraries, noisy = [], [], []
    for store in (PictureStore(), *(PictureStore(tmp_path / "cache") for _ in range(2))):
        pictures = load_pictures(
            sorted(folder.iterdir()), channels=3, least_size=32, store=store, warn=pytest.fail
        )
        crops = RandomCrops(list(pictures.values()), patch=32, batch=16)
        batches.append(crops(Randomness(0, torch.device("cpu"))))
        libraries.append(open_library([folder], least_size=32, store=store, warn=pytest.fail))
        found = open_noisy_pictures(
            [folder], method="blind-spot", channels=0, patch=32, store=store, warn=lambda _: None
        )
        noisy.append([found.samples, *(each[:] for scene in found.scenes for each in scene)])
    for other in (1, 2):
        assert torch.equal(batches[0], batches[other])
        assert noisy[0][0] == noisy[other][0]
        assert all(map(torch.equal, noisy[0][1:], noisy[other][1:]))
        for kind in ("panoramas", "pictures", "photographs"):
            first, second = (getattr(libraries[index], kind) for index in (0, other))
            assert len(first) == len(second) > 0
            assert all(torch.equal(a[:], b[:]) for a, b in zip(first, second, strict=True))


def test_larger_crops_refuse_what_is_cached(tmp_path: Path) -> None:
    folder, said = folder_of_all_kinds(tmp_path), list[str]()
    paths = sorted(folder.glob("*.png"))
    store = PictureStore(tmp_path / "cache")
    load_pictures(paths, channels=3, least_size=32, store=store, warn=pytest.fail)
    with pytest.raises(TrainingError, match="no usable picture"):
        load_pictures(paths, channels=3, least_size=71, store=store, warn=said.append)
    words = "smaller than the crops of 71 pixels (patch); left out"
    assert said == [f"{path}: {words}" for path in paths]


_CHILD = """
import sys
from pathlib import Path
import torch
from restore.training.crops import RandomCrops, load_pictures
from restore.training.picture_store import PictureStore
from restore.training.state import Randomness

def own():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) >> 10 for line in file if line.startswith("RssAnon"))

paths = sorted(Path(sys.argv[1]).glob("*.ppm"))
rng = Randomness(0, torch.device("cpu"))
def used(paths):
    store = PictureStore(Path(sys.argv[2]), most_bytes=1)
    pictures = load_pictures(paths, channels=3, least_size=32, store=store, warn=print)
    crops = RandomCrops(list(pictures.values()), patch=32, batch=32)
    for _ in range(10):
        crops(rng)
    return own()
few = used(paths[:2])
print(used(paths) - few)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_pictures_in_a_cache(tmp_path: Path) -> None:
    """Thirty pictures of 3 MB each, in memory 90 MB, take less than the first two and 20 MB."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(30):
        (folder / f"{index}.ppm").write_bytes(b"P6 1000 1000 255\n" + bytes([index]) * 3_000_000)
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, folder, tmp_path / "cache"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert int(done.stdout) < 20
