from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from restore.errors import InputError, OutputError, UsageError, WeightsError
from restore.hdr.radiance import Known
from restore.hdr.runner import HdrReconstructor
from restore.hdr.simulate import CaptureSimulator
from restore.image.codecs import ImageFormat
from restore.image.colour import SRGB_PRIMARIES, linear_to_srgb, srgb_to_linear
from restore.image.decode import decode
from restore.image.icc_writer import written_profile
from restore.image.picture import Picture, Transfer
from restore.models.hdr_resunet import HdrResUNet, HdrResUNetConfig
from restore.models.optical_element import set_element
from restore.weights.store import Weights, save_weights

pytestmark = pytest.mark.usefixtures("usual_engine")


PSF_SIZE = 21


def _element() -> torch.Tensor:
    """Nine tenths in the core, a tenth eight pixels to the right."""
    psf = torch.zeros(3, PSF_SIZE, PSF_SIZE)
    psf[:, 10, 10], psf[:, 10, 18] = 0.9, 0.1
    return psf


def _save(path: Path, *, psf: torch.Tensor | None) -> Path:
    torch.manual_seed(0)
    size = 0 if psf is None else psf.shape[1]
    network = HdrResUNet(HdrResUNetConfig(widths=(4, 6), psf_size=size))
    with torch.no_grad():
        network.tail.bias.add_(0.1)  # brighter everywhere, so that what it touched shows
    if psf is not None:
        set_element(network, psf)
    weights = Weights(
        name=path.stem,
        network=HdrResUNet,
        config=network.config,
        task="hdr",
        tensors=dict(network.state_dict()),
    )
    save_weights(weights, path)
    return path


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights for ordinary pictures."""
    return _save(tmp_path_factory.mktemp("hdr") / "plain.safetensors", psf=None)


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights for captures through an element."""
    return _save(tmp_path_factory.mktemp("hdr") / "coded.safetensors", psf=_element())


def _photograph(channels: int = 3, *, codes: int = 255) -> Picture:
    rng = np.random.default_rng(0)
    pixels = 0.1 + 0.6 * rng.random((channels, 40, 50), dtype=np.float32)
    pixels[:, 10:18, 20:30] = 1.0
    pixels[:, 30, 40] = 0.99  # nearly white, far from anything saturated
    quantised = np.round(pixels * codes) / codes
    return Picture(pixels=quantised.astype(np.float32), bit_depth=8 if codes == 255 else 16)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("codes", [255, 65535])
def test_what_was_measured_comes_back_exactly(plain: Path, channels: int, codes: int) -> None:
    picture = _photograph(channels, codes=codes)
    result = HdrReconstructor("single", plain, device="cpu")(picture)
    light, known = result.picture.pixels, result.known
    assert result.picture.transfer is Transfer.LINEAR
    lost = (picture.pixels >= 1).any(axis=0)
    np.testing.assert_array_equal(known == Known.GUESSED, lost)
    linear = srgb_to_linear(picture.pixels)
    np.testing.assert_array_equal(light[:, ~lost], linear[:, ~lost])
    assert (light[:, lost] >= 1).all()
    assert light[:, lost].mean() > 1.2
    assert result.record["guessed"] == pytest.approx(lost.mean(), abs=1e-6)


def test_near_white_pixels_blend_only_beside_what_saturated(plain: Path) -> None:
    picture = _photograph()
    pixels = picture.pixels.copy()
    pixels[:, 10:18, 31] = 0.99
    result = HdrReconstructor("single", plain, device="cpu")(picture.with_pixels(pixels))
    linear = srgb_to_linear(pixels)
    assert (result.picture.pixels[:, 10:18, 31] > linear[:, 10:18, 31]).all()
    np.testing.assert_array_equal(result.picture.pixels[:, 30, 40], linear[:, 30, 40])


def test_a_picture_without_saturation_comes_back_as_it_is(plain: Path) -> None:
    picture = _photograph().with_pixels(_photograph().pixels * np.float32(0.6))
    result = HdrReconstructor("single", plain, device="cpu")(picture)
    np.testing.assert_array_equal(result.picture.pixels, srgb_to_linear(picture.pixels))
    assert (result.known == Known.MEASURED).all()


def test_a_profile_says_what_curve_samples_have(plain: Path) -> None:
    icc = written_profile(SRGB_PRIMARIES, (1.8,), 3)
    picture = replace(_photograph(), icc=icc)
    picture = picture.with_pixels(picture.pixels * np.float32(0.6))
    result = HdrReconstructor("single", plain, device="cpu")(picture)
    np.testing.assert_allclose(result.picture.pixels, picture.pixels**1.8, atol=1e-4)


def test_gray_stored_as_rgb_stays_gray(plain: Path) -> None:
    gray = _photograph(1)
    reconstruct = HdrReconstructor("single", plain, device="cpu")
    stored = reconstruct(gray.with_pixels(gray.pixels.repeat(3, 0)))
    assert stored.record["gray_stored_as_rgb"] is True
    expected = reconstruct(gray).picture.pixels
    np.testing.assert_array_equal(stored.picture.pixels, expected.repeat(3, 0))


def test_a_slight_tint_of_a_lossless_picture_stays(plain: Path) -> None:
    gray = replace(_photograph(1), format=ImageFormat.WEBP, is_lossless=True)
    tinted = gray.with_pixels(gray.pixels.repeat(3, 0))
    tinted.pixels[2, :4] *= np.float32(0.998)
    red, _, blue = HdrReconstructor("single", plain, device="cpu")(tinted).picture.pixels
    assert (blue[:4] < red[:4]).any()


def test_the_level_of_saturation_can_be_told(plain: Path) -> None:
    picture = _photograph()
    told = HdrReconstructor("single", plain, device="cpu")(picture, saturation=0.6)
    np.testing.assert_array_equal(
        told.known == Known.GUESSED,
        told.known < Known.MEASURED,
    )
    assert (told.known == Known.GUESSED).mean() > 0.2


def test_stops_brighten_the_result(plain: Path) -> None:
    reconstruct = HdrReconstructor("single", plain, device="cpu")
    plain_result, brighter = (
        reconstruct(_photograph(), exposure_stops=stops).picture.pixels for stops in (0.0, 2.0)
    )
    np.testing.assert_allclose(brighter, 4 * plain_result, rtol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (37, 53)])
def test_any_size_is_taken(plain: Path, coded: Path, size: tuple[int, int]) -> None:
    picture = Picture(pixels=np.ones((3, *size), dtype=np.float32))
    for mode, weights in (("single", plain), ("optics", coded)):
        result = HdrReconstructor(mode, weights, device="cpu")(picture)
        assert result.picture.pixels.shape == (3, *size)
        assert np.isfinite(result.picture.pixels).all()


def test_tiles_change_nothing(plain: Path, coded: Path) -> None:
    for mode, weights in (("single", plain), ("optics", coded)):
        whole, tiled = (
            HdrReconstructor(mode, weights, device="cpu", precision="fp32", tile=tile)(
                _photograph()
            ).picture.pixels
            for tile in (512, 16)
        )
        np.testing.assert_allclose(tiled, whole, rtol=1e-4, atol=1e-5)


def test_light_above_white_is_not_reconstructed_again(plain: Path) -> None:
    hdr = Picture(
        pixels=np.full((3, 8, 8), 3, np.float32),
        is_float=True,
        bit_depth=32,
        transfer=Transfer.LINEAR,
    )
    with pytest.raises(InputError, match="high dynamic range already"):
        HdrReconstructor("single", plain, device="cpu")(hdr)


def test_weights_of_the_other_mode_are_refused(plain: Path, coded: Path, color_model: Path) -> None:
    with pytest.raises(WeightsError, match="mode='optics'"):
        HdrReconstructor("single", coded, device="cpu")
    with pytest.raises(WeightsError, match="mode='single'"):
        HdrReconstructor("optics", plain, device="cpu")
    with pytest.raises(WeightsError, match="for denoise"):
        HdrReconstructor("single", color_model, device="cpu")


def test_another_psf_is_refused_with_the_way_to_train_for_it(coded: Path) -> None:
    HdrReconstructor("optics", coded, psf=_element(), device="cpu")
    nearly = _element().roll(0)
    nearly[:, 10, 10] -= 0.05
    nearly[:, 10, 18] += 0.05
    HdrReconstructor("optics", coded, psf=nearly, device="cpu")
    other = _element().transpose(1, 2).contiguous()
    with pytest.raises(UsageError, match=r"train hdr DIR --optics fixed --psf FILE"):
        HdrReconstructor("optics", coded, psf=other, device="cpu")


def _scene(radius: int) -> Picture:
    light = np.full((3, 64, 64), 0.2, dtype=np.float32)
    light[:, 32 - radius : 32 + radius, 32 - radius : 32 + radius] = 30.0
    return Picture(pixels=light, is_float=True, bit_depth=32, transfer=Transfer.LINEAR)


def test_a_capture_is_the_scene_through_the_element_in_steps_of_the_sensor(coded: Path) -> None:
    capture = CaptureSimulator(coded, bits=8)(_scene(2), exposure_stops=0.0)
    samples = capture.picture.pixels
    codes = samples * 255
    np.testing.assert_allclose(codes, np.round(codes), atol=1e-3)
    # 0.2 of the background, a tenth of it from eight pixels to the left.
    assert samples[0, 10, 40] == pytest.approx(0.2, abs=1 / 255)
    assert samples[0, 10, 3] == pytest.approx(0.18, abs=1 / 255)
    # A tenth of the light of 30 eight pixels to the right saturates too, one of 5 does not.
    assert samples[0, 32, 40] == 1
    weaker = CaptureSimulator(coded, bits=8)(_scene(2), exposure_stops=-2.6)
    assert samples[0, 32, 32] == 1
    expected = (0.9 * 0.2 + 0.1 * 30) * 2**-2.6
    assert weaker.picture.pixels[0, 32, 40] == pytest.approx(expected, abs=1 / 255)


def test_exposure_is_chosen_so_that_a_share_saturates(coded: Path) -> None:
    rng = np.random.default_rng(0)
    light = rng.lognormal(0, 1.5, (3, 200, 200)).astype(np.float32)
    scene = Picture(pixels=light, is_float=True, bit_depth=32, transfer=Transfer.LINEAR)
    capture = CaptureSimulator(coded)(scene)
    scale = 2 ** float(str(capture.record["exposure_stops"]))
    assert (light.max(axis=0) * scale > 1).mean() == pytest.approx(0.015, abs=1e-3)


def test_traces_on_measured_pixels_decide_between_decoded_and_guessed(coded: Path) -> None:
    reconstruct = HdrReconstructor("optics", coded, device="cpu")
    small, large = (
        reconstruct(CaptureSimulator(coded)(_scene(radius), exposure_stops=-2.6).picture)
        for radius in (2, 14)
    )
    assert small.known[32, 32] == Known.DECODED
    assert small.known[5, 5] == Known.MEASURED
    # In the middle of a large light the copy falls on saturated pixels; near its right edge not.
    assert large.known[32, 30] == Known.GUESSED
    assert large.known[32, 43] == Known.DECODED


def test_gray_scenes_and_other_bits_are_refused(coded: Path, plain: Path) -> None:
    with pytest.raises(UsageError, match="9 bits"):
        CaptureSimulator(coded, bits=9)
    with pytest.raises(WeightsError, match="give one as psf"):
        CaptureSimulator(plain)
    gray = replace(_scene(2), pixels=_scene(2).pixels[:1])
    with pytest.raises(UsageError, match="gray"):
        CaptureSimulator(coded)(gray)


def test_transparency_is_kept_where_it_can_be(plain: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.random((3, 24, 32), dtype=np.float32) / 2
    alpha = rng.integers(1, 256, (24, 32)).astype(np.float32) / np.float32(255)
    result = HdrReconstructor("single", plain, device="cpu")(Picture(pixels=pixels, alpha=alpha))
    read = decode(result.encoded(ImageFormat.EXR))
    np.testing.assert_array_equal(read.alpha, alpha)
    np.testing.assert_allclose(read.pixels, srgb_to_linear(pixels) * alpha, atol=1e-5)
    with pytest.raises(OutputError, match="alpha channel; use image_format='exr'"):
        result.encoded(ImageFormat.JPEG)
    assert result.beside("preview")


def test_files_of_light_have_an_account_of_every_pixel(plain: Path) -> None:
    from restore.image.decode import decode

    result = HdrReconstructor("single", plain, device="cpu")(_photograph())
    mask = decode(result.beside("write-mask"))
    np.testing.assert_array_equal(np.round(mask.pixels[0] * 255), result.known)
    light = decode(result.encoded(ImageFormat.EXR))
    np.testing.assert_array_equal(light.pixels, result.picture.pixels)
    radiance = decode(result.encoded(ImageFormat.HDR))
    np.testing.assert_allclose(radiance.pixels, result.picture.pixels, rtol=0.02, atol=0.01)
    preview = decode(result.beside("preview"))
    assert preview.format is ImageFormat.JPEG
    assert (preview.width, preview.height) == (50, 40)
    assert linear_to_srgb(result.picture.pixels).shape == preview.pixels.shape


def test_guesses_stay_below_so_many_stops(plain: Path, coded: Path) -> None:
    picture, lost = _photograph(), None
    for mode, weights in (("single", plain), ("optics", coded)):
        reconstructor = HdrReconstructor(mode, weights)  # type: ignore[arg-type]
        free = reconstructor(picture)
        capped = reconstructor(picture, max_stops=0.01)
        lost = free.known != Known.MEASURED
        assert float(free.picture.pixels[:, lost].max()) > 2**0.01 + 1e-3
        assert float(capped.picture.pixels[:, lost].max()) <= 2**0.01 + 1e-4
        assert (free.record["max_stops"], capped.record["max_stops"]) == (None, 0.01)
    with pytest.raises(UsageError, match="max_stops"):
        HdrReconstructor("single", plain)(picture, max_stops=-1)


def test_pixels_under_the_copy_of_a_light_are_decoded(coded: Path) -> None:
    """The element casts a tenth of a light eight pixels to its right."""
    capture = np.full((3, 40, 60), 0.05, np.float32)
    capture[:, 18:22, 20:24] = 1.0
    capture[:, 18:22, 28:32] = 0.15
    picture = Picture(pixels=capture, is_float=True, bit_depth=32, transfer=Transfer.LINEAR)
    known = HdrReconstructor("optics", coded)(picture).known
    assert (known[19:21, 29:31] == Known.DECODED).all()
    assert (known[19:21, 12:16] == Known.MEASURED).all()
    assert (known[30:, :] == Known.MEASURED).all()


@pytest.mark.parametrize("image_format", [ImageFormat.EXR, ImageFormat.TIFF])
def test_captures_name_their_element_and_others_are_refused(
    coded: Path, tmp_path: Path, image_format: ImageFormat
) -> None:
    turned = _save(tmp_path / "turned.safetensors", psf=_element().flip(2))
    rng = np.random.default_rng(0)
    scene = Picture(
        pixels=rng.random((3, 40, 40), dtype=np.float32), is_float=True, bit_depth=32,
        transfer=Transfer.LINEAR,
    )  # fmt: skip
    capture = decode(CaptureSimulator(coded)(scene).encoded(image_format))
    assert HdrReconstructor("optics", coded)(capture).record["mode"] == "optics"
    with pytest.raises(InputError, match="captured through the element"):
        HdrReconstructor("optics", turned)(capture)
    # Captures of an element that only the user knows have no name.
    unnamed = decode(CaptureSimulator(coded, psf=_element())(scene).encoded(image_format))
    assert HdrReconstructor("optics", turned)(unnamed).record["mode"] == "optics"
