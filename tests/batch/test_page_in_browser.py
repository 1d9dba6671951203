"""What a person does with a page, in headless Chromium; skipped where there is none."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from restore.batch.page import PageText, RunPage
from restore.batch.plan import Existing, Item
from restore.batch.stream import Outcome, Status
from restore.batch.views import views_of
from restore.image.picture import Picture

pytestmark = pytest.mark.slow

HEIGHT, WIDTH = 1200, 1600
SIGMA = 6.0


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A large picture, a small one and one that failed."""
    path = tmp_path_factory.mktemp("page") / "page.html"
    page = RunPage(path, PageText("imrestore test", "Explained.", "Removed"), Existing.OVERWRITE)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    large = np.stack([60 + rows // 12, 60 + columns // 16, 100 + 0 * rows], axis=2)
    for name, clean in (("in/large.png", large), ("in/<b>small</b>.png", large[:60, :90])):
        noise = np.random.default_rng(0).normal(0, SIGMA, clean.shape)
        before, after = np.rint(clean + noise).astype(np.uint8), clean.astype(np.uint8)
        item = Item(source=Path(name), destination=Path("out") / name)
        error = np.full(clean.shape[:2], 4.0, np.float32) if clean is large else None
        views = views_of(before, after, Picture(pixels=np.zeros((3, 1, 1), np.float32)), error)
        record = {"sigma": SIGMA, "lost": ["a gain map"]}
        page.add(Outcome(item=item, status=Status.DONE, record=record, views=views))
    broken = Item(source=Path("in/broken.png"), destination=Path("out/broken.png"))
    page.add(Outcome(item=broken, status=Status.FAILED, error="in/broken.png: is damaged"))
    page.finish()
    return path


@pytest.fixture
def opened(browser: Any, page_file: Path) -> Iterator[Callable[..., Any]]:
    """Open the page; whatever it asks the network for, or complains about, is an error."""
    contexts, complaints = [], []

    def open_page(*, width: int = 1280, theme: str = "light") -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=theme, offline=True
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked(request.url))
        page.goto(page_file.as_uri())
        page.wait_for_selector("#stage[data-ready='in/large.png']")
        return page

    def asked(url: str) -> None:
        if not url.startswith("data:") and url != page_file.as_uri():
            complaints.append(url)

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def zoom(page: Any) -> int:
    return int(page.inner_text("#zoom").removesuffix(" %"))


def split(page: Any) -> float:
    shown = page.eval_on_selector("#divider", "e => e.getBoundingClientRect().x + 1.5")
    left, width = page.eval_on_selector(
        "#stage", "e => [e.getBoundingClientRect().x, e.clientWidth]"
    )
    return float((shown - left) / width)


def offset(page: Any) -> tuple[float, float]:
    box = page.eval_on_selector("#after > div", "e => e.getBoundingClientRect().toJSON()")
    return box["x"], box["y"]


def test_the_divider_follows_mouse_keyboard_and_slider(opened: Callable[..., Any]) -> None:
    page = opened()
    assert split(page) == pytest.approx(0.5, abs=0.01)
    box = page.locator("#stage").bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, y, steps=4)
    page.mouse.up()
    assert split(page) == pytest.approx(0.25, abs=0.01)
    page.focus("#split")
    page.keyboard.press("ArrowRight")
    assert split(page) == pytest.approx(0.26, abs=0.01)
    page.focus("#stage")
    page.keyboard.press(".")
    assert split(page) == pytest.approx(0.31, abs=0.01)
    clip = page.eval_on_selector("#after", "e => getComputedStyle(e).clipPath")
    assert clip.endswith("31%)")


def test_a_picture_is_zoomed_to_its_pixels_and_panned(opened: Callable[..., Any]) -> None:
    page = opened()
    assert zoom(page) < 100
    page.click("#actual")
    assert zoom(page) == 100
    width = page.eval_on_selector("#after > div img", "e => e.getBoundingClientRect().width")
    assert width == pytest.approx(WIDTH, abs=1)
    before = offset(page)
    box = page.locator("#stage").bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, box["y"] + 80, steps=3)
    page.mouse.up()
    assert offset(page) == pytest.approx((before[0] - 40, before[1] - 20), abs=1)
    assert split(page) == pytest.approx(0.5, abs=0.01)
    page.focus("#stage")
    page.keyboard.press("ArrowRight")
    assert offset(page)[0] == pytest.approx(before[0] - 120, abs=1)
    page.keyboard.press("+")
    assert zoom(page) == 150
    page.keyboard.press("f")
    assert zoom(page) < 100
    page.mouse.dblclick(box["x"] + 30, box["y"] + box["height"] / 2)
    assert zoom(page) == 100


def test_the_expected_error_takes_the_place_of_the_picture(opened: Callable[..., Any]) -> None:
    page = opened()

    def seen(name: str) -> bool:
        return bool(page.eval_on_selector(name, "e => getComputedStyle(e).visibility") == "visible")

    assert (seen("#errors"), seen("#after")) == (False, True)
    page.focus("#stage")
    page.keyboard.press("e")
    assert (seen("#errors"), seen("#after"), seen("#divider")) == (True, False, False)
    assert page.inner_text("#scale") == "expected error, white: 5 of 255"
    width = page.eval_on_selector("#errors img", "e => e.getBoundingClientRect().width")
    assert width == page.eval_on_selector("#after img", "e => e.getBoundingClientRect().width")
    page.keyboard.press("r")
    assert (seen("#errors"), seen("#difference")) == (False, True)
    page.keyboard.press("e")
    page.keyboard.press("n")
    page.wait_for_selector("#stage[data-ready='in/<b>small</b>.png']")
    assert page.is_hidden("#error")
    assert (seen("#errors"), seen("#after")) == (False, True)


def test_a_place_is_shown_whole_at_one_to_one(opened: Callable[..., Any]) -> None:
    page = opened()
    names = page.locator("#places button").all_inner_texts()
    assert "flat" in names
    page.click("#places button >> nth=0")
    assert zoom(page) == 100
    drawn = page.locator("#marks i").nth(0).bounding_box()
    stage = page.locator("#stage").bounding_box()
    for side, size in (("x", "width"), ("y", "height")):
        start = drawn[side] - stage[side]
        assert -2 <= start <= stage[size] - drawn[size] + 2


def test_before_and_what_was_removed_are_made_of_what_is_stored(opened: Callable[..., Any]) -> None:
    """At a place at 1:1: the noise comes back with its strength, and eight times as strong."""
    page = opened()
    measure = """selector => {
      const c = document.querySelectorAll(selector + ' canvas')[1];
      const data = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
      return [...data].filter((_, i) => i % 4 === 1);
    }"""
    before = np.array(page.evaluate(measure, "#before"), float)
    removed = np.array(page.evaluate(measure, "#difference"), float)
    noise = (removed - 128) / 8
    assert removed.mean() == pytest.approx(128, abs=3)
    assert noise.std() == pytest.approx(SIGMA, rel=0.4)
    assert np.corrcoef(before, removed)[0, 1] > 0.5
    assert not page.locator("#difference").is_visible()
    page.click("#removed")
    assert page.get_attribute("#removed", "aria-pressed") == "true"
    assert page.eval_on_selector("#difference", "e => getComputedStyle(e).visibility") == "visible"
    assert page.eval_on_selector("#after", "e => getComputedStyle(e).visibility") == "hidden"
    page.focus("#stage")
    page.keyboard.press("r")
    assert page.get_attribute("#removed", "aria-pressed") == "false"


def test_pictures_are_chosen_and_filtered_by_name(opened: Callable[..., Any]) -> None:
    page = opened()
    assert page.inner_text("#found") == "3 of 3"
    page.click("#strip li:nth-child(2) button")
    page.wait_for_selector("#stage[data-ready='in/<b>small</b>.png']")
    assert page.inner_text("#name") == "in/<b>small</b>.png"
    assert "a gain map" in page.inner_text("#about")
    page.keyboard.press("n")
    assert page.inner_text("#about") == "in/broken.png: is damaged"
    assert not page.locator("#stage").is_visible()
    page.fill("#filter", "LARGE")
    assert page.inner_text("#found") == "1 of 3"
    assert page.inner_text("#name") == "in/large.png"
    assert page.locator("#strip li:visible").count() == 1
    page.fill("#filter", "nothing")
    assert not page.locator("#viewer").is_visible()


def test_all_controls_are_reached_by_tab(opened: Callable[..., Any]) -> None:
    page = opened()
    reached = set()
    for _ in range(25):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id"))
    assert reached >= {"filter", "next", "in", "out", "fit", "actual", "removed", "stage", "split"}


@pytest.mark.parametrize("width", [320, 1920])
def test_nothing_is_wider_than_the_window_in_either_theme(
    opened: Callable[..., Any], width: int
) -> None:
    colours = []
    for theme in ("light", "dark"):
        page = opened(width=width, theme=theme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert colours == ["rgb(247, 247, 245)", "rgb(22, 24, 27)"]
