"""`imrestore denoise` from and to an object store, archives and web servers."""

import errno
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

Run = Callable[..., SimpleNamespace]
Photo = Callable[..., Path]


@pytest.fixture
def stocked(bucket: Any, photo: Photo) -> Any:
    """A bucket that holds three pictures, as the folder ``in`` does."""
    for name in ("in/a.png", "in/sub/b.jpg", "in/sub/deep/c.tif"):
        bucket.put(name, photo(name, seed=len(name)).read_bytes())
    bucket.put("in/notes.txt", b"no picture")
    return bucket


def test_a_tree_in_a_bucket_gives_the_bytes_of_a_local_run(
    run: Run, stocked: Any, tiny_weights: str, tree: Callable[[str], dict[str, bytes]]
) -> None:
    local = run("denoise", "in", "-r", "-o", "out", "--model", tiny_weights)
    assert local.code == 0, local.err
    ended = run(
        "denoise", f"{stocked.url}/in/", "-r", "-o", f"{stocked.url}/out/", "--compare", "--json",
        "--model", tiny_weights,
    )  # fmt: skip
    assert ended.code == 0, ended.err
    for name, data in tree("out").items():
        assert stocked.get(f"out/{name}") == data
    assert stocked.keys("out") == [
        "out/a.png",
        "out/a_compare.png",
        "out/sub/b.jpg",
        "out/sub/b_compare.png",
        "out/sub/deep/c.tif",
        "out/sub/deep/c_compare.png",
    ]
    first = json.loads(ended.out.splitlines()[0])
    assert first["source"] == f"{stocked.url}/in/a.png"
    assert first["destination"] == f"{stocked.url}/out/a.png"
    assert first["compare"] == f"{stocked.url}/out/a_compare.png"
    assert "imrestore-" not in ended.out + ended.err
    assert "1 file of another kind left out: .txt 1" in ended.err


def denoised(run: Run, weights: str, *arguments: str) -> SimpleNamespace:
    return run("denoise", *arguments, "--model", weights)


def test_what_exists_is_neither_replaced_nor_done_again(
    run: Run, stocked: Any, tiny_weights: str
) -> None:
    here = (f"{stocked.url}/in/", "-r", "-o", f"{stocked.url}/out/")
    stocked.put("out/a.png", b"mine")
    ended = denoised(run, tiny_weights, *here)
    assert ended.code == 2
    assert f"{stocked.url}/out/a.png: exists already; --overwrite" in ended.err
    ended = denoised(run, tiny_weights, *here, "--skip-existing")
    assert (ended.code, stocked.get("out/a.png")) == (0, b"mine")
    assert "2 done, 1 skipped" in ended.err
    ended = denoised(run, tiny_weights, *here, "--overwrite")
    assert ended.code == 0
    assert stocked.get("out/a.png") != b"mine"
    assert (
        f"{stocked.url}/in/a.png: is the input"
        in denoised(
            run, tiny_weights, f"{stocked.url}/in/a.png", "-o", f"{stocked.url}/in/", "--overwrite"
        ).err
    )


def test_an_object_that_comes_meanwhile_is_not_replaced(
    run: Run, stocked: Any, tiny_weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from restore.remote.store import ObjectStore

    push = ObjectStore.push

    def another_was_faster(self: ObjectStore, path: Path, key: str, *, overwrite: bool) -> None:
        stocked.put("out/a.png", b"theirs")
        push(self, path, key, overwrite=overwrite)

    monkeypatch.setattr(ObjectStore, "push", another_was_faster)
    one = (f"{stocked.url}/in/a.png", "-o", f"{stocked.url}/out/")
    ended = denoised(run, tiny_weights, *one)
    assert ended.code == 1
    assert f"{stocked.url}/out/a.png: exists already" in ended.err
    assert stocked.get("out/a.png") == b"theirs"


def test_a_dry_run_writes_nothing_and_asks_for_no_right_to(run: Run, stocked: Any) -> None:
    stocked.server.refused += [("PUT", "403"), ("POST", "403")]
    ended = run("denoise", f"{stocked.url}/in/", "-o", f"{stocked.url}/new/", "--dry-run")
    assert ended.out == f"{stocked.url}/in/a.png -> {stocked.url}/new/a.png\n"
    assert (ended.code, stocked.keys("new")) == (0, [])


@pytest.mark.slow
def test_buckets_and_disks_mix(
    run: Run, stocked: Any, tiny_weights: str, tree: Callable[[str], dict[str, bytes]]
) -> None:
    assert denoised(run, tiny_weights, f"{stocked.url}/in/", "-r", "-o", "here").code == 0
    assert denoised(run, tiny_weights, "in", "-r", "-o", f"{stocked.url}/there").code == 0
    assert {f"there/{name}" for name in tree("here")} == set(stocked.keys("there"))
    for name, data in tree("here").items():
        assert stocked.get(f"there/{name}") == data


def test_weights_and_reports_may_be_in_a_bucket(run: Run, stocked: Any, tiny_weights: str) -> None:
    stocked.put("models/own.safetensors", Path(tiny_weights).read_bytes())
    report = f"{stocked.url}/pages/run.html"
    ended = denoised(
        run, f"{stocked.url}/models/own.safetensors", "in/a.png", "-o", "out/", "--json",
        "--report", report,
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["model"] == "own"
    assert b"in/a.png" in stocked.get("pages/run.html")
    again = denoised(run, tiny_weights, "in/a.png", "-o", "again/", "--report", report)
    assert (again.code, f"{report}: exists already" in again.err) == (2, True)


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("s3://nowhere-at-all/in/", "out", "s3://nowhere-at-all: no such bucket"),
        ("in", "s3://nowhere-at-all/out/", "s3://nowhere-at-all: no such bucket"),
        ("{bucket}/empty/", "out", "no pictures or RAW files in {bucket}/empty"),
        ("{bucket}/in/missing.png", "out/", "{bucket}/in/missing.png: no such file or folder"),
        ("{bucket}/in/../a.png", "out/", "no names of folders"),
        ("in", "https://127.0.0.1/out/", "web servers are read, not written to"),
        ("in", "zip://out.zip", "archives are read"),
    ],
)
def test_refusals_are_one_line(
    run: Run, stocked: Any, source: str, target: str, message: str
) -> None:
    source, message = (each.replace("{bucket}", stocked.url) for each in (source, message))
    ended = run("denoise", source, "-o", target)
    assert ended.code == 2
    assert message in ended.err
    assert len(ended.err.splitlines()) == 1


def test_addresses_among_the_options_are_no_files() -> None:
    from imrestore.places import on_disk

    given = {"webhook": "http://127.0.0.1:9/hook", "model": "photo", "inputs": ["in"]}
    with on_disk(given) as placed:
        assert placed == given


def test_a_bucket_is_not_watched(run: Run, stocked: Any) -> None:
    Path("hot").mkdir()
    for watch, out in ((f"{stocked.url}/in/", "out"), ("hot", f"{stocked.url}/out/")):
        ended = run("denoise", "--watch", watch, "-o", out)
        assert (ended.code, "are folders on disk" in ended.err) == (2, True)


def test_without_credentials_it_is_said_how_to_sign_in(
    run: Run, stocked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    ended = run("denoise", f"{stocked.url}/in/", "-o", "out")
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert "no credentials; set AWS_PROFILE" in ended.err


def test_without_the_right_to_write_nothing_is_begun(
    run: Run, stocked: Any, tiny_weights: str
) -> None:
    stocked.server.refused += [("?uploads", "403")]
    ended = denoised(run, tiny_weights, "in", "-r", "-o", f"{stocked.url}/out/")
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert "may not be written with these credentials" in ended.err
    stocked.server.refused[:] = [("PUT", "403")]
    ended = denoised(run, tiny_weights, "in", "-r", "-o", f"{stocked.url}/out/")
    assert (ended.code, "3 failed" in ended.err) == (1, True)


def test_the_extra_is_named_where_it_is_missing(
    run: Run, photo: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    photo("in/a.png")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    assert "pip install 'imrestore[remote]'" in run("denoise", "s3://b/in/", "-o", "out").err
    assert "pip install gcsfs" in run("denoise", "in", "-o", "gs://b/out/").err


def test_keys_that_no_file_can_have_are_left_out_and_said(run: Run, stocked: Any) -> None:
    for key in ("in/../../etc/x.png", "in//y.png", f"in/{'n' * 300}.png"):
        stocked.put(key, stocked.get("in/a.png"))
    stocked.put("in/A.png", stocked.get("in/a.png"))
    ended = run("denoise", f"{stocked.url}/in/", "-r", "-o", "out", "--dry-run")
    assert ended.code == 1
    assert "left out: no files can have these names" in ended.err
    assert len(ended.err.splitlines()) == 2  # files of other kinds
    assert "in/A.png -> out/A.png" in ended.out
    assert "in/a.png -> out/a.png" in ended.out
    assert "x.png" not in ended.out


@pytest.mark.parametrize(
    "fault",
    ["500", "cut", *(pytest.param(each, marks=pytest.mark.slow) for each in ("503", "slow"))],
)
def test_what_passes_is_tried_again(run: Run, stocked: Any, tiny_weights: str, fault: str) -> None:
    key = f"/{stocked.name}"
    stocked.server.faults += [
        (f"GET {key}?list-type=2", fault),
        (f"GET {key}/in/a.png", fault),
        (f"GET {key}/in/a.png", fault),
        (f"PUT {key}/out/a.png", fault),
    ]
    ended = denoised(
        run, tiny_weights, f"{stocked.url}/in/", "-r", "-o", f"{stocked.url}/out/", "--jobs", "1"
    )
    assert ended.code == 0, ended.err
    assert len(stocked.server.faults) == (fault == "slow")  # which needs no second try
    assert stocked.keys("out") == ["out/a.png", "out/sub/b.jpg", "out/sub/deep/c.tif"]


def test_what_does_not_pass_fails_alone(run: Run, stocked: Any, tiny_weights: str) -> None:
    stocked.server.refused += [(f"/{stocked.name}/in/a.png", "500")]
    ended = denoised(run, tiny_weights, f"{stocked.url}/in/", "-r", "-o", f"{stocked.url}/out/")
    assert (ended.code, "2 done, 1 failed" in ended.err) == (1, True)
    assert f"{stocked.url}/in/a.png: cannot be read" in ended.err
    assert "tried 5 times" in ended.err


def test_folders_are_listed_and_not_asked_for_file_by_file(run: Run, stocked: Any) -> None:
    for index in range(20):
        stocked.put(f"in/{index}.png", b"")
        stocked.put(f"out/{index}.png", b"")
    stocked.server.requests.clear()
    ended = run(
        "denoise", f"{stocked.url}/in/", "-r", "-o", f"{stocked.url}/out/", "--dry-run",
        "--skip-existing",
    )  # fmt: skip
    assert ended.out.count("(exists, skipped)") == 20
    assert len(stocked.server.requests) <= 6


def test_a_disk_that_is_full_here_is_told_from_the_store(
    run: Run, stocked: Any, tiny_weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("restore.files.os.fsync", full)
    ended = denoised(run, tiny_weights, f"{stocked.url}/in/a.png", "-o", f"{stocked.url}/out/")
    assert ended.code == 1
    assert (
        f"{stocked.url}/out/a.png: cannot be written: No space left on device; results are on "
        in ended.err
    )
    assert "let TMPDIR name" in ended.err


@pytest.mark.slow
def test_nothing_is_left_on_disk(
    run: Run, stocked: Any, tiny_weights: str, tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from restore.remote.mount import Mount

    temporary = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    seen = []
    push = Mount.push

    def count(self: Mount, path: Path, *, overwrite: bool) -> None:
        push(self, path, overwrite=overwrite)
        seen.append(len([each for each in temporary.rglob("*.*") if each.is_file()]))

    monkeypatch.setattr(Mount, "push", count)
    for index in range(12):
        stocked.put(f"in/{index}.png", stocked.get("in/a.png"))
    stocked.put("in/damaged.png", b"\x89PNG")
    ended = denoised(
        run, tiny_weights, f"{stocked.url}/in/", "-o", f"{stocked.url}/out/", "--jobs", "1"
    )
    assert "13 done, 1 failed" in ended.err
    assert max(seen) <= 3  # one that is read, one that waits, one that is written
    assert list(temporary.iterdir()) == []


@pytest.mark.slow
def test_parts_in_a_bucket_are_inspected(run: Run, part: Photo, bucket: Any, model: str) -> None:
    for name, hole in (("good", False), ("bad", True)):
        bucket.put(f"parts/{name}.png", part(f"parts/{name}.png", hole=hole).read_bytes())
    report = f"{bucket.url}/report/"
    ended = run("anomaly", f"{bucket.url}/parts/", "--model", model, "-o", report)
    assert ended.code == 0, ended.err
    lines = [json.loads(line) for line in bucket.get("report/results.jsonl").splitlines()]
    assert {line["source"]: line["verdict"] for line in lines} == {
        f"{bucket.url}/parts/bad.png": "defective",
        f"{bucket.url}/parts/good.png": "good",
    }
    assert b"/imrestore-" not in bucket.get("report/report.html")
    assert "exist" in run("anomaly", f"{bucket.url}/parts/", "--model", model, "-o", report).err


@pytest.mark.slow
def test_weights_are_trained_on_a_bucket_and_sent_to_it(
    run: Run, stocked: Any, photo: Photo
) -> None:
    for index in range(3):
        path = photo(f"train/{index}.png", width=50, seed=index)
        stocked.put(f"train/{index}.png", path.read_bytes())
    output = f"{stocked.url}/weights/mine.safetensors"
    tiny = ("--model=dncnn", "--depth=3", "--width=8", "--patch=16", "--batch=4", "--steps=3")
    ended = run("train", "denoise", f"{stocked.url}/train/", "-o", output, *tiny)
    assert ended.code == 0, ended.err
    assert f"{stocked.url}/train: 3 files fetched" in ended.err
    assert f"{output}: " in ended.err
    assert "imrestore-" not in ended.err
    assert "weights/mine.safetensors" in stocked.keys("weights")


@pytest.mark.slow
def test_a_training_goes_on_from_a_bucket_when_its_machine_is_lost(
    run: Run,
    stocked: Any,
    photo: Photo,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from restore.remote.url_paths import UrlPaths
    from restore.tasks import load

    for index in range(3):
        stocked.put(f"train/{index}.png", photo(f"{index}.png", width=50, seed=index).read_bytes())
    output = f"{stocked.url}/weights/mine.safetensors"
    tiny = ("--model=dncnn", "--depth=3", "--width=8", "--patch=16", "--batch=4", "--quiet")
    train = ("train", "denoise", f"{stocked.url}/train/", *tiny, "--checkpoint-every", "0s")

    def lose(paths: UrlPaths) -> None:
        for kept in paths._kept:
            kept.wait()

    with monkeypatch.context() as patched:
        patched.setattr(UrlPaths, "send_changes", lose)
        assert run(*train, "-o", output, "--steps", "6").code == 0
    left = ["mine.best.safetensors", "mine.checkpoint", "mine.history.csv"]
    assert [key for key in stocked.keys("weights") if not key.endswith("png")] == [
        f"weights/{name}" for name in left
    ]
    ended = run(*train, "-o", output, "--steps", "12", "--resume", "auto")
    assert ended.code == 0, ended.err
    assert "steps was 6, is now 12" in caplog.text
    assert "changed since the run was stopped" not in caplog.text
    assert not {"weights/mine.checkpoint", "weights/mine.best.safetensors"} & set(stocked.keys())
    Path("mine.safetensors").write_bytes(stocked.get("weights/mine.safetensors"))
    assert load("mine.safetensors").provenance["steps"] == 12
    rows = stocked.get("weights/mine.history.csv").decode().splitlines()[1:]
    assert [int(row.partition(",")[0]) for row in rows] == list(range(13))
