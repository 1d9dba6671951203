"""Runs with `--manifest`, and `imrestore manifest`."""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from shutil import copyfile
from types import SimpleNamespace
from typing import Any

import pytest

Run = Callable[..., SimpleNamespace]
Photo = Callable[..., Path]


def rows(path: str = "m.jsonl") -> dict[str, dict[str, object]]:
    found = [json.loads(line) for line in Path(path).read_text().splitlines()]
    return {row["source"]: row for row in found}


@pytest.fixture(autouse=True)
def _pictures(photo: Photo) -> None:
    photo("in/a.png")
    photo("in/b.png", seed=1)
    Path("in/c.png").write_bytes(b"\x89PNG")


@pytest.fixture
def go(run: Run, tiny_weights: str) -> Callable[..., SimpleNamespace]:
    """Denoise the folder ``in``, which holds a, b and a damaged c, with a manifest."""

    def go(*options: str) -> SimpleNamespace:
        return run(
            "denoise", "in", "-o", "out", "--manifest", "m.jsonl", "--model", tiny_weights, *options
        )

    return go


def test_a_row_says_what_became_of_an_input(go: Run, tiny_weights: str) -> None:
    assert go().code == 1
    assert list(rows()) == ["in/a.png", "in/b.png", "in/c.png"]
    done, failed = rows()["in/a.png"], rows()["in/c.png"]
    assert done["size"] == Path("in/a.png").stat().st_size
    assert done["version"] == str(Path("in/a.png").stat().st_mtime_ns)
    assert done["weights"] == sha256(Path(tiny_weights).read_bytes()).hexdigest()
    assert (done["output"], done["status"], done["attempts"]) == ("out/a.png", "done", 1)
    assert isinstance(done["seconds"], float)
    assert "in/c.png" in str(failed["error"])
    assert (failed["status"], failed["attempts"]) == ("failed", 1)


def test_a_run_does_what_is_missing_or_has_changed(go: Run, photo: Photo) -> None:
    go()
    before = Path("out/b.png").stat().st_mtime_ns
    photo("in/d.png")
    Path("out/a.png").unlink()
    ended = go()
    assert (ended.code, "2 done, 1 skipped, 1 failed" in ended.err) == (1, True)
    assert "failed once before, and was not tried again; --retry-failed 2 does" in ended.err
    photo("in/a.png", seed=7)
    ended = go()
    assert (ended.code, "out/a.png: exists already; --overwrite" in ended.err) == (2, True)
    ended = go("--overwrite")
    assert "1 done, 2 skipped, 1 failed" in ended.err
    assert Path("out/b.png").stat().st_mtime_ns == before


def test_what_failed_is_tried_as_often_as_asked_for(go: Run, photo: Photo) -> None:
    go()
    assert go("--retry-failed", "2").code == 1
    assert rows()["in/c.png"]["attempts"] == 2
    assert "failed 2 times before" in go("--retry-failed", "2").err
    photo("in/c.png")  # another file now
    assert go().code == 0
    assert (rows()["in/c.png"]["status"], rows()["in/c.png"]["attempts"]) == ("done", 1)


def test_other_settings_and_other_weights_are_refused(go: Run, run: Run, tiny_weights: str) -> None:
    go()
    before = Path("m.jsonl").read_bytes()
    ended = go("--strength", "0.5")
    assert (ended.code, "other settings or weights" in ended.err) == (2, True)
    assert "2 skipped" in go("--jobs", "1", "--tile", "64", "--json").err
    Path("other.safetensors").write_bytes(Path(tiny_weights).read_bytes() + b" ")
    ended = run("denoise", "in", "-o", "out", "--manifest", "m.jsonl", "--model", tiny_weights,
                "--sigma", "3")  # fmt: skip
    assert ended.code == 2
    assert Path("m.jsonl").read_bytes() == before


def test_what_failed_and_has_a_result_by_now_has_not_failed(go: Run) -> None:
    go()
    Path("out/c.png").write_bytes(b"mine")
    assert go("--skip-existing").code == 0
    assert (rows()["in/c.png"]["status"], rows()["in/c.png"]["error"]) == ("skipped", "")


def test_the_weights_of_a_family_are_settings(
    run: Run, tmp_path: Path, tiny_weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("small-color", "small-gray"):
        copyfile(tiny_weights, tmp_path / f"{name}.safetensors")
    monkeypatch.setattr("restore.weights.file.weights_folder", lambda: tmp_path)
    family = ("denoise", "in/a.png", "-o", "out/", "--manifest", "m.jsonl", "--model", "small")
    assert run(*family).code == 0
    assert run(*family).code == 0
    with (tmp_path / "small-gray.safetensors").open("ab") as file:
        file.write(b" ")
    ended = run(*family)
    assert (ended.code, "other settings or weights" in ended.err) == (2, True)


def test_the_content_of_files_counts_among_settings_and_not_their_place() -> None:
    from imrestore.resuming import _hash_of

    for place, content in (("a.json", "1"), ("b.json", "1"), ("c.json", "2")):
        Path(place).write_text(content)
    one, same, other = (_hash_of({"noise_profile": f"{name}.json"}) for name in "abc")
    assert one == same != other


def test_what_damaged_pictures_give_and_default_weights_are_settings(
    tmp_path: Path, tiny_weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imrestore.resuming import _given, _hash_of, noting_settings
    from restore.denoise.task import TASK

    mine = tmp_path / "mine.safetensors"
    copyfile(tiny_weights, mine)
    monkeypatch.setitem(TASK.default_weights, "photo", str(mine))
    with noting_settings(keep_damaged=False), noting_settings(command="denoise", model="auto"):
        given = _given.get()
    usual = _hash_of(given)
    assert _hash_of(given | {"keep_damaged": True}) != usual
    with mine.open("ab") as file:
        file.write(b" ")
    assert _hash_of(given) != usual


def test_the_weights_of_error_maps_are_settings(
    tiny_weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imrestore.resuming import _hash_of
    from restore.denoise.task import ERRORS

    without, usual = (_hash_of({"error_map": each}) for each in (False, True))
    monkeypatch.setitem(ERRORS.default_weights, "any", tiny_weights)
    assert _hash_of({"error_map": False}) == without
    assert _hash_of({"error_map": True}) != usual


def test_no_manifest_is_left_of_a_run_that_is_refused(go: Run) -> None:
    go()
    Path("m.jsonl").unlink()
    assert (go().code, Path("m.jsonl").exists()) == (2, False)
    assert go("--overwrite").code == 1
    assert go("--overwrite", "--keep-damaged").code == 2


def test_lines_that_are_no_rows_are_said(go: Run, run: Run) -> None:
    go()
    with Path("m.jsonl").open("a") as file:
        file.write('half a li\n{"status": "done"}\n')
    said = "m.jsonl: 2 lines are no rows; left out"
    ended = run("manifest", "merge", "m.jsonl", "-o", "all.jsonl")
    assert ended.err.count(said) == 1
    assert len(rows("all.jsonl")) == 3
    ended = run("manifest", "status", "m.jsonl", "--json")
    assert (json.loads(ended.out)["damaged"], said in ended.err) == (2, True)
    assert said in run("manifest", "list", "m.jsonl").err


def test_a_killed_run_goes_on_where_it_was(go: Run) -> None:
    """What had its result, but no row yet, when the run ended is not done again."""
    go()
    kept = [line for line in Path("m.jsonl").read_text().splitlines() if "in/c.png" not in line]
    killed = json.loads(kept[0]) | {"status": "planned", "attempts": 0, "seconds": None}
    Path("m.jsonl").write_text("\n".join([json.dumps(killed), *kept[1:]]) + "\n")
    before = Path("out/a.png").stat().st_mtime_ns
    ended = go()
    assert "2 skipped, 1 failed" in ended.err
    assert Path("out/a.png").stat().st_mtime_ns == before
    assert rows()["in/a.png"]["status"] == "done"


def test_shards_share_a_manifest_and_a_dry_run_leaves_it_alone(go: Run) -> None:
    assert "in/a.png -> out/a.png" in go("--dry-run").out
    assert not Path("m.jsonl").exists()
    go("--shard", "1/2")
    go("--shard", "2/2")
    before = Path("m.jsonl").read_bytes()
    assert len(rows()) == 3
    ended = go("--dry-run")
    assert ended.out.count("(exists, skipped)") == 2
    assert Path("m.jsonl").read_bytes() == before


def test_the_commands_count_list_merge_and_retry(go: Run, run: Run) -> None:
    go()
    ended = run("manifest", "status", "m.jsonl")
    assert (ended.code, ended.out.splitlines()[0]) == (1, "2 done")
    assert "1 x ..." in ended.out
    counts = json.loads(run("manifest", "status", "m.jsonl", "--json").out)
    assert (counts["done"], counts["failed"], counts["planned"]) == (2, 1, 0)
    assert run("manifest", "list", "m.jsonl", "--status", "failed").out.startswith(
        "failed    1  in/c.png  in/c.png: "
    )
    assert run("manifest", "merge", "m.jsonl", "-o", "all.parquet").code == 0
    listed = run("manifest", "list", "all.parquet", "--json").out
    assert [json.loads(line) for line in listed.splitlines()] == list(rows().values())
    assert "exists already" in run("manifest", "merge", "m.jsonl", "-o", "all.parquet").err
    assert "no such manifest" in run("manifest", "status", "none.jsonl").err
    assert "1 to be tried again" in run("manifest", "retry", "m.jsonl").err
    assert rows()["in/c.png"]["status"] == "planned"
    assert rows()["in/c.png"]["attempts"] == 0
    Path("other.jsonl").write_text(
        Path("m.jsonl").read_text().replace(str(rows()["in/a.png"]["settings"]), "x")
    )
    ended = run("manifest", "merge", "m.jsonl", "other.jsonl", "-o", "both.jsonl")
    assert (ended.code, Path("both.jsonl").exists()) == (2, False)


def test_retries_need_a_manifest_and_a_manifest_a_place(run: Run) -> None:
    ended = run("denoise", "in", "-o", "out", "--retry-failed", "2")
    assert (ended.code, "--retry-failed does nothing here" in ended.err) == (2, True)
    ended = run("denoise", "in", "-o", "out", "--manifest", "in/a.png/m.jsonl")
    assert (ended.code, "cannot be written" in ended.err) == (2, True)


def test_a_manifest_of_a_bucket_knows_etags(run: Run, bucket: Any, tiny_weights: str) -> None:
    for name in ("a", "b"):
        bucket.put(f"in/{name}.png", Path(f"in/{name}.png").read_bytes())
    here = (
        "denoise", f"{bucket.url}/in/", "-o", f"{bucket.url}/out/", "--model", tiny_weights,
        "--manifest", f"{bucket.url}/m.jsonl",
    )  # fmt: skip
    assert run(*here).code == 0
    first, second = map(json.loads, bucket.get("m.jsonl").splitlines())
    assert first["source"] == f"{bucket.url}/in/a.png"
    assert first["output"] == f"{bucket.url}/out/a.png"
    assert len(first["version"]) == 32
    bucket.put("in/a.png", bucket.get("in/b.png"))
    ended = run(*here, "--overwrite")
    assert "1 done, 1 skipped" in ended.err, ended.err
    assert json.loads(bucket.get("m.jsonl").splitlines()[-1])["version"] == second["version"]
    failed = bucket.get("m.jsonl").replace(b'"done"', b'"failed"')
    bucket.put("m.jsonl", failed)
    assert "2 to be tried again" in run("manifest", "retry", f"{bucket.url}/m.jsonl").err
    assert bucket.get("m.jsonl").count(b'"planned"') == 2
