"""The contact sheet shows what the settings would give."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from restore.denoise.preview import SETTINGS
from restore.denoise.runner import Denoiser
from restore.image.cicp import Cicp
from restore.image.compare import viewable
from restore.image.picture import Picture, Transfer
from restore.image.stated import stated_profile


def picture(channels: int = 3, size: tuple[int, int] = (240, 320), **fields: object) -> Picture:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, (channels, *size)) / 255
    return Picture(pixels=values.astype(np.float32), **fields)


LINEAR = {"is_float": True, "bit_depth": 32, "transfer": Transfer.LINEAR}


@pytest.mark.parametrize("fields", [{}, LINEAR], ids=["8 bits", "light"])
def test_every_cell_is_what_denoise_writes(color_model: Path, fields: dict[str, object]) -> None:
    denoiser, noisy = Denoiser(color_model, device="cpu"), picture(**fields)
    denoised = denoiser(noisy, sigma=25, strength=0.0, preview=True)
    assert denoised.picture is noisy
    assert denoised.preview is not None
    assert {strength for _, strength in SETTINGS} == {0.4, 0.6, 0.8, 1.0}
    assert {detail for detail, _ in SETTINGS} == {0.0, 0.3}
    for detail, strength in SETTINGS:
        whole = viewable(denoiser(noisy, sigma=25, strength=strength, detail=detail).picture)
        for part in denoised.preview.parts:
            shown = part.shown(strength, detail).astype(int)
            assert np.abs(shown - whole[part.place.area]).max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (30, 300), (240, 320)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_sheet_has_a_row_for_each_place(
    gray_model: Path, size: tuple[int, int], channels: int
) -> None:
    noisy = picture(channels, size, orientation=6, icc=b"profile")
    preview = Denoiser(gray_model, device="cpu")(noisy, preview=True).preview
    assert preview is not None
    with Image.open(BytesIO(preview.png())) as sheet:
        assert sheet.format == "PNG"
        assert sheet.mode == ("L" if channels == 1 else "RGB")
        assert sheet.info["icc_profile"] == b"profile"
        assert sheet.width >= 9 * 184
        assert sheet.height >= len(preview.parts) * preview.parts[0].place.width


def test_gray_stored_as_rgb_keeps_its_profile(gray_model: Path) -> None:
    gray = picture(1, icc=b"profile of colours")
    noisy = gray.with_pixels(gray.pixels.repeat(3, axis=0))
    preview = Denoiser(gray_model, device="cpu")(noisy, preview=True).preview
    assert preview is not None
    with Image.open(BytesIO(preview.png())) as sheet:
        assert (sheet.mode, sheet.info["icc_profile"]) == ("RGB", gray.icc)


def test_colours_that_are_stated_without_a_profile_get_one(gray_model: Path) -> None:
    gray = picture(1, (40, 40), cicp=Cicp(primaries=12, transfer=13))
    for noisy in (gray, gray.with_pixels(gray.pixels.repeat(3, axis=0))):
        preview = Denoiser(gray_model, device="cpu")(noisy, preview=True).preview
        assert preview is not None
        with Image.open(BytesIO(preview.png())) as sheet:
            assert sheet.info["icc_profile"] == stated_profile(noisy) is not None
            assert sheet.info["icc_profile"][16:20] == {"L": b"GRAY", "RGB": b"RGB "}[sheet.mode]


def test_without_a_preview_nothing_is_kept(gray_model: Path) -> None:
    denoised = Denoiser(gray_model, device="cpu")(picture(1, (20, 20)))
    assert denoised.preview is None
    with pytest.raises(ValueError, match="no preview"):
        denoised.beside("preview")
