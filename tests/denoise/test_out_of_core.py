"""What is too large for memory is denoised as what is not."""

import errno
import os
from collections import deque
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from restore.batch.out_of_core import OutOfCoreResult
from restore.denoise.out_of_core import Scratch
from restore.denoise.runner import Denoiser
from restore.engine.lane import TileTooLarge
from restore.engine.runner import Runner
from restore.errors import OutputError
from restore.image.decode import decode
from restore.image.tiff_regions import OutOfCorePicture, open_out_of_core
from restore.noise.estimate_rows import estimate_noise_of_rows
from restore.noise.level import NoiseKind, estimate_noise
from restore.noise.sensor import add_gaussian_noise

HEIGHT, WIDTH = 300, 250


@pytest.fixture(autouse=True)
def _pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that run once need not be exported."""
    monkeypatch.setenv("IMRESTORE_ENGINE", "pytorch")


def noisy(channels: int = 3) -> np.ndarray:
    smooth = np.linspace(-0.05, 1.05, HEIGHT * WIDTH, dtype=np.float32).reshape(1, HEIGHT, WIDTH)
    pixels = add_gaussian_noise(smooth.repeat(channels, axis=0), 20 / 255, seed=3)
    return np.clip(pixels, 0, 1).transpose(1, 2, 0)


def write(path: Path, samples: np.ndarray) -> OutOfCorePicture:
    photometric = "rgb" if samples.shape[2] >= 3 else "minisblack"
    options = {"extrasamples": ["unassalpha"]} if samples.shape[2] in (2, 4) else {}
    samples = samples[..., 0] if samples.shape[2] == 1 else samples
    tifffile.imwrite(path, samples, photometric=photometric, tile=(16, 32), **options)
    source = open_out_of_core(path, workplace=path.parent, budget_bytes=900_000)
    assert source is not None
    return source


def assert_same(denoiser: Denoiser, source: OutOfCorePicture, **options: float) -> None:
    whole = denoiser(decode(source.path), **options)
    result = denoiser.out_of_core(source, **options)
    assert {**result.record, "seconds": 0} == {**whole.record, "seconds": 0}
    with result.opened() as rows:
        for start in range(0, HEIGHT, 70):
            part = rows(start, min(HEIGHT, start + 70))
            expected = whole.picture.rows(start, start + 70)
            np.testing.assert_allclose(part.pixels, expected.pixels, rtol=0, atol=1e-6)
            if expected.alpha is not None:
                np.testing.assert_array_equal(part.alpha, expected.alpha)
    assert sorted(source.path.parent.iterdir()) == [source.path]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sigma": 10.0},
        {"strength": 0.0},
        {"strength": 0.6, "detail": 0.5},
        {"strength": 0.0, "chroma": 0.8},
        {"strength": 0.5, "chroma": 1.0, "detail": 0.2},
        {"detail": 1.0},
    ],
    ids=str,
)
def test_the_same_result_for_all_options(
    tmp_path: Path, color_model: Path, options: dict[str, float]
) -> None:
    source = write(tmp_path / "a.tif", np.rint(noisy() * 65535).astype(np.uint16))
    assert_same(Denoiser(color_model, device="cpu", tile=64), source, **options)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_same_result_for_gray_and_alpha(
    tmp_path: Path, color_model: Path, gray_model: Path, count: int
) -> None:
    source = write(tmp_path / "a.tif", np.rint(noisy(count) * 255).astype(np.uint8))
    for model in (color_model, gray_model):
        assert_same(Denoiser(model, device="cpu", tile=96), source)


def test_the_same_result_for_light_with_holes(tmp_path: Path, color_model: Path) -> None:
    light = noisy() ** 2 * 3
    light[100, 100] = np.nan
    light[200:300] = np.inf
    assert_same(Denoiser(color_model, device="cpu", tile=64), write(tmp_path / "a.tif", light))


@pytest.mark.parametrize("options", [{}, {"strength": 0.6, "detail": 0.5}], ids=str)
def test_the_same_stripes_are_taken_away(
    tmp_path: Path, color_model: Path, options: dict[str, float]
) -> None:
    rng = np.random.default_rng(1)
    striped = 0.6 * noisy() + 0.2 + rng.normal(0, 0.03, (1, WIDTH, 1))
    source = write(tmp_path / "a.tif", np.rint(striped * 65535).astype(np.uint16))
    denoiser = Denoiser(color_model, device="cpu", tile=64)
    assert denoiser(decode(source.path)).record["stripes_columns"] > 4
    assert_same(denoiser, source, **options)
    assert_same(denoiser, source, **options, keep_stripes=True)


def test_low_frequencies_of_the_whole_picture_are_given_back(
    tmp_path: Path, color_model: Path
) -> None:
    denoiser = Denoiser(color_model, device="cpu", tile=64)
    keeping_low_frequencies(denoiser)
    source = write(tmp_path / "a.tif", np.rint(noisy() * 255).astype(np.uint8))
    assert_same(denoiser, source, detail=0.3)


def keeping_low_frequencies(denoiser: Denoiser) -> Runner:
    """Let a denoiser take its network for one that was trained on the noise of cameras."""
    ((name, network),) = denoiser._networks.opened.items()
    denoiser._networks.opened[name] = replace(network, keeps_low_frequencies=True)
    return network.runner


def test_a_tile_that_is_too_large_is_halved_and_all_is_done_once_more(
    tmp_path: Path, color_model: Path
) -> None:
    denoiser = Denoiser(color_model, device="cpu", tile=256)
    runner = keeping_low_frequencies(denoiser)
    network, calls = runner._first, []

    class Small:
        def __call__(self, *inputs: np.ndarray) -> np.ndarray:
            calls.append(inputs[0].shape)
            if len(calls) == 2 or inputs[0].shape[2] > 140:
                raise TileTooLarge
            return network(*inputs)

        def __getattr__(self, name: str) -> object:
            return getattr(network, name)

    source = write(tmp_path / "a.tif", np.rint(noisy() * 255).astype(np.uint8))
    whole = denoiser(decode(source.path))
    small: Any = Small()
    runner._first, runner._lanes, runner._free = small, [small], deque([small])
    result = denoiser.out_of_core(source)
    assert result.record["tile"] == 64
    with result.opened() as rows:
        np.testing.assert_allclose(rows(0, HEIGHT).pixels, whole.picture.pixels, atol=1e-5)


@pytest.mark.parametrize("blur", [0, 0.8])
def test_noise_of_bands_is_that_of_the_whole(blur: float) -> None:
    for channels in (3, 1):
        plain = np.full((channels, HEIGHT, WIDTH), 0.5, np.float32)
        planes = ndimage.gaussian_filter(add_gaussian_noise(plain, 0.1, seed=3), (0, blur, blur))
        planes[:, 50:60, 50:60] = np.nan
        whole = estimate_noise(planes)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("restore.noise.estimate_rows._PIXELS_AT_ONCE", 37 * WIDTH)
            by_rows = estimate_noise_of_rows(
                lambda start, stop, planes=planes: planes[:, start:stop], HEIGHT, WIDTH
            )
        assert by_rows.sigma == pytest.approx(whole.sigma, rel=1e-6)
        assert by_rows.told == pytest.approx(whole.told, rel=1e-6)
        assert by_rows.kind is whole.kind
        assert whole.kind is (NoiseKind.CORRELATED if blur else NoiseKind.WHITE)


def test_a_disk_without_room_is_told_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"a working file needs 4e\+06 GB here"):
        Scratch(tmp_path, 1, 10**9, 10**6)


def test_a_disk_that_is_full_after_all_is_told_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(OutputError, match="no working file can be written here: No space left"):
        Scratch(tmp_path, 3, 100, 100)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("reserves", ["with a call", "by refusing the call", "without the call"])
def test_the_room_of_a_working_file_is_taken_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reserves: str
) -> None:
    """A hole in a mapped file would end the process when the disk is full."""

    def refusing(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    if reserves == "by refusing the call":
        monkeypatch.setattr(os, "posix_fallocate", refusing, raising=False)
    elif reserves == "without the call":
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    height, width = 701, 301
    scratch = Scratch(tmp_path, 3, height, width)
    found = os.fstat(scratch._file.fileno())
    assert found.st_size == 3 * height * width * 4
    assert found.st_blocks * 512 >= found.st_size
    pixels = np.random.default_rng(0).random((3, height, width), np.float32)
    for top, left in product(range(0, height, 256), range(0, width, 256)):
        part = slice(top, min(top + 256, height)), slice(left, min(left + 256, width))
        scratch.write(part, pixels[:, part[0], part[1]])
    np.testing.assert_array_equal(scratch.read(0, height), pixels)
    np.testing.assert_array_equal(scratch.read(255, 300), pixels[:, 255:300])
    scratch.close()


def test_results_are_read_once(tmp_path: Path, color_model: Path) -> None:
    source = write(tmp_path / "a.tif", np.rint(noisy() * 255).astype(np.uint8))
    result = Denoiser(color_model, device="cpu", tile=64).out_of_core(source)
    assert isinstance(result, OutOfCoreResult)
    with result.opened() as rows:
        rows(0, 1)
    with result.opened() as rows, pytest.raises(ValueError, match="closed"):
        rows(0, 1)
