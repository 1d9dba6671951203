import json
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from scipy import ndimage

from restore.denoise.pixels import Change
from restore.denoise.record import Noise
from restore.denoise.runner import Denoiser
from restore.denoise.task import TASK
from restore.errors import DeviceError, UsageError, WeightsError
from restore.image.decode import decode
from restore.image.picture import Picture, Transfer
from restore.models.dncnn import DnCNN, DnCNNConfig
from restore.models.ffdnet import FFDNetConfig
from restore.noise.sensor import add_gaussian_noise
from restore.weights.store import Weights, save_weights

pytestmark = pytest.mark.usefixtures("usual_engine")


def picture(channels: int = 3, size: tuple[int, int] = (20, 31), **fields: object) -> Picture:
    rng = np.random.default_rng(0)
    pixels = (rng.integers(0, 256, (channels, *size)) / np.float32(255)).astype(np.float32)
    return Picture(pixels=pixels, **fields)


def test_strength_zero_is_the_very_picture(color_model: Path) -> None:
    before = picture()
    after = Denoiser(color_model, device="cpu")(before, strength=0).picture
    assert after is before


def test_strength_blends(color_model: Path) -> None:
    denoiser, before = Denoiser(color_model, device="cpu"), picture(is_float=True, bit_depth=32)
    half, full = (denoiser(before, sigma=25, strength=s).picture.pixels for s in (0.5, 1.0))
    assert np.abs(full - before.pixels).max() > 1e-3
    np.testing.assert_allclose(half, (before.pixels + full) / 2, atol=1e-6)


def test_colour_noise_alone_is_removed(color_model: Path, gray_model: Path) -> None:
    """Luma stays as it was. A gray picture has no colour noise, so nothing of it changes."""
    denoiser, before = Denoiser(color_model, device="cpu"), picture(is_float=True, bit_depth=32)
    after = denoiser(before, sigma=25, strength=0, chroma=1)
    change = after.picture.pixels - before.pixels
    assert np.abs(change).max() > 1e-3
    luma = np.tensordot(np.float32([0.299, 0.587, 0.114]), change, axes=1)
    np.testing.assert_allclose(luma, 0, atol=1e-5)
    assert (after.record["strength"], after.record["chroma"]) == (0.0, 1.0)
    for gray in (picture(1), picture(3).with_pixels(picture(1).pixels.repeat(3, axis=0))):
        assert Denoiser(gray_model, device="cpu")(gray, strength=0, chroma=1).picture is gray


def test_detail_puts_back_the_same_in_every_channel_in_proportion(color_model: Path) -> None:
    denoiser, before = Denoiser(color_model, device="cpu"), picture(is_float=True, bit_depth=32)
    none, half, full = (
        denoiser(before, sigma=25, detail=share).picture.pixels for share in (0, 0.5, 1)
    )
    added = full - none
    assert np.abs(added).max() > 1e-3
    np.testing.assert_allclose(half - none, added / 2, atol=1e-6)
    np.testing.assert_allclose(added, np.broadcast_to(added[:1], added.shape), atol=1e-6)


def test_everything_but_the_pixels_stays(color_model: Path) -> None:
    alpha = np.random.default_rng(1).random((20, 31), dtype=np.float32)
    before = picture(alpha=alpha, icc=b"icc", exif=b"exif", xmp=b"xmp", orientation=6)
    after = Denoiser(color_model, device="cpu")(before).picture
    assert after.alpha is alpha
    assert (after.icc, after.exif, after.xmp, after.orientation) == (b"icc", b"exif", b"xmp", 6)
    assert after.pixels.min() >= 0
    assert after.pixels.max() <= 1


def test_given_sigma_reaches_the_network(color_model: Path) -> None:
    denoiser, before = Denoiser(color_model, device="cpu"), picture()
    weak, strong = (denoiser(before, sigma=sigma) for sigma in (5, 50))
    assert not np.array_equal(weak.picture.pixels, strong.picture.pixels)
    assert (weak.record["sigma"], weak.record["sigma_estimated"]) == (5, False)


def test_estimated_sigma_reaches_the_network_and_the_record(color_model: Path) -> None:
    smooth = np.linspace(0.3, 0.7, 96 * 96, dtype=np.float32).reshape(1, 96, 96)
    noisy = add_gaussian_noise(smooth.repeat(3, axis=0), 20 / 255, seed=3)
    denoiser, before = Denoiser(color_model, device="cpu"), Picture(pixels=noisy)
    automatic = denoiser(before)
    estimate = float(automatic.record["sigma"])
    assert estimate == pytest.approx(20, rel=0.1)
    assert automatic.record["sigma_estimated"] is True
    given = denoiser(before, sigma=estimate)
    np.testing.assert_allclose(given.picture.pixels, automatic.picture.pixels, atol=1e-4)


def test_correlated_noise_is_told_as_stronger_and_recorded(color_model: Path) -> None:
    noise = np.random.default_rng(3).standard_normal((3, 128, 128), np.float32)
    soft = ndimage.gaussian_filter(noise, (0, 0.8, 0.8))
    before = Picture(pixels=0.5 + np.float32(12 / 255) * soft / soft.std())
    denoiser = Denoiser(color_model, device="cpu")
    after = denoiser(before)
    record = after.record
    assert record["noise"] == "correlated"
    assert record["sigma"] == pytest.approx(12, rel=0.25)
    assert record["sigma_told"] > 1.3 * record["sigma"]
    told = denoiser(before, sigma=float(record["sigma_told"]))
    np.testing.assert_allclose(told.picture.pixels, after.picture.pixels, atol=1e-4)
    assert "noise" not in told.record


@pytest.fixture
def idle_model(tmp_path: Path) -> Path:
    """A colour network that finds no noise."""
    config = DnCNNConfig(channels=3, depth=2, width=1)
    tensors = {key: torch.zeros_like(value) for key, value in DnCNN(config).state_dict().items()}
    weights = Weights(name="nothing", network=DnCNN, config=config, task="denoise", tensors=tensors)
    path = tmp_path / "nothing.safetensors"
    save_weights(weights, path)
    return path


def test_a_noisy_picture_that_stays_as_it_is_is_recorded(idle_model: Path) -> None:
    denoiser, clean = Denoiser(idle_model, device="cpu"), np.full((3, 64, 64), 0.5, np.float32)
    noisy = Picture(pixels=add_gaussian_noise(clean, 10 / 255, seed=0))
    assert denoiser(noisy).record["unchanged"] is True
    assert denoiser(Picture(pixels=clean)).record["unchanged"] is False
    assert "unchanged" not in denoiser(noisy, sigma=10).record
    assert "unchanged" not in denoiser(noisy, strength=0).record


def test_stripes_are_taken_away_and_recorded(idle_model: Path) -> None:
    rng = np.random.default_rng(0)
    offsets = rng.normal(0, 6 / 255, (1, 200, 1)).astype(np.float32)
    striped = Picture(pixels=np.full((3, 200, 160), 0.5, np.float32) + offsets)
    denoiser = Denoiser(idle_model, device="cpu")
    done, kept = (denoiser(striped, sigma=5, keep_stripes=kept) for kept in (False, True))
    assert np.diff(done.picture.pixels[0, :, 80]).std() < np.diff(offsets[0, :, 0]).std() / 4
    assert done.record["stripes_rows"] == pytest.approx(6, rel=0.2)
    assert done.record["stripes_columns"] == 0
    assert "along rows were taken away; keep_stripes=True leaves" in str(done.record["remarks"])
    assert "stripes_rows" not in kept.record
    half = denoiser(striped, sigma=5, strength=0.5).picture.pixels
    np.testing.assert_allclose(half, (striped.pixels + done.picture.pixels) / 2, atol=1e-6)


@pytest.mark.parametrize(("change", "is_left"), [(0.18, True), (1.0, False)])
def test_strong_noise_of_which_little_goes_is_recorded_too(change: float, is_left: bool) -> None:
    changed = Change()
    changed.add(np.zeros((3, 8, 8), np.float32), np.full((3, 8, 8), change / 255, np.float32))
    assert Noise(sigma=27.6, told=0.1, kind="white", is_auto=True).leaves(changed) is is_left


def test_only_the_networks_that_are_used_are_opened() -> None:
    denoiser = Denoiser(device="cpu", sigma=25)
    assert set(denoiser._networks.opened) == {"resunet-color"}
    assert set(Denoiser("dncnn-gray", device="cpu")._networks.opened) == {"dncnn-gray"}
    assert denoiser(picture(1, size=(8, 8)), sigma=25).record["model"] == "resunet-gray"
    assert set(denoiser._networks.opened) == {"resunet-color", "resunet-gray"}


def test_record_is_plain(gray_model: Path) -> None:
    record = Denoiser(gray_model, device="cpu", tile=64)(picture(1)).record
    assert json.loads(json.dumps(record)) == record
    assert (record["model"], record["device"], record["tile"]) == ("gray", "cpu", 64)
    assert record["precision"] == "fp32"
    assert record["megapixels"] == pytest.approx(20 * 31 / 1e6)


def test_gray_network_takes_colour_channel_by_channel(gray_model: Path) -> None:
    denoiser, before = Denoiser(gray_model, device="cpu"), picture()
    after = denoiser(before).picture
    for index in range(3):
        alone = denoiser(before.with_pixels(before.pixels[index : index + 1])).picture
        np.testing.assert_allclose(after.pixels[index], alone.pixels[0], atol=1e-6)


def test_colour_network_takes_gray(color_model: Path) -> None:
    after = Denoiser(color_model, device="cpu")(picture(1)).picture
    assert after.pixels.shape == (1, 20, 31)


def test_linear_light_is_denoised_as_srgb_and_highlights_keep_their_distance(
    gray_model: Path,
) -> None:
    light = np.full((1, 24, 24), 0.25, np.float32)
    light[0, 4, 4] = 300.0
    before = Picture(pixels=light, is_float=True, bit_depth=32, transfer=Transfer.LINEAR)
    after = Denoiser(gray_model, device="cpu")(before).picture
    assert after.transfer is Transfer.LINEAR
    assert after.pixels[0, 4, 4] == pytest.approx(300, rel=0.2)
    assert after.pixels[0, 20, 20] == pytest.approx(0.25, abs=0.2)
    assert not np.array_equal(after.pixels, light)


def test_values_that_are_no_numbers_stay_where_they_are(gray_model: Path) -> None:
    values = np.full((1, 24, 24), 0.5, np.float32)
    values[0, 3, 3], values[0, 10, 10] = np.nan, np.inf
    before = Picture(pixels=values, is_float=True, bit_depth=32, transfer=Transfer.LINEAR)
    after = Denoiser(gray_model, device="cpu")(before).picture.pixels
    np.testing.assert_array_equal(np.isfinite(after), np.isfinite(values))


def test_noise_is_not_measured_where_there_are_no_numbers(gray_model: Path) -> None:
    dark = np.random.default_rng(0).normal(0.02, 0.03, (1, 200, 200)).astype(np.float32)
    dark[:, :120] = np.nan
    before = Picture(pixels=dark, is_float=True, bit_depth=32)
    record = Denoiser(gray_model, device="cpu")(before).record
    assert record["sigma"] == pytest.approx(255 * 0.03, rel=0.1)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (7, 9)])
def test_every_size_works(color_model: Path, size: tuple[int, int]) -> None:
    assert Denoiser(color_model, device="cpu")(picture(size=size)).picture.pixels.shape[1:] == size


@pytest.mark.parametrize("options", [{"sigma": -1}, {"sigma": float("nan")}, {"sigma": 256}])
def test_impossible_sigma_is_refused(gray_model: Path, options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="sigma"):
        Denoiser(gray_model, device="cpu")(picture(1), **options)


@pytest.mark.parametrize("name", ["strength", "chroma", "detail"])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_impossible_shares_are_refused(gray_model: Path, name: str, value: float) -> None:
    with pytest.raises(UsageError, match=name):
        Denoiser(gray_model, device="cpu")(picture(1), **{name: value})


def test_wrong_choices_are_refused_at_once(gray_model: Path, hdr_model: Path) -> None:
    with pytest.raises(WeightsError, match="no such weights"):
        Denoiser("dncnn-purple")
    with pytest.raises(WeightsError, match="are for hdr"):
        Denoiser(hdr_model)
    with pytest.raises(UsageError, match="device 'abacus'"):
        Denoiser(gray_model, device="abacus")
    with pytest.raises(DeviceError, match="cuda:99"):
        Denoiser(gray_model, device="cuda:99")
    with pytest.raises(UsageError, match="precision 'fp8'"):
        Denoiser(gray_model, precision="fp8")


@pytest.mark.parametrize("sample", ["kodim01", "kodim07", "kodim19"])
def test_photo_keeps_the_colours_of_clean_and_of_noisy_pictures(
    shared_data: Path, sample: str
) -> None:
    """Means within 0.2 of 255; of noise that is not clipped."""
    clean = decode(shared_data / f"denoise/test/kodak24/{sample}.png")
    middle = clean.with_pixels(0.2 + 0.6 * clean.pixels[:, :192, :192])
    denoiser = Denoiser("photo", device="cpu")
    for sigma in (0, 10):
        noisy = middle.with_pixels(add_gaussian_noise(middle.pixels, sigma / 255, seed=0))
        after = denoiser(noisy).picture.pixels
        shift = 255 * (after - noisy.pixels).mean(axis=(1, 2))
        assert np.abs(shift).max() < 0.2


@pytest.mark.parametrize(
    ("channels", "sigma", "name"),
    [
        (3, "auto", "photo"),
        (3, 25.0, "resunet-color"),
        (1, "auto", "photo"),
        (1, 25.0, "resunet-gray"),
    ],
)
def test_auto_takes_the_network_for_the_picture(
    channels: int, sigma: float | Literal["auto"], name: str
) -> None:
    denoiser = Denoiser(device="cpu")
    assert denoiser(picture(channels, size=(8, 8)), sigma=sigma).record["model"] == name


def test_only_networks_that_predict_noise_are_rounded_everywhere(color_model: Path) -> None:
    assert TASK.open(color_model).is_residual
    assert TASK.load(color_model).is_residual
    assert not replace(TASK.load(color_model), config=FFDNetConfig()).is_residual


@pytest.mark.parametrize("name", ["dncnn-color-gray", "dncnn-gray-color"])
def test_a_name_with_two_kinds_is_unknown(name: str) -> None:
    with pytest.raises(WeightsError, match="no such weights"):
        Denoiser(name)
