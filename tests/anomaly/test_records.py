"""Records of earlier runs are checked before they are believed."""

import json
from pathlib import Path
from typing import Any

import pytest

from restore.anomaly.page import _webp_inside
from restore.anomaly.records import Record, as_jsonl, read_jsonl

GOOD: dict[str, Any] = {
    "source": "in/a.png", "verdict": "defective", "score": 2.0, "relative_score": 4.0,
    "threshold": 0.5, "model": "dark", "weights": "0123456789abcdef", "width": 64, "height": 48,
    "region_count": 1, "largest_area": 80, "peak_at": [24, 15],
    "regions": [{"left": 20, "top": 12, "width": 10, "height": 8, "area": 80, "peak": 2.0}],
    "map": "maps/a.tif", "mask": "masks/a.png", "overlay": "overlays/a.png",
    "reconstruction": "reconstructions/a.png",
}  # fmt: skip


def lines(path: Path, *records: dict[str, Any], end: str = "") -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records) + end)
    return path


def test_records_are_read_as_they_were_written(tmp_path: Path) -> None:
    failed = {"source": "b.png", "verdict": "failed", "error": "b.png: is not a picture"}
    path = lines(tmp_path / "r.jsonl", GOOD, failed, end='{"source": "c.pn')
    records = read_jsonl(path)
    assert [record.source for record in records] == ["in/a.png", "b.png"]
    assert [json.loads(line) for line in as_jsonl(records).splitlines()] == [GOOD, failed]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"verdict": '"><script>alert(1)</script>'}, "verdict is none of an inspection"),
        ({"verdict": "good"}, "verdict does not follow"),
        ({"verdict": ["good"]}, "verdict is none of an inspection"),
        ({"verdict": "failed"}, "error is not a text"),
        ({"source": None}, "source is not a text"),
        ({"score": "2"}, "score is not a number"),
        ({"score": True}, "score is not a number"),
        ({"score": float("nan")}, "score is not a number"),
        ({"score": 10**400}, "score is not a number"),
        ({"threshold": -1}, "threshold is not a number"),
        ({"relative_score": None}, "relative_score is not a number"),
        ({"model": {"a": 1}}, "model is not a text"),
        ({"width": 6.5}, "width is not a count"),
        ({"height": -1}, "height is not a count"),
        ({"region_count": "many"}, "region_count is not a count"),
        ({"regions": {"left": 1}}, "regions are not a list"),
        ({"regions": [1]}, "regions are not a list"),
        ({"regions": [{"left": 1}]}, "top is not a count"),
        ({"peak_at": None}, "peak_at is not a place"),
        ({"peak_at": [1, 2, 3]}, "peak_at is not a place"),
        ({"peak_at": [1, -2]}, "peak_at is not a count"),
        ({"moved_to": 1}, "moved_to is not a text"),
        ({"map": "maps/../../x.tif"}, "map is not a file in the folder maps"),
        ({"map": "/etc/passwd"}, "map is not a file in the folder maps"),
        ({"map": "maps//etc/passwd"}, "map is not a file in the folder maps"),
        ({"map": "maps"}, "map is not a file in the folder maps"),
        ({"map": "maps/a\0.tif"}, "map is not a file in the folder maps"),
        ({"mask": "maps/a.tif"}, "mask is not a file in the folder masks"),
        ({"overlay": 7}, "overlay is not a text"),
        ({"overlay": None}, "overlay is not a text"),
    ],
)
def test_a_record_with_a_wrong_field_is_refused(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    path = lines(tmp_path / "r.jsonl", GOOD, GOOD | changes)
    with pytest.raises(ValueError, match=f"line 2: {reason}"):
        read_jsonl(path)


@pytest.mark.parametrize(
    "text", ["7\n", "[]\n", '"a"\n', "[" * 100_000 + "\n", "1" * 5000 + "\n", "\0" * (3 << 20)]
)
def test_what_is_no_record_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"line 1: not (JSON|a JSON object)"):
        read_jsonl(path)


def test_only_thumbnails_inside_the_report_are_embedded(tmp_path: Path) -> None:
    outside, report = tmp_path / "secret.webp", tmp_path / "report"
    outside.write_bytes(b"RIFF1234WEBP secret")
    report.mkdir()
    own, link, other = (report / name for name in ("own.webp", "link.webp", "other.webp"))
    own.write_bytes(b"RIFF1234WEBP own")
    link.symlink_to(outside)
    other.write_text("not a thumbnail")
    assert _webp_inside(own, report) == b"RIFF1234WEBP own"
    for path in (link, other, report / "nowhere.webp", Path("/dev/zero")):
        assert _webp_inside(path, report) == b""


@pytest.mark.parametrize(
    ("changes", "is_believed"),
    [
        ({"verdict": "good", "score": 0.4}, True),
        ({"verdict": "good", "score": 0.4, "review_threshold": 0.3}, False),
        ({"verdict": "review", "score": 0.4, "review_threshold": 0.3}, True),
        ({"verdict": "review", "score": 0.4}, False),
        ({"verdict": "review", "score": 0.6, "review_threshold": 0.3}, False),
        ({"familiarity": 0.1, "familiarity_limit": 0.01}, True),
        ({"familiarity": 0.001, "familiarity_limit": 0.01}, False),
        ({"verdict": "unfamiliar", "reason": "darker than any good part"}, False),
        (
            {
                "verdict": "unfamiliar", "reason": "darker than any good part",
                "familiarity": 0.001, "familiarity_limit": 0.01,
            },
            True,
        ),
        (
            {"verdict": "unfamiliar", "familiarity": 0.001, "familiarity_limit": 0.01},
            False,
        ),
    ],
)  # fmt: skip
def test_a_verdict_must_follow_from_the_figures(changes: dict[str, Any], is_believed: bool) -> None:
    values = GOOD | changes
    if is_believed:
        assert Record.from_mapping(values).as_mapping() == values
    else:
        with pytest.raises(ValueError, match=r"verdict does not follow|reason is not a text"):
            Record.from_mapping(values)
