"""Brackets of RAW files: saturation below the stated white level, and sharpness."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from restore.hdr.merge.exposures import Exposure
from restore.hdr.merge.merge import merge_bracket
from restore.hdr.radiance import Radiance
from restore.image.dng import write_cfa_dng
from restore.image.dng_metadata import DngMetadata, DngTag
from restore.image.ifd import Entry
from restore.image.raw_picture import REFERENCE_CFA, RawPicture

_BALANCE = (2.0, 1.0, 1.6)
_BLACK, _WHITE = 512, 16383
_HEIGHT, _WIDTH = 96, 512


def _merged(
    folder: Path,
    scene: NDArray[np.float64],
    lights: tuple[float, ...],
    clip: float = 1.0,
    saturation: float | None = None,
    **fields: Any,
) -> Radiance:
    """Merge mosaics of a gray scene ``[H, W]``, 1 the white of green, which clip at a share."""
    cfa = REFERENCE_CFA[2]
    tiled = np.tile(np.where(cfa == 3, 1, cfa), (scene.shape[0] // 2, scene.shape[1] // 2))
    bracket = []
    for index, light in enumerate(lights):
        rng = np.random.default_rng(index)
        sample = (scene * light / np.array(_BALANCE)[tiled]).clip(0, clip)
        codes = _BLACK + sample * (_WHITE - _BLACK) + rng.normal(0, 2, scene.shape)
        top = _BLACK + clip * (_WHITE - _BLACK)
        raw = RawPicture(
            mosaic=np.round(codes).clip(0, top).astype(np.uint16),
            cfa=cfa,
            black_level=(_BLACK,) * 4,
            white_level=_WHITE,
            white_balance=_BALANCE,
            **fields,
        )
        path = folder / f"{index}.dng"
        path.write_bytes(write_cfa_dng(raw))
        bracket.append(Exposure(path=path, light=light))
    return merge_bracket(bracket, align=False, saturation=saturation)


def _ramp() -> NDArray[np.float64]:
    """Return six stops, from the darkest the longest exposure shows to what the shortest holds."""
    return np.broadcast_to(np.geomspace(0.05, 3.2, _WIDTH), (_HEIGHT, _WIDTH)).copy()


@pytest.mark.parametrize("clip", [0.90, 0.95, 0.99, 1.00])
def test_a_bracket_is_right_wherever_the_sensor_clips(tmp_path: Path, clip: float) -> None:
    scene = _ramp()
    result = _merged(tmp_path, scene, (1 / 4, 1.0, 4.0), clip)
    inner = (slice(None), slice(4, -4), slice(4, -4))
    errors = np.log2(result.picture.pixels[inner] / scene[inner[1:]])
    smooth = errors.reshape(3, _HEIGHT - 8, -1, 4).mean(axis=(1, 3))
    assert np.abs(smooth).max() < 0.05
    assert result.record["guessed"] == 0


def test_a_stated_saturation_is_taken(tmp_path: Path) -> None:
    result = _merged(tmp_path, np.full((64, 64), 0.6), (1.0, 4.0), saturation=0.5)
    assert result.record["guessed"] == 1


def test_what_saturates_in_every_frame_is_white_not_pink(tmp_path: Path) -> None:
    pixels = _merged(tmp_path, np.full((64, 64), 50.0), (0.25, 1.0), clip=0.95).picture.pixels
    assert pixels.max() - pixels.min() < 0.01 * pixels.max()
    assert pixels.min() > 0.95


def test_fine_detail_is_as_sharp_as_in_a_single_frame(tmp_path: Path) -> None:
    """Lines two pixels apart, which bilinear interpolation turns into gray and colours."""
    scene = np.full((64, 64), 0.3)
    scene[:, 1::4] = scene[:, 2::4] = 0.05
    pixels = _merged(tmp_path, scene, (0.5, 1.0)).picture.pixels
    inner = (slice(8, -8), slice(8, -8))
    error = np.sqrt(np.mean((pixels[:, *inner] / 0.5 - scene[inner]) ** 2))
    assert error < 0.02


def test_what_is_guessed_or_left_out_of_raw_files_is_said(tmp_path: Path) -> None:
    scene = np.full((64, 64), 0.3)
    assert "remarks" not in _merged(tmp_path, scene, (0.5, 1.0)).record
    gain_map = np.array([1, 9, 0, 0, 0], ">u4").tobytes()
    dng = DngMetadata(tags={DngTag.OPCODE_LISTS[1]: Entry(7, len(gain_map), gain_map)})
    merged = _merged(tmp_path, scene, (0.5, 1.0), dng=dng, has_white_balance=False)
    assert merged.record["remarks"] == [
        "no white balance is stored; that of daylight is taken, or none",
        "corrections that the files ask for: not applied (GainMap)",
    ]


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_bracket_in_portrait_format_is_upright(tmp_path: Path, orientation: int) -> None:
    scene = np.full((64, 96), 0.3)
    scene[:20] = 0.02
    merged = _merged(tmp_path, scene, (0.5, 1.0), orientation=orientation)
    light = merged.picture.pixels[1]
    assert light[2:18].max() < 0.1 < light[24:].min()
    assert merged.picture.orientation == orientation
