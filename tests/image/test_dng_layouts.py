"""DNG files of other writers: where their sensors begin, their filters, what their black is."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from restore.errors import UnsupportedImage
from restore.image.raw import read_raw

HEIGHT, WIDTH = 40, 60
LIGHT = np.array([3000, 6000, 1500, 4500, 5000, 5500, 9000])
"""Of each colour, as CFAPattern numbers them: red, green, blue, cyan, magenta, yellow, white."""

BLACK, WHITE = 512, 16383
RGGB = ((0, 1), (1, 2))
XTRANS = (
    (0, 2, 1, 2, 0, 1),
    (1, 1, 0, 1, 1, 2),
    (1, 1, 2, 1, 1, 0),
    (2, 0, 1, 0, 2, 1),
    (1, 1, 2, 1, 1, 0),
    (1, 1, 0, 1, 1, 2),
)
Pattern = Sequence[Sequence[int]]
Tag = tuple[int, int, int, Any, bool]


def mosaic_of(pattern: Pattern, origin: tuple[int, int] = (0, 0)) -> NDArray[np.int64]:
    """Return flat light behind a filter that begins at ``origin``."""
    cell = np.array(pattern)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    colours = cell[(y - origin[0]) % len(cell), (x - origin[1]) % cell.shape[1]]
    return np.asarray(LIGHT[colours] + BLACK)


def written(
    folder: Path,
    mosaic: NDArray[Any],
    *more: Tag,
    pattern: Pattern = RGGB,
    planes: Sequence[int] = (0, 1, 2),
    black: Sequence[int] = (BLACK,),
) -> Path:
    cell = np.array(pattern, np.uint8)
    tags: list[Tag] = [
        (50706, 1, 4, bytes((1, 4, 0, 0)), True),
        (50708, 2, 0, "Acme One", True),
        (33421, 3, 2, cell.shape, True),
        (33422, 1, cell.size, cell.tobytes(), True),
        (50710, 1, len(planes), bytes(planes), True),
        (50714, 4, len(black), tuple(black), True),
        (50717, 4, 1, WHITE, True),
        (50728, 5, 3, (1, 2, 1, 1, 2, 3), True),
        *more,
    ]
    path = folder / "other.dng"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tifffile has views on the number of channels
        tifffile.imwrite(
            path,
            mosaic.astype(np.uint16),
            photometric=32803,
            extratags=tags,
            metadata=None,
            software=False,
        )
    return path


def light(path: Path) -> tuple[tuple[int, int], list[set[int]]]:
    """Return the size of a mosaic, and all that is read of red, green and blue."""
    raw = read_raw(path)
    side = len(raw.cfa)
    y, x = np.mgrid[: raw.height, : raw.width]
    codes = raw.cfa[y % side, x % side]
    above = raw.mosaic - np.array(raw.black_level)[codes]
    colours = np.where(codes == 3, 1, codes)
    return (raw.height, raw.width), [set(above[colours == each].tolist()) for each in range(3)]


def test_a_matrix_that_nobody_states_is_not_made_up(tmp_path: Path) -> None:
    assert read_raw(written(tmp_path, mosaic_of(RGGB))).has_guessed_colours


RIGHT = [{3000}, {6000}, {1500}]


@pytest.mark.parametrize("origin", [(1, 0), (0, 1), (1, 1), (3, 5)])
@pytest.mark.parametrize("pattern", [RGGB, XTRANS])
def test_the_active_area_may_begin_anywhere(
    tmp_path: Path, origin: tuple[int, int], pattern: Pattern
) -> None:
    area = (*origin, HEIGHT - 2, WIDTH - 3)
    path = written(tmp_path, mosaic_of(pattern, origin), (50829, 4, 4, area, True), pattern=pattern)
    size = HEIGHT - 2 - origin[0], WIDTH - 3 - origin[1]
    assert light(path) == (size, RIGHT)


def test_black_of_each_place_counts_from_the_active_area(tmp_path: Path) -> None:
    offsets = np.array([[0, 10], [20, 30]])[
        1 - np.arange(HEIGHT)[:, None] % 2, 1 - np.arange(WIDTH) % 2
    ]
    path = written(
        tmp_path,
        mosaic_of(RGGB, (1, 1)) + offsets,
        (50829, 4, 4, (1, 1, HEIGHT - 1, WIDTH - 1), True),
        (50713, 3, 2, (2, 2), True),
        black=[BLACK, BLACK + 10, BLACK + 20, BLACK + 30],
    )
    assert light(path)[1] == RIGHT


def test_black_that_differs_by_row_and_column_is_subtracted(tmp_path: Path) -> None:
    rows, columns = 3 * np.arange(HEIGHT), -5 * (np.arange(WIDTH) % 7)
    mosaic = mosaic_of(RGGB) + rows[:, None] + columns
    mosaic[10, 20] = WHITE
    path = written(
        tmp_path,
        mosaic,
        *(
            (
                tag,
                10,
                each.size,
                tuple(np.stack([each, np.ones_like(each)], 1).ravel().tolist()),
                True,
            )
            for tag, each in ((50716, rows), (50715, columns))
        ),
    )
    red, green, blue = light(path)[1]
    assert (red - {WHITE - BLACK}, green, blue) == tuple(RIGHT)
    assert read_raw(path).mosaic[10, 20] == WHITE  # what is saturated stays


@pytest.mark.parametrize(
    ("pattern", "planes"),
    [
        pytest.param(np.kron(RGGB, np.ones((2, 2), int)), (0, 1, 2), id="quad bayer"),
        pytest.param(((0, 5), (5, 2)), (0, 5, 2), id="yellow for green"),
        pytest.param(((0, 1), (6, 2)), (0, 1, 2, 6), id="white"),
        pytest.param(((3, 5), (1, 4)), (3, 5, 1, 4), id="complementary"),
        pytest.param(RGGB, (2, 1, 0), id="planes in another order"),
        pytest.param(((0, 1), (1, 2), (1, 0), (2, 1)), (0, 1, 2), id="four rows"),
        pytest.param(((0, 0), (1, 1)), (0, 1, 2), id="no blue"),
    ],
)
def test_filters_that_would_get_wrong_colours_are_refused(
    tmp_path: Path, pattern: Pattern, planes: Sequence[int]
) -> None:
    path = written(tmp_path, mosaic_of(pattern), pattern=pattern, planes=planes)
    with pytest.raises(UnsupportedImage, match=r"other\.dng: has a colour filter that "):
        read_raw(path)
