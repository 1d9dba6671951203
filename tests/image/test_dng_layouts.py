"""DNG files of other writers: where their sensors begin, their filters, what their black is."""

import struct
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from restore.errors import CorruptImage, UnsupportedImage
from restore.image.codec import WriteOptions
from restore.image.linear_dng import encoded_linear_dng, read_linear_dng
from restore.image.losses import losses, remarks
from restore.image.raw import read_raw
from restore.mosaic.develop import developed

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


def deltas(tag: int, levels: NDArray[np.int64]) -> Tag:
    """Return BlackLevelDeltaV (50716) or BlackLevelDeltaH (50715)."""
    fractions = np.stack([levels, np.ones_like(levels)], 1).ravel().tolist()
    return tag, 10, levels.size, tuple(fractions), True


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


ALIKE = tuple(2**32 + each for each in (1, 0, 1, 0, 1, 0, 0, 1, 1))
NEGATIVE = (1, 1, 0, 1, 0, 1, 0, 1, -1, 1, 0, 1, 0, 1, 0, 1, 1, 1)


@pytest.mark.parametrize(
    "matrix",
    [
        pytest.param((50721, 16, 9, ALIKE, True), id="colours that are alike"),
        pytest.param((50721, 10, 9, NEGATIVE, True), id="green that sees no white"),
    ],
)
def test_a_matrix_that_makes_no_sense_is_not_used(tmp_path: Path, matrix: Tag) -> None:
    raw = read_raw(written(tmp_path, mosaic_of(RGGB), matrix))
    assert raw.has_guessed_colours
    assert np.isfinite(developed(raw).pixels).all()


def test_what_is_guessed_or_left_out_of_linear_colours_is_said(tmp_path: Path) -> None:
    path = tmp_path / "linear.dng"
    warp = struct.pack(">IIIII", 1, 1, 0x01030000, 0, 0)
    tags: list[Tag] = [
        (50706, 1, 4, bytes((1, 4, 0, 0)), True),
        (50708, 2, 0, "Acme One", True),
        (51022, 7, len(warp), warp, True),
    ]
    samples = np.full((HEIGHT, WIDTH, 3), 9000, np.uint16)
    tifffile.imwrite(path, samples, photometric=34892, extratags=tags, metadata=None)
    with losses() as lost, remarks() as said:
        encoded_linear_dng(read_linear_dng(path), WriteOptions())
    assert lost == ["its WarpRectilinear correction, which is not applied"]
    assert said == [
        "no colour matrix is known for this camera; its colours are taken for sRGB's",
        "no white balance is stored; that of daylight is taken, or none",
    ]


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
    path = written(tmp_path, mosaic, deltas(50716, rows), deltas(50715, columns))
    red, green, blue = light(path)[1]
    raw = read_raw(path)
    assert (red - {WHITE - raw.black_level[0]}, green, blue) == tuple(RIGHT)
    assert raw.mosaic[10, 20] == WHITE  # what is saturated stays


@pytest.mark.parametrize("repeat", [(1, 2), (2, 1), (4, 4), (3, 5)])
@pytest.mark.parametrize("has_rows", [False, True])
def test_black_of_places_is_subtracted_in_patterns_of_any_size(
    tmp_path: Path, repeat: tuple[int, int], has_rows: bool
) -> None:
    levels = 500 + np.arange(repeat[0] * repeat[1])
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    rows = 3 * np.arange(HEIGHT) * has_rows
    black = levels.reshape(repeat)[y % repeat[0], x % repeat[1]] + rows[:, None]
    size: Tag = (50713, 3, 2, repeat, True)
    mosaic = mosaic_of(RGGB) - BLACK + black
    path = written(tmp_path, mosaic, size, deltas(50716, rows), black=levels.tolist())
    for colour, level in enumerate(RIGHT):
        assert np.abs(np.array(list(light(path)[1][colour])) - list(level)).max() <= 1


def test_black_of_rows_alone_leaves_room_for_noise_below_it(tmp_path: Path) -> None:
    noise = np.rint(np.random.default_rng(0).normal(0, 5, (HEIGHT, WIDTH)))
    path = written(tmp_path, 512 + noise, deltas(50716, np.full(HEIGHT, 512)), black=[0])
    raw = read_raw(path)
    assert np.array_equal(raw.mosaic - np.array(raw.black_level)[0], noise)


def test_rows_that_are_darker_than_black_make_no_negative_level(tmp_path: Path) -> None:
    rows = np.full(HEIGHT, -700)
    path = written(tmp_path, mosaic_of(RGGB) - 700, deltas(50716, rows), black=[BLACK])
    assert light(path)[1] == RIGHT
    assert read_raw(path).black_level == (0, 0, 0, 0)


@pytest.mark.parametrize("black", [WHITE, 70_000, 2**32 - 1])
def test_black_above_white_is_damage(tmp_path: Path, black: int) -> None:
    with pytest.raises(CorruptImage, match=r"is damaged: black .* is not between 0 and 16383"):
        read_raw(written(tmp_path, mosaic_of(RGGB), black=[black]))


def test_rows_that_do_not_fit_count_in_the_mean(tmp_path: Path) -> None:
    rows = np.full(HEIGHT - 2, 100)
    path = written(tmp_path, mosaic_of(RGGB) + 100, deltas(50716, rows))
    assert light(path)[1] == RIGHT


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
