from pathlib import Path

import numpy as np
import pytest

from restore.image.decode import decode
from restore.image.encode import encode
from restore.image.picture import ImageFormat, Picture
from restore.image.raw import read_raw
from restore.image.saturation import mosaic_saturation, saturation_levels


def _scene(white: float) -> np.ndarray:
    """A gradient with noise in which everything above ``white`` was cut."""
    rng = np.random.default_rng(0)
    light = np.linspace(0, 1.5, 300)[None] + 0.02 * rng.standard_normal((200, 300))
    codes = np.round(np.clip(light, 0, white) * 255) / 255
    return codes.astype(np.float32)


@pytest.mark.parametrize("white", [1.0, 235 / 255, 0.85])
def test_a_clipped_white_is_found_wherever_it_lies(white: float) -> None:
    pixels = _scene(white)[None]
    (level,) = saturation_levels(pixels, is_lossy=False)
    assert white - 2.6 / 255 <= level < white
    assert pixels.max() >= level


def test_a_picture_that_ends_by_itself_is_not_saturated() -> None:
    fading = np.random.default_rng(0).beta(2, 6, (1, 200, 300)).astype(np.float32)
    assert np.isinf(saturation_levels(np.round(fading * 255) / 255, is_lossy=False)).all()
    dark = np.full((1, 50, 50), 0.2, dtype=np.float32)
    assert np.isinf(saturation_levels(dark, is_lossy=False)).all()


def test_each_channel_has_a_level_of_its_own() -> None:
    dark = np.random.default_rng(0).random((200, 300), dtype=np.float32) * 0.5
    levels = saturation_levels(np.stack([_scene(1.0), dark, _scene(0.9)]), is_lossy=False)
    assert np.isinf(levels).tolist() == [False, True, False]
    assert levels[2] < levels[0]


def test_jpeg_spreads_white_by_some_codes_around_it(clean_photos: list[Picture]) -> None:
    for photo in clean_photos:
        blown = photo.with_pixels((1.6 * photo.pixels).clip(0, 1))
        for quality in (75, 95):
            pixels = decode(encode(blown, ImageFormat.JPEG, quality=quality)).pixels
            lossy, exact = (
                saturation_levels(pixels, is_lossy=is_lossy) for is_lossy in (True, False)
            )
            found = np.isfinite(lossy)
            assert found.any()
            assert (lossy[found] < exact[found]).all()
            assert (lossy[found] > 0.97).all()
            assert (exact[found] < 1).all()


def test_jpeg_spreads_white_by_a_few_codes(shared_data: Path) -> None:
    picture = decode(shared_data / "hdr/brackets/stack_alignment/IMG_4211.jpg")
    lossy = saturation_levels(picture.pixels, is_lossy=True)
    assert (lossy < 1).all()
    assert (lossy > 0.97).all()
    assert (lossy < saturation_levels(picture.pixels, is_lossy=False)).all()


WHITE, BLACK = 16383, 512.0


def _bayer(
    clip: float, *, sigma: float = 0.0, peak: float = 1.5, gains: tuple[float, ...] = (1, 1, 1)
) -> tuple[np.ndarray, np.ndarray]:
    """A smooth scene seen through a Bayer filter, whose sensor clips at a share of its white."""
    rng = np.random.default_rng(1)
    light = peak * np.outer(np.linspace(0.2, 1, 120), np.linspace(0, 1, 160))
    cfa = np.array([[0, 1], [3, 2]], dtype=np.uint8)
    factors = np.array([*gains, gains[1]])[np.tile(cfa, (60, 80))]
    electrons = 30_000
    seen = rng.poisson(light * factors * electrons) / electrons
    codes = BLACK + (np.minimum(seen, clip) * (WHITE - BLACK))
    codes += sigma * rng.standard_normal(codes.shape)
    return np.rint(codes).clip(0, WHITE).astype(np.uint16), cfa


def _levels(mosaic: np.ndarray, cfa: np.ndarray) -> np.ndarray:
    return np.array(mosaic_saturation(mosaic, cfa, (BLACK,) * 4, WHITE))


@pytest.mark.parametrize("clip", [0.75, 0.85, 0.9, 0.95, 0.99, 1.0])
@pytest.mark.parametrize("sigma", [0.0, 4.0, 12.0])
def test_a_sensor_that_clips_below_the_white_level_is_found(clip: float, sigma: float) -> None:
    mosaic, cfa = _bayer(clip, sigma=sigma)
    expected = BLACK + clip * (WHITE - BLACK)
    levels = _levels(mosaic, cfa)
    assert (levels <= expected + 0.5).all()
    assert (levels >= expected - 1 - 5 * sigma).all()
    # All that is clipped counts as saturated.
    share = (mosaic >= levels.min()).mean()
    assert share >= 0.99 * (_bayer(9)[0] >= expected).mean()


@pytest.mark.parametrize("clip", [0.8, 0.93])
def test_a_colour_that_does_not_clip_takes_the_level_of_the_others(clip: float) -> None:
    levels = _levels(*_bayer(clip, gains=(0.4, 1, 0.6)))
    assert levels == pytest.approx(BLACK + clip * (WHITE - BLACK), abs=1.5)


@pytest.mark.parametrize("peak", [0.05, 0.5, 0.8, 0.95])
def test_an_unsaturated_mosaic_has_its_white_level(peak: float) -> None:
    assert (_levels(*_bayer(1, peak=peak)) == WHITE).all()


@pytest.mark.parametrize("electrons", [2_000, 60_000, None])
@pytest.mark.parametrize("level", [0.5, 0.8, 0.9])
def test_a_bright_even_surface_is_not_saturated(level: float, electrons: int | None) -> None:
    """White paper, on a chart whose other patches are darker; also without any noise."""
    patches = np.repeat([0.03, 0.09, 0.2, 0.36, 0.6, 1.0], 40) * level
    light = np.tile(patches, (100, 1))
    if electrons:
        light = np.random.default_rng(0).poisson(light * electrons) / electrons
    mosaic = np.rint(BLACK + light * (WHITE - BLACK)).clip(0, WHITE).astype(np.uint16)
    assert (_levels(mosaic, np.array([[0, 1], [3, 2]], np.uint8)) == WHITE).all()


@pytest.mark.parametrize("unevenness", [0.0, 0.0005])
@pytest.mark.parametrize("gains", [(0.5, 1, 0.6), (0.9, 1, 0.8)])
def test_a_bright_wall_without_noise_is_not_saturated(
    gains: tuple[float, float, float], unevenness: float
) -> None:
    """As in a file that was denoised; darker surfaces come up to it in light."""
    light = np.outer(np.linspace(0.6, 1, 120), np.linspace(0, 1, 160)) * 0.84
    wall = np.random.default_rng(3).normal(1, unevenness, (60, 60))
    light[30:90, 60:120] = 0.85 * wall
    cfa = np.array([[0, 1], [3, 2]], dtype=np.uint8)
    factors = np.array([*gains, gains[1]])[np.tile(cfa, (60, 80))]
    codes = np.rint(BLACK + light * factors * (WHITE - BLACK)).astype(np.uint16)
    assert (_levels(codes, cfa) == WHITE).all()


@pytest.mark.parametrize("tag", ["found alone", "with another"])
def test_a_colour_that_clips_while_others_vary_is_saturated(tag: str) -> None:
    gains = (0.5, 1, 0.6) if tag == "found alone" else (0.95, 1, 0.6)
    levels = _levels(*_bayer(0.85, sigma=2.0, gains=gains, peak=1.6))
    assert (levels < WHITE).all()


def test_hot_photosites_are_no_saturation() -> None:
    mosaic, cfa = _bayer(1, peak=0.3)
    places = np.random.default_rng(2).integers(0, mosaic.size, 100)
    mosaic.ravel()[places] = WHITE
    assert (_levels(mosaic, cfa) == WHITE).all()


def test_a_frame_saturated_as_a_whole_is_found() -> None:
    mosaic = np.full((40, 60), 15_000, np.uint16)
    assert (_levels(mosaic, np.array([[0, 1], [3, 2]], np.uint8)) == 15_000).all()


def test_the_d30_clips_at_3820(shared_data: Path) -> None:
    raw = read_raw(shared_data / "raw/canon_d30.crw")
    assert raw.white_level == 4095
    assert all(3780 <= level <= 3820 for level in raw.saturated_from)


@pytest.mark.parametrize("name", ["raw/canon_550d.dng"])
def test_the_550d_does_not_clip(shared_data: Path, name: str) -> None:
    raw = read_raw(shared_data / name)
    assert raw.saturated_from == (raw.white_level,) * 4


def test_a_white_level_beyond_sixteen_bits_stays() -> None:
    mosaic = np.random.default_rng(0).integers(0, 65536, (64, 64)).astype(np.uint16)
    cfa = np.array([[0, 1], [3, 2]], dtype=np.uint8)
    assert mosaic_saturation(mosaic, cfa, (0,) * 4, 4_000_000_000) == (4e9,) * 4
