"""What merging costs in sharpness, and in reading."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from restore.hdr.merge import frames
from restore.hdr.merge.exposures import Exposure
from restore.hdr.merge.merge import merge_bracket
from restore.image.codecs import ImageFormat
from restore.image.colour import linear_to_srgb, srgb_to_linear
from restore.image.decode import decode
from restore.image.dng import write_cfa_dng
from restore.image.encode import encode
from restore.image.picture import Picture
from restore.image.raw_picture import REFERENCE_CFA, RawPicture

INNER = (slice(None), slice(12, -12), slice(12, -12))


def _detail(light: NDArray[np.float32]) -> float:
    """Return the energy of differences between neighbours, of light encoded as it is seen."""
    seen = linear_to_srgb(light)[INNER]
    return float((np.diff(seen, axis=1)[:, :, 1:] ** 2 + np.diff(seen, axis=2)[:, 1:] ** 2).mean())


def test_a_hand_held_bracket_is_as_sharp_as_its_best_frame(tmp_path: Path, data: Path) -> None:
    """Frames that lie half a pixel beside each other, which linear interpolation blurs."""
    photo = srgb_to_linear(decode(data / "roman-colosseum.png").pixels) * np.float32(0.4)
    # As sharp as lenses are: the shifts below would ring at what no lens resolves.
    scene = ndimage.gaussian_filter(photo, (0, 0.6, 0.6))
    bracket = []
    for index, (light, shift) in enumerate(
        ((0.5, (0.5, 2.4)), (1.0, (0.0, 0.0)), (2.0, (-1.5, 0.5)))
    ):
        spectrum = ndimage.fourier_shift(np.fft.fft2(scene), (0.0, *shift))
        moved = np.fft.ifft2(spectrum).real.clip(0, None) * light
        pixels = linear_to_srgb(moved.astype(np.float32)).clip(0, 1)
        path = tmp_path / f"{index}.png"
        path.write_bytes(encode(Picture(pixels=pixels), ImageFormat.PNG, bit_depth=16))
        bracket.append(Exposure(path=path, light=light))
    merged = merge_bracket(bracket)
    assert merged.record["largest_shift_px"] == pytest.approx(2.45, abs=0.2)
    assert _detail(merged.picture.pixels) > 0.93 * _detail(scene)
    error = np.abs(merged.picture.pixels - scene)[INNER].mean()
    assert error < 0.02 * scene.mean()


def test_each_raw_file_is_decoded_twice_and_demosaicked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = dict.fromkeys(("read_raw", "light_of_sensor"), 0)

    def counted(name: str) -> None:
        function = getattr(frames, name)

        def call(*arguments: Any) -> Any:
            counts[name] += 1
            return function(*arguments)

        monkeypatch.setattr(frames, name, call)

    for name in counts:
        counted(name)
    bracket = []
    for index, light in enumerate((0.25, 1.0, 4.0)):
        mosaic = np.full((64, 64), 512 + 2000 * light, dtype=np.uint16)
        raw = RawPicture(
            mosaic=mosaic, cfa=REFERENCE_CFA[2], black_level=(512.0,) * 4, white_level=16383
        )
        path = tmp_path / f"{index}.dng"
        path.write_bytes(write_cfa_dng(raw))
        bracket.append(Exposure(path=path, light=light))
    merge_bracket(bracket)
    assert counts == {"read_raw": 6, "light_of_sensor": 3}
