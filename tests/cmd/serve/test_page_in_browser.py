"""What a person does with the page of the service, in headless Chromium."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow

LONGEST_MS = 300_000


@pytest.fixture(scope="module")
def address(running: Callable[..., Any]) -> str:
    """Where the page is."""
    return f"{running(waiting=4, token='open').url}/"


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    noise = np.random.default_rng(0).integers(0, 256, (120, 180, 3), dtype=np.uint8)
    for name in ("one.png", "<b>two<b>.jpg", "three.tif"):
        Image.fromarray(noise).save(tmp_path / name)
    (tmp_path / "broken.png").write_text("no picture")
    Image.fromarray(noise[..., 0]).save(tmp_path / "part.png")
    names = ("one.png", "<b>two<b>.jpg", "three.tif", "broken.png", "part.png")
    return [str(tmp_path / name) for name in names]


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1000, "height": 900})
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((address, "blob:", "data:"))
            else complaints.append(request.url)
        ),
    )
    opened.goto(address)
    opened.fill("#token", "open")
    yield opened
    context.close()
    assert complaints == []


def ready(page: Any, text: str) -> None:
    page.wait_for_function(
        "text => document.getElementById('viewer').dataset.ready === text",
        arg=text,
        timeout=LONGEST_MS,
    )


def shown(page: Any) -> tuple[float, float, float]:
    """Where the divider is in the picture, and how wide both pictures are."""
    return tuple(page.evaluate(
        """() => {
          const [before, after, divider] = ["before", "after", "divider"].map(
            (id) => document.getElementById(id).getBoundingClientRect());
          return [(divider.x + 1.5 - before.x) / before.width, before.width, after.width];
        }"""
    ))  # fmt: skip


def test_pictures_are_done_and_compared(page: Any, pictures: list[str], tmp_path: Path) -> None:
    page.set_input_files("#files", pictures[:1])
    ready(page, "one.png done")
    where, before, after = shown(page)
    assert before == after > 0
    assert abs(where - 0.5) < 0.02
    box = page.locator("#before").bounding_box()
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 40, steps=4)
    page.mouse.up()
    assert abs(shown(page)[0] - 0.8) < 0.02
    page.keyboard.press("Tab")
    page.focus("#stage")
    page.keyboard.press(",")
    assert abs(shown(page)[0] - 0.75) < 0.02
    with page.expect_download() as download:
        page.click("#download")
    download.value.save_as(tmp_path / "result.png")
    assert download.value.suggested_filename == "one-denoise.png"
    with Image.open(tmp_path / "result.png") as result, Image.open(pictures[0]) as source:
        assert result.size == source.size
        assert (np.asarray(result) != np.asarray(source)).any()
    assert "tiny" in page.inner_text("#about")


def test_the_strength_counts_when_it_is_done_again(
    page: Any, pictures: list[str], tmp_path: Path
) -> None:
    page.evaluate("e = document.getElementById('strength'); e.value = 0;"
                  "e.dispatchEvent(new Event('input'))")  # fmt: skip
    page.select_option("#format", "png")
    page.set_input_files("#files", pictures[2:3])
    ready(page, "three.tif done")
    assert "Browsers do not show this format" in page.inner_text("#message")
    with page.expect_download() as download:
        page.click("#download")
    download.value.save_as(tmp_path / "same.png")
    with Image.open(tmp_path / "same.png") as result, Image.open(pictures[2]) as source:
        np.testing.assert_array_equal(np.asarray(result), np.asarray(source))
    page.select_option("#format", "jpeg")
    page.click("#again")
    ready(page, "three.tif done")
    page.wait_for_function(
        "() => document.getElementById('download').download.endsWith('.jpg')", timeout=LONGEST_MS
    )


def test_several_are_done_one_after_the_other_and_failures_are_told(
    page: Any, pictures: list[str]
) -> None:
    page.set_input_files("#files", pictures[:4])
    page.wait_for_function(
        "() => document.querySelectorAll('#list .done').length === 3", timeout=LONGEST_MS
    )
    ready(page, "broken.png failed")
    assert "is not a picture" in page.inner_text("#message")
    page.click("#list button >> nth=1")
    ready(page, "<b>two<b>.jpg done")
    assert page.inner_text("#name") == "<b>two<b>.jpg"


def test_a_part_gets_its_verdict_and_a_wrong_token_is_told(page: Any, pictures: list[str]) -> None:
    page.select_option("#task", "anomaly")
    assert page.is_hidden("#strengths")
    page.set_input_files("#files", pictures[4:])
    ready(page, "part.png done")
    assert "verdict" in page.inner_text("#about")
    page.fill("#token", "wrong")
    page.click("#again")
    ready(page, "part.png failed")
    assert "the token is wrong" in page.inner_text("#message")


@pytest.mark.parametrize("width", [390, 1600])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_fits(
    browser: Any, address: str, pictures: list[str], width: int, theme: str
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=theme)
    page = context.new_page()
    page.goto(address)
    page.fill("#token", "open")
    page.set_input_files("#files", pictures[:1])
    ready(page, "one.png done")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    context.close()
