"""The histogram of a report page."""

import re

import pytest

from restore.anomaly.histogram import histogram


def bars(drawn: str) -> list[tuple[str, int]]:
    found = re.findall(r'class="(good|review|defective)"><title>(\d+) with', drawn)
    return [(kind, int(count)) for kind, count in found]


def test_bars_count_every_part_once() -> None:
    scores = [0.0, 0.1, 0.5, 0.5, 0.50001, 2.0]
    counted = bars(histogram(scores, 0.5))
    assert sum(count for _, count in counted) == len(scores)
    assert sum(count for kind, count in counted if kind == "defective") == 2
    assert histogram([0.0], 0.0)
    assert histogram([1.0], 50.0)


def test_no_bar_holds_parts_of_two_verdicts() -> None:
    scores = [0.1, 0.2, 0.20001, 0.3, 0.5, 0.50001, 0.9]
    counted = bars(histogram(scores, 0.5, 0.2))
    totals = {kind: sum(count for each, count in counted if each == kind) for kind, _ in counted}
    assert totals == {"good": 2, "review": 3, "defective": 2}


def test_one_part_among_two_thousand_has_a_bar_that_is_seen() -> None:
    drawn = histogram([0.1] * 2000 + [0.9], 0.5)
    shapes = re.findall(r'<title>(\d+) with.*?<path d="([^"]+)"', drawn, re.DOTALL)
    heights = {}
    for count, path in shapes:
        rows = [float(y) for _, y in re.findall(r"[ML] ([\d.]+) ([\d.]+)", path)]
        heights[int(count)] = max(rows) - min(rows)
    assert heights[2000] > 100
    assert heights[1] > 4


def test_one_extreme_score_does_not_press_all_others_into_one_bar() -> None:
    drawn = histogram([i / 100 for i in range(50)] + [1e6], 0.4)
    assert len(bars(drawn)) > 8
    assert ">1 with scores above 1." in drawn
    assert ">2+<" in drawn


@pytest.mark.parametrize(("threshold", "anchor"), [(0.5, "start"), (1.9, "end"), (50.0, "end")])
def test_the_label_of_the_threshold_stays_inside(threshold: float, anchor: str) -> None:
    drawn = histogram([0.0, 2.0], threshold)
    label = re.search(
        r'<g id="threshold">\s*<text style="[^"]*text-anchor: (\w+)[^"]*" x="([\d.]+)"', drawn
    )
    assert label is not None
    assert label[1] == anchor
    width = 60
    assert float(label[2]) + (width if anchor == "start" else 0) <= 720


def test_it_is_the_same_in_every_run_and_has_the_colors_of_the_page() -> None:
    drawn = histogram([0.0, 0.1, 0.3, 2.0], 0.5, 0.2)
    assert drawn == histogram([0.0, 0.1, 0.3, 2.0], 0.5, 0.2)
    assert "metadata" not in drawn
    named = set(re.findall(r"(?:fill|stroke): ([^;\"]+)", drawn)) - {"none"}
    names = ("good", "review", "bad", "faint", "line", "text")
    assert named == {f"var(--{name})" for name in names}
