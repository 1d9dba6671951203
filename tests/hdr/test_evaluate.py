from pathlib import Path

import numpy as np

from restore.hdr.evaluate import Conditions, HdrResult, evaluate_hdr
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
