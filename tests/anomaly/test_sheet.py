"""What a report page stores of a part."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from restore.anomaly.regions import Region
from restore.anomaly.sheet import MOST_BYTES, sheet_of, tiles_of


def region(left: int, top: int, width: int, height: int) -> Region:
    return Region(left=left, top=top, width=width, height=height, area=1, peak=1.0)


def opened(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(data))).astype(int)


def test_a_small_part_is_stored_once_at_its_own_size() -> None:
    (tile,) = tiles_of(200, 90, (), (3, 4))
    assert (tile.width, tile.height, tile.shown_width, tile.shown_height) == (200, 90, 200, 90)


@pytest.mark.parametrize("box", [(0, 0, 9, 5), (1990, 1490, 10, 10), (900, 700, 120, 40)])
def test_a_place_at_one_to_one_holds_the_highest_region(box: tuple[int, int, int, int]) -> None:
    whole, place = tiles_of(2000, 1500, (region(*box), region(5, 5, 1, 1)), box[:2])
    assert (whole.width, whole.height) == (2000, 1500)
    assert max(whole.shown_width, whole.shown_height) <= 224
    assert (place.shown_width, place.shown_height) == (place.width, place.height)
    left, top, width, height = box
    assert place.left <= left
    assert left + width <= place.left + place.width <= 2000
    assert place.top <= top
    assert top + height <= place.top + place.height <= 1500


def test_of_a_region_larger_than_the_place_its_peak_is_shown() -> None:
    _, place = tiles_of(2000, 1500, (region(100, 100, 1500, 900),), (1400, 800))
    assert place.left < 1400 < place.left + place.width
    assert place.top < 800 < place.top + place.height


@pytest.mark.parametrize("size", [(1, 1), (5000, 1), (1, 5000), (3000, 40), (225, 224)])
def test_parts_of_any_shape_have_a_sheet(size: tuple[int, int]) -> None:
    width, height = size
    picture = np.full((height, width, 3), 90, np.uint8)
    tiles = tiles_of(width, height, (), (width - 1, height - 1))
    sheet = opened(sheet_of(picture, picture, np.zeros((height, width), bool), tiles))
    assert sheet.shape[0] == tiles[-1].row + tiles[-1].shown_height


def test_columns_are_part_reconstruction_and_mask_of_which_one_pixel_is_not_lost() -> None:
    part, repaired = (np.full((1000, 1200, 3), level, np.uint8) for level in (200, 60))
    mask = np.zeros((1000, 1200), bool)
    mask[601, 803] = True
    tiles = tiles_of(1200, 1000, (region(803, 601, 1, 1),), (803, 601))
    sheet = opened(sheet_of(part, repaired, mask, tiles))
    for tile in tiles:
        columns = [
            sheet[
                tile.row : tile.row + tile.shown_height,
                n * tile.shown_width : (n + 1) * tile.shown_width,
            ]
            for n in range(3)
        ]
        middle = [float(np.median(column)) for column in columns]
        assert middle == pytest.approx([200, 60, 0], abs=6)
        row = (601 - tile.top) * tile.shown_height // tile.height
        column = (803 - tile.left) * tile.shown_width // tile.width
        assert columns[2][row, column].mean() > 127


def test_a_sheet_of_texture_is_bounded() -> None:
    noise = np.random.default_rng(0).normal(128, 12, (900, 900, 1)).clip(0, 255).astype(np.uint8)
    picture = np.repeat(noise, 3, axis=2)
    tiles = tiles_of(900, 900, (), (400, 400))
    data = sheet_of(picture, picture, np.zeros((900, 900), bool), tiles)
    assert len(data) <= MOST_BYTES
