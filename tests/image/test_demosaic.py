"""LibRaw's demosaicking of mosaics in memory."""

from dataclasses import replace

import numpy as np
import pytest

from restore.image.demosaic import light_of_sensor
from restore.image.raw_picture import REFERENCE_CFA, RawPicture

_COLOURS = np.array([0.2, 0.5, 0.8])


def _flat(
    cfa: np.ndarray, white_balance: tuple[float, float, float], noise_dn: float
) -> RawPicture:
    tiled = np.tile(np.where(cfa == 3, 1, cfa), (96 // len(cfa),) * 2)
    noise = np.random.default_rng(0).normal(0, noise_dn, tiled.shape)
    mosaic = np.round(512 + _COLOURS[tiled] * 15000 + noise).astype(np.uint16)
    return RawPicture(
        mosaic=mosaic,
        cfa=cfa,
        black_level=(512,) * 4,
        white_level=15512,
        white_balance=white_balance,
    )


@pytest.mark.parametrize("white_balance", [(1.0, 1.0, 1.0), (2.1, 1.0, 1.5), (0.8, 1.0, 1.3)])
@pytest.mark.parametrize("cfa", [REFERENCE_CFA[2], REFERENCE_CFA[2][::-1], REFERENCE_CFA[6]])
def test_light_is_that_of_the_sensor_whatever_the_white_balance(
    cfa: np.ndarray, white_balance: tuple[float, float, float]
) -> None:
    light = light_of_sensor(_flat(cfa, white_balance, 20))
    np.testing.assert_allclose(light.mean(axis=(1, 2)), _COLOURS, atol=2e-4)


@pytest.mark.parametrize("cfa", [REFERENCE_CFA[2], REFERENCE_CFA[6]])
@pytest.mark.parametrize(
    ("black_level", "white_level"),
    [
        ((0, 0, 0, 0), 65535),
        ((1024.25, 1024.25, 1024.25, 1024.25), 65535),
        ((500, 512, 520, 516), 15512),
        ((0, 3, 3, 5), 4095),
    ],
)
def test_light_is_that_of_the_sensor_whatever_its_levels(
    cfa: np.ndarray, black_level: tuple[float, float, float, float], white_level: float
) -> None:
    span = white_level - max(black_level)
    light = np.array([*_COLOURS, _COLOURS[1]]) * span + np.array(black_level)
    mosaic = np.tile(light[cfa].round(), (96 // len(cfa),) * 2).astype(np.uint16)
    raw = RawPicture(
        mosaic=mosaic,
        cfa=cfa,
        black_level=black_level,
        white_level=white_level,
        white_balance=(2.1, 1.0, 1.5),
    )
    found = light_of_sensor(raw).mean(axis=(1, 2))
    np.testing.assert_allclose(found, _COLOURS, atol=0.6 / span + 2e-5)


def test_light_is_that_of_the_sensor_where_no_white_balance_is_stated() -> None:
    raw = replace(_flat(REFERENCE_CFA[2], (2.1, 1.0, 1.5), 0), has_white_balance=False)
    np.testing.assert_allclose(light_of_sensor(raw).mean(axis=(1, 2)), _COLOURS, atol=2e-4)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_light_lies_as_on_the_sensor_whatever_the_orientation(orientation: int) -> None:
    cfa = REFERENCE_CFA[2]
    raw = _flat(cfa, (2.1, 1.0, 1.5), 0)
    mosaic = raw.mosaic[:40].copy()
    mosaic[:10, :20] = 512
    light = light_of_sensor(replace(raw, mosaic=mosaic, orientation=orientation))
    assert light.shape == (3, 40, 96)
    assert light[:, :8, :18].max() < 0.01
    assert light[:, 14:].min() > 0.15
    assert light[:, :, 24:].min() > 0.15


def test_white_stays_white_and_noise_below_black_negative() -> None:
    raw = _flat(REFERENCE_CFA[2], (2.1, 1.0, 1.5), 0)
    raw.mosaic[...] = 15512
    np.testing.assert_allclose(light_of_sensor(raw), 1, atol=1e-4)
    noise = np.random.default_rng(0).normal(0, 20, raw.mosaic.shape)
    raw.mosaic[...] = np.round(512 + noise)
    dark = light_of_sensor(raw)
    assert abs(dark.mean()) < 1e-4
    assert dark.min() < -0.002


@pytest.mark.parametrize("side", [2, 6])
@pytest.mark.parametrize("size", [(1, 1), (7, 2), (3, 5), (13, 8)])
def test_a_mosaic_may_be_smaller_than_its_filter(side: int, size: tuple[int, int]) -> None:
    raw = _flat(REFERENCE_CFA[side], (2.1, 1.0, 1.5), 0)
    part = replace(raw, mosaic=raw.mosaic[: size[0], : size[1]])
    assert light_of_sensor(part).shape == (3, *size)


def test_a_monochrome_sensor_has_three_equal_colours() -> None:
    mosaic = np.arange(512, 512 + 48 * 50, dtype=np.uint16).reshape(48, 50)
    raw = RawPicture(
        mosaic=mosaic,
        cfa=np.array([[1]], dtype=np.uint8),
        black_level=(512,) * 4,
        white_level=4096,
    )
    light = light_of_sensor(raw)
    np.testing.assert_allclose(light, np.repeat((mosaic[None] - 512) / 3584, 3, axis=0), atol=1e-6)
