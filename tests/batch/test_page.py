"""The page of a run, made from outcomes."""

import os
import re
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from restore.batch.page import PageText, RunPage, check_page
from restore.batch.plan import BatchPlan, Existing, Item
from restore.batch.stream import Outcome, Status
from restore.batch.views import Views, views_of
from restore.errors import OutputError, UsageError
from restore.image.picture import Picture

TEXT = PageText("imrestore test", "Before & after.", "Removed")


@pytest.fixture(scope="module")
def views() -> Views:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 30, 40, 3), dtype=np.uint8)
    return views_of(*pixels, Picture(pixels=np.zeros((3, 1, 1), np.float32)))


def outcome(name: str, views: Views | None, **fields: object) -> Outcome:
    done = Outcome(
        item=Item(source=Path(name), destination=Path("out", name)),
        status=Status.DONE,
        record={"sigma": 12.3456789, "megapixels": 1.5, "seconds": 2.0},
        views=views,
    )
    return replace(done, **fields)


def written(path: Path, *outcomes: Outcome, existing: Existing = Existing.OVERWRITE) -> str:
    page = RunPage(path, TEXT, existing)
    for each in outcomes:
        page.add(each)
    page.finish()
    return path.read_text(encoding="utf-8")


def names(page: str) -> list[str]:
    pattern = r'^<li class="\w+ \w+" data-key="[^"]*" data-name="([^"]*)"'
    return re.findall(pattern, page, re.MULTILINE)


def test_a_page_holds_what_became_of_every_picture(tmp_path: Path, views: Views) -> None:
    lost = {
        "lost": ["its video"],
        "damaged": "cut short",
        "aligned": True,
        "megapixels": 1.5,
        "seconds": 0.25,
    }
    page = written(
        tmp_path / "deep/page.html",
        outcome("a.png", views),
        outcome("b.png", views, record=lost),
        outcome("c.png", None, status=Status.FAILED, record={}, error="c.png: is damaged"),
        outcome("d.png", None, status=Status.SKIPPED, record={}),
        outcome("e.tif", None),
    )
    assert names(page) == ["a.png", "b.png", "c.png", "d.png", "e.tif"]
    page = page.replace("</dt> <dd>", "</dt><dd>")
    for text in ("noise level, of 255</dt><dd>12.346<", "aligned</dt><dd>yes<", "lost: its video"):
        assert text in page
    for text in ("c.png: is damaged", "is kept", "Larger than memory", "damaged: cut short"):
        assert text in page
    figures = page[page.index('class="figures"') : page.index("<nav")]
    for count, name in ((3, "pictures"), (1, "skipped"), (1, "failed"), (4.5, "megapixels")):
        assert f"<b>{count}</b><span>{name}</span>" in figures
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["page.html"]


@pytest.mark.parametrize(
    ("megapixels", "shown"),
    [(12345.6, "12,346"), (1234567, "1,234,567"), (999.96, "1,000"), (24.16, "24.16"),
     (0.00002, "0"), (0.012, "0.012")],
)  # fmt: skip
def test_totals_are_plain_numbers(tmp_path: Path, megapixels: float, shown: str) -> None:
    record = {"megapixels": megapixels, "seconds": 10000.0}
    page = written(tmp_path / "p.html", outcome("a.png", None, record=record))
    assert f"<b>{shown}</b><span>megapixels</span>" in page
    assert "<b>10,000</b><span>seconds</span>" in page


def test_everything_from_files_is_escaped(tmp_path: Path, views: Views) -> None:
    evil = '<script>alert("&")</script>\n<li class="x'
    page = written(
        tmp_path / "p.html",
        outcome(f"in/{evil}.png", views, record={"model": evil, "lost": [evil], evil: 1}),
        outcome("x", None, status=Status.FAILED, error=evil),
    )
    assert page.count("<script") == 1
    assert page.count("\n<li class=") == 2
    assert "&lt;script&gt;alert(&#34;&amp;&#34;)" in page


def test_names_that_are_no_utf_8_are_kept_apart(tmp_path: Path, views: Views) -> None:
    strange = os.fsdecode(b"caf\xe9.png")
    path = tmp_path / "p.html"
    written(path, outcome(strange, views))
    skipped = outcome(strange, None, status=Status.SKIPPED)
    page = written(path, skipped, existing=Existing.SKIP)
    assert names(page) == [r"caf\udce9.png"]
    assert views.thumbnail in page


def test_a_resumed_run_writes_the_page_of_an_uninterrupted_one(
    tmp_path: Path, views: Views
) -> None:
    all_done = [outcome(f"{n}.png", views) for n in range(4)]
    whole = written(tmp_path / "whole.html", *all_done)
    path = tmp_path / "part.html"
    failed = replace(all_done[2], status=Status.FAILED, views=None, error="disk full")
    written(path, all_done[0], failed)
    done_before = replace(all_done[0], status=Status.SKIPPED, views=None, record={})
    assert written(path, done_before, *all_done[1:], existing=Existing.SKIP) == whole


def test_pictures_of_earlier_runs_stay(tmp_path: Path, views: Views) -> None:
    path = tmp_path / "p.html"
    written(path, outcome("b.png", views))
    both = written(path, outcome("a.png", views), existing=Existing.SKIP)
    assert names(both) == ["a.png", "b.png"]
    assert names(written(path, outcome("a.png", views))) == ["a.png"]


def test_memory_does_not_grow_with_the_pictures(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 500, 500, 3), dtype=np.uint8)
    views = views_of(*pixels, Picture(pixels=np.zeros((3, 1, 1), np.float32)))
    page = RunPage(tmp_path / "p.html", TEXT, Existing.OVERWRITE)
    page.add(outcome("a.png", views))
    tracemalloc.start()
    for n in range(120):
        page.add(outcome(f"{n}.png", views))
    page.finish()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    size = (tmp_path / "p.html").stat().st_size
    assert size < 121 * 200_000
    assert peak < 4e6 < size


def test_a_full_disk_fails_the_page_and_nothing_else(
    tmp_path: Path, views: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = RunPage(tmp_path / "p.html", TEXT, Existing.OVERWRITE)

    class Full:
        def write(self, _: bytes) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(page, "_file", Full())
    page.add(outcome("a.png", views))
    page.add(outcome("b.png", views))
    with pytest.raises(OutputError, match=r"p\.html: the report cannot be written: No space"):
        page.finish()
    assert not list(tmp_path.iterdir())


def test_pages_that_would_replace_something_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "there.html").write_text("mine")
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "link.html").symlink_to(tmp_path / "a.png")
    plan = BatchPlan(items=(Item(source=tmp_path / "a.png", destination=tmp_path / "b.html"),))
    for name, existing, message in (
        ("page.png", Existing.OVERWRITE, "give the name of an HTML file"),
        ("-", Existing.OVERWRITE, "give the name of an HTML file"),
        ("folder.html", Existing.OVERWRITE, "is a folder"),
        ("link.html", Existing.OVERWRITE, "is an input"),
        ("b.html", Existing.OVERWRITE, "is a result"),
        ("there.html", Existing.REFUSE, "overwrite=True replaces"),
        ("there.html", Existing.SKIP, "is no report"),
    ):
        with pytest.raises(UsageError, match=message):
            check_page(tmp_path / name, plan, existing)
    check_page(tmp_path / "there.html", plan, Existing.OVERWRITE)
    check_page(tmp_path / "new.htm", plan, Existing.REFUSE)
