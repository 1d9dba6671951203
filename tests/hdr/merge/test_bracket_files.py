"""Brackets as a camera writes them, from their EXIF to light; see the fixture ``brackets``."""

from pathlib import Path

import numpy as np
import pytest

from restore.hdr.merge.brackets import Grouping, grouped
from restore.hdr.merge.exposures import read_exposure
from restore.hdr.merge.merge import merge_bracket
from restore.hdr.radiance import Known
from restore.image.decode import decode


def test_exif_tells_the_exposure_and_when(brackets: Path) -> None:
    first, second = (read_exposure(brackets / f"stack/stack_room_exp_{n}.jpg") for n in (0, 1))
    assert first.light == pytest.approx(2 * 2 / 4.5**2)
    assert second.light == pytest.approx(2 * 2 / 4.5**2 / 4)
    assert first.taken is not None
    assert second.taken is not None
    assert second.taken - first.taken == pytest.approx(20, abs=1)


def test_a_bracket_spans_its_exposures_and_finds_the_light(brackets: Path, data: Path) -> None:
    exposures = [read_exposure(path) for path in sorted((brackets / "stack").glob("*.jpg"))]
    (bracket,) = grouped(exposures, Grouping(gap_s=30))
    result = merge_bracket(bracket, align=False)
    assert result.record["stops"] == pytest.approx(12, abs=0.1)
    assert (result.known == Known.MEASURED).mean() > 0.99
    scene = decode(data / "lamp.exr").pixels[:, 8:200, 8:264].mean(axis=0)
    light = result.picture.pixels.mean(axis=0)
    ratio = np.log2(light / scene)
    assert np.abs(ratio - np.median(ratio)).mean() < 0.1, "stops, up to the exposure"
    assert np.quantile(light, 0.999) / np.quantile(light, 0.05) > 1000


def test_the_reference_is_the_middle_exposure(brackets: Path) -> None:
    paths = sorted((brackets / "stack_alignment").glob("*.jpg"))
    result = merge_bracket([read_exposure(path) for path in paths])
    assert str(result.record["reference"]).endswith("IMG_4209.jpg")
    assert float(str(result.record["largest_shift_px"])) == pytest.approx(10, abs=1)
    assert result.picture.pixels.shape == (3, 192, 256)


def test_aligned_frames_agree(brackets: Path, data: Path) -> None:
    """The displaced frames, 8 pixels across and 6 down, fall onto the middle one."""
    paths = sorted((brackets / "stack_alignment").glob("*.jpg"))
    scene = decode(data / "lamp.exr").pixels[:, 8:200, 8:264].mean(axis=0)
    inside = (slice(20, -20), slice(20, -20))
    spreads = []
    for align in (True, False):
        merged = merge_bracket([read_exposure(path) for path in paths], align=align)
        ratio = np.log2(merged.picture.pixels.mean(axis=0) / scene)[inside]
        seen = merged.known[inside] == Known.MEASURED
        spreads.append(float(np.abs(ratio[seen] - np.median(ratio[seen])).mean()))
    aligned, displaced = spreads
    assert aligned < 0.15
    assert displaced > 2 * aligned
