"""What a person does with the page of an inspection, in headless Chromium."""

import csv
import io
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from restore.anomaly.page import Page, page_of
from restore.anomaly.records import Record
from restore.anomaly.regions import Region
from restore.anomaly.runner import Detector
from restore.anomaly.sheet import sheet_of, tiles_of
from restore.anomaly.verdict import Verdict

pytestmark = pytest.mark.slow

SIZE = (1800, 1200)
BOX = (700, 400, 24, 16)


def record(name: str, relative: float, **changes: object) -> Record:
    verdict = Verdict.DEFECTIVE if relative > 1 else Verdict.GOOD
    left, top, width, height = BOX
    region = Region(left=left, top=top, width=width, height=height, area=384, peak=relative)
    made = Record(
        source=name,
        verdict=verdict,
        score=0.38 * relative,
        relative_score=relative,
        threshold=0.38,
        width=SIZE[0],
        height=SIZE[1],
        regions=(region,) if relative > 1 else (),
        region_count=int(relative > 1),
        largest_area=384 if relative > 1 else 0,
        peak_at=(712, 408),
        files={"map": f"maps/{name}.tif", "overlay": f"overlays/{name}.png"},
    )
    return replace(made, **changes)  # type: ignore[arg-type]


SEVERAL = [
    record("in/hole <b>.png", 2.0),
    record("in/dark.png", 0.2, verdict=Verdict.UNFAMILIAR, reason="darker than any good part"),
    record("in/scratch.png", 1.1),
    record("in/close.png", 0.9, verdict=Verdict.REVIEW),
    *(record(f"in/good-{index}.png", 0.1 + index / 100) for index in range(40)),
    Record(source="in/broken.png", verdict=Verdict.FAILED, error="in/broken.png: is damaged"),
]


@pytest.fixture
def written(tmp_path: Path, darkness_weights: Callable[..., str]) -> Callable[..., Path]:
    """Write the page of some records, whose parts are gray, repaired darker."""
    detector = Detector(darkness_weights("dark"))

    def write(
        records: list[Record], *, pictured: Collection[str] | None = None, **fields: object
    ) -> Path:
        folder = tmp_path / "report"
        (folder / "thumbnails/in").mkdir(parents=True, exist_ok=True)
        part, repaired = (np.full((*SIZE[::-1], 3), level, np.uint8) for level in (180, 60))
        mask = np.zeros(SIZE[::-1], bool)
        left, top, width, height = BOX
        mask[top : top + height, left : left + width] = True
        for each in records:
            is_pictured = pictured is None or each.source in pictured
            if each.files and is_pictured:
                tiles = tiles_of(*SIZE, each.regions, each.peak_at)
                sheet = sheet_of(part, repaired, mask & (each.region_count > 0), tiles)
                (folder / f"thumbnails/{each.source}.webp").write_bytes(sheet)
        page = Page(records=records, report=folder, detector=detector, **fields)  # type: ignore[arg-type]
        (folder / "report.html").write_bytes(b"".join(page_of(page)))
        return folder / "report.html"

    return write


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a page; whatever it asks the network for, or complains about, is an error."""
    contexts, complaints = [], []

    def open_page(path: Path, *, width: int = 1280, theme: str = "light") -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=theme, offline=True
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked(request.url, path))
        page.goto(path.as_uri())
        page.wait_for_selector("#stage[data-ready]")
        return page

    def asked(url: str, path: Path) -> None:
        if not url.startswith(("data:", "blob:")) and url != path.as_uri():
            complaints.append(url)

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def names(page: Any) -> list[str]:
    return [row.get_attribute("title") for row in page.locator(".row").all()]


def colour(page: Any, x: float, y: float) -> np.ndarray:
    """Return the colour of the stage at a place, of which the middle is (0.5, 0.5)."""
    image = Image.open(io.BytesIO(page.locator("#stage").screenshot())).convert("RGB")
    pixels = np.asarray(image).astype(int)
    return pixels[int(y * (len(pixels) - 1)), int(x * (pixels.shape[1] - 1))]


def test_the_worst_part_comes_first_and_every_verdict_can_be_chosen(
    written: Callable[..., Path], opened: Callable[..., Any]
) -> None:
    page = opened(written(SEVERAL))
    assert page.inner_text("#found") == "45 of 45"
    assert names(page)[:4] == ["in/hole <b>.png", "in/scratch.png", "in/dark.png", "in/close.png"]
    for choice, expected in (
        ("defective", ["in/hole <b>.png", "in/scratch.png"]),
        ("unfamiliar", ["in/dark.png"]),
        ("review", ["in/close.png"]),
        ("near", ["in/scratch.png", "in/close.png"]),
        ("not-good", ["in/hole <b>.png", "in/scratch.png", "in/dark.png", "in/close.png"]),
        ("failed", ["in/broken.png"]),
    ):
        page.select_option("#show", choice)
        assert names(page) == expected
    assert not page.locator("#stage").is_visible()
    page.select_option("#show", "unfamiliar")
    assert page.inner_text("#said") == "unfamiliar darker than any good part"
    page.select_option("#show", "all")
    page.select_option("#sort", "lowest")
    assert names(page)[1] == "in/good-0.png"
    page.fill("#search", "GOOD 12")
    assert names(page) == ["in/good-12.png"]
    page.fill("#search", "nothing")
    assert page.inner_text("#found") == "0 of 45"
    assert not page.locator("#viewer").is_visible()


def test_a_defect_is_outlined_at_any_size_and_shown_at_one_to_one(
    written: Callable[..., Path], opened: Callable[..., Any]
) -> None:
    page = opened(written([replace(SEVERAL[0], width=18000, height=12000)]))
    outline = page.locator("#stage rect.box")
    box = outline.bounding_box()
    assert int(page.inner_text("#zoom").removesuffix(" %")) < 15
    assert min(box["width"], box["height"]) > 12
    page.click("#actual")
    assert page.inner_text("#zoom") == "100 %"
    box, stage = outline.bounding_box(), page.locator("#stage").bounding_box()
    assert box["width"] == pytest.approx(BOX[2] + 4, abs=3)
    assert box["x"] + box["width"] / 2 == pytest.approx(stage["x"] + stage["width"] / 2, abs=2)
    page.click("#outline")
    assert outline.count() == 0
    page.focus("#stage")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("o")
    moved = outline.bounding_box()
    assert moved["x"] == pytest.approx(box["x"] - 80, abs=2)
    page.keyboard.press("+")
    assert page.inner_text("#zoom") == "150 %"
    page.keyboard.press("f")
    assert page.eval_on_selector("#stage", "e => e.classList.contains('zoomed')") is False


def test_mask_and_reconstruction_are_toggled_and_blink(
    written: Callable[..., Path], opened: Callable[..., Any]
) -> None:
    page = opened(written(SEVERAL))
    page.click("#actual")
    page.click("#outline")
    assert colour(page, 0.5, 0.5) == pytest.approx([180] * 3, abs=8)
    page.keyboard.press("r")
    assert page.get_attribute("#reconstruction", "aria-pressed") == "true"
    assert page.inner_text("#what") == "reconstruction"
    assert colour(page, 0.5, 0.5) == pytest.approx([60] * 3, abs=8)
    page.keyboard.press("r")
    page.click("#mask")
    red = colour(page, 0.5, 0.5)
    assert red[0] > red[1] + 60
    assert colour(page, 0.5, 0.6) == pytest.approx([180] * 3, abs=8), "red only where it is masked"
    page.click("#blink")
    for kind in ("reconstruction", "part", "reconstruction"):
        page.wait_for_selector(f"#what:text-is('{kind}')")
    page.keyboard.press("Escape")
    assert page.get_attribute("#blink", "aria-pressed") == "false"
    assert page.inner_text("#what") == "part"


def test_keys_step_through_the_parts_that_are_chosen(
    written: Callable[..., Path], opened: Callable[..., Any]
) -> None:
    page = opened(written(SEVERAL))
    page.select_option("#show", "defective")
    for key, name in (("n", "scratch.png"), ("n", "scratch.png"), ("p", "hole <b>.png")):
        page.keyboard.press("Escape")
        page.focus("#list")
        page.keyboard.press(key)
        assert page.inner_text("#name") == f"in/{name}"
    page.select_option("#show", "all")
    page.focus("#list")
    page.keyboard.press("End")
    assert page.inner_text("#name") == "in/broken.png"
    assert page.locator(".row[aria-selected=true]").get_attribute("aria-posinset") == "45"
    active = page.get_attribute("#list", "aria-activedescendant")
    assert page.locator(f"#{active}").get_attribute("title") == "in/broken.png"
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    assert page.inner_text("#name") == "in/scratch.png"
    page.keyboard.press("/")
    page.keyboard.press("n")
    assert page.input_value("#search") == "n"


def test_the_operators_verdicts_are_kept_and_exported(
    written: Callable[..., Path], opened: Callable[..., Any]
) -> None:
    others = [record("in/=1.png", 3.0, moved_to="bad/=1.png"), record("=in,1.png", 1.5, files={})]
    path = written([*SEVERAL, *others])
    page = opened(path)
    assert page.inner_text("#judged") == "0 judged, 6 left."
    assert page.is_disabled("#save")
    page.keyboard.press("x")
    page.click("#next")
    page.click("#confirmed")
    page.fill("#search", "=in,1")
    page.locator("#list").focus()
    page.keyboard.press("c")
    page.reload()
    page.wait_for_selector("#stage[data-ready]")
    assert page.inner_text("#judged") == "3 judged, 3 left."
    with page.expect_download() as download:
        page.click("#save")
    assert download.value.suggested_filename == "verdicts.csv"
    text = Path(download.value.path()).read_text()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert rows == [
        {"file": "in/hole <b>.png", "verdict": "confirmed"},
        {"file": "bad/=1.png", "verdict": "false alarm"},
        {"file": "'=in,1.png", "verdict": "confirmed"},
    ]
    page.click("#false-alarm")
    assert page.inner_text("#judged") == "2 judged, 4 left."
    page.select_option("#show", "good")
    assert not page.locator("#judge").is_visible(), "a good part is no alarm"


def test_ten_thousand_parts_are_in_the_list_and_few_in_the_document(
    written: Callable[..., Path], opened: Callable[..., Any]
) -> None:
    many = [record(f"in/{index:05d}.png", 0.5, files={}) for index in range(10_000)]
    many[7777] = record("in/07777.png", 2.0)
    page = opened(written(many, pictured={"in/07777.png"}))
    assert page.inner_text("#found") == "10,000 of 10,000"
    assert page.inner_text("#name") == "in/07777.png"
    assert page.locator(".row").count() < 40
    page.focus("#list")
    page.keyboard.press("End")
    assert page.inner_text("#name") == "in/09999.png"
    assert page.locator(".row").count() < 40


def test_warnings_and_facts_are_shown(
    written: Callable[..., Path], opened: Callable[..., Any]
) -> None:
    page = opened(
        written(SEVERAL, warnings=["The scores have drifted."], facts=[("drift", "p 0.01")])
    )
    assert "The scores have drifted." in page.inner_text(".warnings")
    assert "p 0.01" in page.inner_text("header")
    assert "in/broken.png: is damaged" in page.inner_text(".failures")


def test_pictures_that_are_not_embedded_come_from_the_folder_or_are_said_to_be_there(
    written: Callable[..., Path], browser: Any
) -> None:
    path = written(SEVERAL[:2], pictured=())
    (path.parent / "overlays/in").mkdir(parents=True)
    Image.new("RGB", SIZE, (10, 200, 30)).save(path.parent / "overlays/in/hole <b>.png.png")
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(path.as_uri())
    page.wait_for_selector("#stage[data-ready]")
    page.click("#outline")
    page.wait_for_timeout(300)
    assert colour(page, 0.5, 0.5) == pytest.approx([10, 200, 30], abs=4)
    page.keyboard.press("n")
    page.wait_for_selector("#missing:not([hidden])")
    assert "overlays/in/dark.png.png" in page.inner_text("#missing")
    assert "Pictures of 2 parts are not stored in this page" in page.inner_text("footer")
    context.close()


def test_paper_has_the_list_and_half_a_page_for_each_part_that_is_not_good(
    written: Callable[..., Path], opened: Callable[..., Any]
) -> None:
    page = opened(written(SEVERAL))
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.locator("#printed li").count() == 4
    heights = page.eval_on_selector_all("#printed article", "a => a.map(e => e.offsetHeight)")
    assert len(heights) == 4
    half_of_a4 = 297 / 25.4 * 96 / 2
    assert all(height <= half_of_a4 for height in heights)
    assert not page.locator("#work").is_visible()
    pages = page.pdf(prefer_css_page_size=True).count(b"/Type /Page\n")
    assert pages == 3


def test_all_controls_are_reached_by_tab_and_have_names(
    written: Callable[..., Path], opened: Callable[..., Any]
) -> None:
    page = opened(written(SEVERAL))
    reached = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id"))
    controls = {"show", "sort", "search", "list", "next", "in", "out", "fit", "actual", "outline"}
    assert reached >= controls | {"mask", "reconstruction", "blink", "stage", "confirmed"}
    unnamed = page.evaluate("""[...document.querySelectorAll('button, select, input')].filter(
        (e) => !(e.textContent.trim() || e.labels?.length || e.ariaLabel)).map((e) => e.id)""")
    assert unnamed == []


@pytest.mark.parametrize("width", [390, 1600])
def test_nothing_is_wider_than_the_window_in_either_theme(
    written: Callable[..., Path], opened: Callable[..., Any], width: int
) -> None:
    path = written([replace(SEVERAL[0], source=f"in/{'long' * 40}.png"), *SEVERAL])
    colours = []
    for theme in ("light", "dark"):
        page = opened(path, width=width, theme=theme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert colours == ["rgb(247, 247, 245)", "rgb(22, 24, 27)"]
