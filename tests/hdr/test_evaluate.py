import math
from pathlib import Path

import numpy as np
import pytest

from restore.hdr.evaluate import Conditions, HdrResult, evaluate_hdr, protocol
from restore.image.codecs import ImageFormat
from restore.image.encode import encode
from restore.image.picture import Picture, Transfer


def test_no_two_scenes_share_their_noise(tmp_path: Path) -> None:
    light = np.random.default_rng(0).lognormal(-1, 1.5, (3, 160, 170)).astype(np.float32)
    picture = Picture(pixels=light, is_float=True, bit_depth=32, transfer=Transfer.LINEAR)
    paths = [tmp_path / "a.exr", tmp_path / "b.exr"]
    for path in paths:
        path.write_bytes(encode(picture, ImageFormat.EXR))

    def scores() -> list[float]:
        results = evaluate_hdr([], paths, Conditions(size=32, read_noise=0.05))
        return [each.all.linear for each in results if isinstance(each, HdrResult)]

    first, second = scores()
    assert first != second
    assert scores() == [first, second]


def test_what_saturated_is_scored_apart_from_all_pixels(tmp_path: Path) -> None:
    """Of 64 pixels 4 are at 8 times white and one is white: these are lost; the rest is at half.

    A sensor without steps gives the dark ones exactly and 1 for the others: the squared errors are
    4 times 7^2, over 5 lost pixels and over all 64.
    """
    light = np.full((3, 136, 136), 0.5, np.float32)
    inner = light[:, 64:72, 64:72]
    inner[:, 0, :4], inner[:, 1, 0] = 8.0, 1.0
    picture = Picture(pixels=light, is_float=True, bit_depth=32, transfer=Transfer.LINEAR)
    path = tmp_path / "scene.exr"
    path.write_bytes(encode(picture, ImageFormat.EXR))
    conditions = Conditions(size=8, saturated=4 / 64, bits=0)
    (result,) = evaluate_hdr([], [path], conditions)
    assert isinstance(result, HdrResult)
    for score, pixels in ((result.saturated, 5), (result.all, 64)):
        expected = 10 * math.log10(64**2 / (4 * 7**2 / pixels))
        assert score.linear == pytest.approx(expected, abs=1e-4)


def test_lens_and_camera_err_when_told_to(tmp_path: Path) -> None:
    light = np.random.default_rng(0).lognormal(-1, 1.5, (3, 160, 170)).astype(np.float32)
    picture = Picture(pixels=light, is_float=True, bit_depth=32, transfer=Transfer.LINEAR)
    path = tmp_path / "scene.exr"
    path.write_bytes(encode(picture, ImageFormat.EXR))
    scores = []
    for capture_errors in (False, True, True):
        conditions = Conditions(size=32, capture_errors=capture_errors)
        assert ("errors of lens" in protocol(conditions)) == capture_errors
        (result,) = evaluate_hdr([], [path], conditions)
        assert isinstance(result, HdrResult)
        scores.append(result.all.mu)
    assert scores[0] > scores[1] + 1
    assert scores[1] == scores[2]
