"""What is said of an output whose suffix stands for no format that is written."""

from pathlib import Path

import pytest

from restore.batch.kinds import PICTURES_AND_RAW, PICTURES_TO_LIGHT
from restore.batch.plan import PlanRequest, make_plan
from restore.errors import UsageError


def test_each_suffix_is_named_once(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    request = PlanRequest(
        inputs=[str(tmp_path / "a.png")], output=str(tmp_path / "b.xyz"), kind=PICTURES_AND_RAW
    )
    with pytest.raises(UsageError) as refused:
        make_plan(request)
    assert str(refused.value).count(".dng") == 1
    assert "is not written" not in str(refused.value)


def test_a_format_that_is_not_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    request = PlanRequest(
        inputs=[str(tmp_path / "a.png")], output=str(tmp_path / "b.avif"), kind=PICTURES_TO_LIGHT
    )
    with pytest.raises(UsageError, match=r"b\.avif: AVIF is not written of light; for a folder"):
        make_plan(request)
