from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import erf

from restore.image.photosites import defects, filled, without_defects
from restore.image.picture import Picture
from restore.image.raw_picture import RawPicture

Sensor = Callable[..., RawPicture]

BLACK, WHITE = 512, 16383
SHOT, READ = 1e-4, 3e-7


def _seen(sensor: Sensor, light: np.ndarray, pattern: str) -> RawPicture:
    """What a camera sees of balanced light ``[3, H, W]``."""
    raw = sensor(pattern, size=light.shape[1:], white_level=float(WHITE))
    side = len(raw.cfa)
    colours = np.tile(np.where(raw.cfa == 3, 1, raw.cfa), [-(-n // side) for n in light.shape[1:]])
    colours = colours[: light.shape[1], : light.shape[2]]
    through = light / np.array(raw.white_balance)[:, None, None]
    seen = np.take_along_axis(through, colours[None].astype(np.intp), axis=0)[0]
    noise = np.sqrt(SHOT * seen + READ) * np.random.default_rng(0).standard_normal(seen.shape)
    codes = np.rint(BLACK + (seen + noise) * (WHITE - BLACK)).clip(0, WHITE)
    return replace(raw, mosaic=codes.astype(np.uint16))


def _stars(fwhm: float, size: tuple[int, int] = (240, 300)) -> np.ndarray:
    """A night sky of 150 stars of many colours, as a lens with this spread draws them."""
    rng = np.random.default_rng(1)
    light = np.full((3, *size), 0.002)
    sigma = fwhm / 2.355 * 2**0.5
    for _ in range(150):
        lines = [
            (erf((np.arange(n) + 0.5 - at) / sigma) - erf((np.arange(n) - 0.5 - at) / sigma)) / 2
            for n, at in ((n, rng.uniform(4, n - 4)) for n in size)
        ]
        colour = rng.uniform([0.6, 1, 0.6], [1.3, 1.0001, 1.3]) * np.exp(rng.uniform(-4, 0))
        light += colour[:, None, None] * np.outer(*lines)
    return light


def _with_hot(raw: RawPicture, count: int = 100) -> tuple[RawPicture, np.ndarray]:
    rng = np.random.default_rng(2)
    mosaic = raw.mosaic.copy()
    places = rng.choice(mosaic.size, count, replace=False)
    more = rng.uniform(0.1, 1, count) * (WHITE - mosaic.ravel()[places])
    mosaic.ravel()[places] += more.astype(np.uint16)
    return replace(raw, mosaic=mosaic), places


@pytest.mark.parametrize("pattern", ["rggb", "gbrg", "xtrans"])
@pytest.mark.parametrize("level", [0.001, 0.05, 0.3])
def test_98_of_100_hot_photosites_are_removed(sensor: Sensor, pattern: str, level: float) -> None:
    clean = _seen(sensor, np.full((3, 150, 200), level), pattern)
    hot, places = _with_hot(clean)
    repaired, count, in_doubt = without_defects(hot)
    left = repaired.mosaic.ravel()[places].astype(int) - clean.mosaic.ravel()[places]
    noise = np.sqrt(SHOT * level + READ) * (WHITE - BLACK)
    assert np.count_nonzero(np.abs(left) < 6 * noise + 2) >= 98
    assert 98 <= count <= 102
    assert in_doubt == 0


@pytest.mark.parametrize("pattern", ["bggr", "xtrans"])
def test_dead_photosites_are_removed(sensor: Sensor, pattern: str) -> None:
    raw = _seen(sensor, np.full((3, 150, 200), 0.2), pattern)
    places = np.random.default_rng(3).choice(raw.mosaic.size, 100, replace=False)
    mosaic = raw.mosaic.copy()
    mosaic.ravel()[places] = BLACK
    repaired, _, _ = without_defects(replace(raw, mosaic=mosaic))
    assert np.count_nonzero(repaired.mosaic.ravel()[places] > BLACK + 500) >= 98


@pytest.mark.parametrize("pattern", ["rggb", "xtrans"])
@pytest.mark.parametrize("fwhm", [1.2, 1.5, 2.5])
def test_stars_stay(sensor: Sensor, pattern: str, fwhm: float) -> None:
    raw = _seen(sensor, _stars(fwhm), pattern)
    assert np.count_nonzero(defects(raw)) <= 1


def test_hot_photosites_among_stars_are_removed(sensor: Sensor) -> None:
    hot, places = _with_hot(_seen(sensor, _stars(1.5), "rggb"))
    assert np.count_nonzero(defects(hot).ravel()[places]) >= 98


@pytest.mark.parametrize("pattern", ["rggb", "gbrg", "xtrans"])
@pytest.mark.parametrize(("ground", "line"), [(0.02, 0.5), (0.4, 0.01)])
@pytest.mark.parametrize("angle", [0, 20, 45, 70, 90, 135])
def test_thin_lines_stay(
    sensor: Sensor, pattern: str, ground: float, line: float, angle: float
) -> None:
    """Wires and rigging, a pixel wide as a lens draws them."""
    y, x = np.mgrid[:120, :150].astype(float)
    slope = np.deg2rad(angle)
    distance = (x - 75.3) * np.sin(slope) - (y - 60.2) * np.cos(slope)
    share = np.exp(-0.5 * (distance / 0.55) ** 2)
    raw = _seen(sensor, np.repeat((ground + (line - ground) * share)[None], 3, axis=0), pattern)
    assert np.count_nonzero(defects(raw)) == 0


@pytest.mark.parametrize("darkness", [1, 30])
def test_photographs_and_noise_stay(
    sensor: Sensor, clean_photos: list[Picture], darkness: float
) -> None:
    """These are reduced so much that single pixels differ from all around them."""
    for photo in clean_photos:
        raw = _seen(sensor, ((photo.pixels + 0.055) / 1.055) ** 2.4 / darkness, "grbg")
        repaired, count, in_doubt = without_defects(raw)
        assert (count, repaired) == (0, raw)
        assert in_doubt < 3e-4 * raw.mosaic.size


def test_hot_photosites_in_photographs_are_removed(
    sensor: Sensor, clean_photos: list[Picture]
) -> None:
    """Where texture does not hide them: about half of them in these."""
    shares = []
    for photo in clean_photos:
        raw = _seen(sensor, ((photo.pixels + 0.055) / 1.055) ** 2.4, "rggb")
        hot, places = _with_hot(raw)
        is_filled = without_defects(hot)[0].mosaic != hot.mosaic
        shares.append(is_filled.ravel()[places].mean())
    assert np.mean(shares) > 0.5


def test_what_may_be_light_is_left_unless_asked_for(sensor: Sensor) -> None:
    """Two specks are too few to tell from two of a sharp picture's own."""
    raw = _seen(sensor, np.full((3, 60, 60), 0.01), "rggb")
    mosaic = raw.mosaic.copy()
    mosaic[20, 20] = mosaic[40, 31] = WHITE
    hot = replace(raw, mosaic=mosaic)
    assert without_defects(hot) == (hot, 0, 2)
    assert without_defects(hot, in_doubt=True)[1:] == (2, 0)


def test_known_defects_are_filled_beside_those_in_doubt(sensor: Sensor) -> None:
    raw = _seen(sensor, np.full((3, 60, 60), 0.01), "rggb")
    mosaic = raw.mosaic.copy()
    mosaic[20, 20] = mosaic[40, 31] = WHITE
    known = np.zeros(mosaic.shape, dtype=bool)
    known[20, 20] = True
    repaired, count, in_doubt = without_defects(replace(raw, mosaic=mosaic), known)
    assert (count, in_doubt) == (1, 1)
    assert np.argwhere(repaired.mosaic == WHITE).tolist() == [[40, 31]]


def test_a_pair_side_by_side_is_removed(sensor: Sensor) -> None:
    raw = _seen(sensor, np.full((3, 60, 60), 0.01), "rggb")
    mosaic = raw.mosaic.copy()
    mosaic[20, 20:22] = mosaic[40:43:2, 40] = WHITE
    assert np.argwhere(defects(replace(raw, mosaic=mosaic))).tolist() == [
        [20, 20],
        [20, 21],
        [40, 40],
        [42, 40],
    ]


def test_places_are_filled_from_sound_neighbours_alone(sensor: Sensor) -> None:
    raw = sensor("rggb", size=(20, 20))
    where = np.zeros((20, 20), dtype=bool)
    where[4:9, 4:9] = True
    mosaic = np.where(where, WHITE, 700).astype(np.uint16)
    assert (filled(replace(raw, mosaic=mosaic), where).mosaic[4:9, 4:9] == 700).sum() >= 24


@pytest.mark.parametrize("size", [(1, 1), (3, 9), (7, 7), (14, 15)])
@pytest.mark.parametrize("pattern", ["rggb", "xtrans"])
def test_any_size_is_searched(sensor: Sensor, pattern: str, size: tuple[int, int]) -> None:
    assert defects(sensor(pattern, size=size)).shape == size


@pytest.mark.parametrize("pattern", ["rggb", "xtrans"])
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (7, 2), (3, 5)])
def test_a_mosaic_smaller_than_its_filter_is_filled(
    sensor: Sensor, pattern: str, size: tuple[int, int]
) -> None:
    raw = sensor(pattern, size=size)
    assert filled(raw, np.ones(size, bool)).mosaic.shape == size
