from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from restore.denoise.crops import PairedCrops
from restore.denoise.pairs import PairNames, matched_pairs, misaligned, read_pairs
from restore.errors import TrainingError, UsageError
from restore.training.picture_store import PictureStore
from restore.training.state import Randomness


def textured(*, seed: int = 0, height: int = 80, width: int = 96) -> np.ndarray:
    """Return smooth texture in [0, 1], ``[H, W]``."""
    noise = np.random.default_rng(seed).standard_normal((height, width))
    soft = gaussian_filter(noise, 2)
    scaled: np.ndarray = 0.5 + 0.2 * soft / soft.std()
    return scaled.clip(0, 1)


def save(path: Path, pixels: np.ndarray, *, orientation: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if pixels.dtype == np.uint8:
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(pixels).save(path, exif=exif)
    else:
        tifffile.imwrite(path, pixels)


def names(matched: list[tuple[Path, Path]], root: Path) -> list[tuple[str, str]]:
    return [(a.relative_to(root).as_posix(), b.relative_to(root).as_posix()) for a, b in matched]


def test_pairs_have_the_same_relative_names(tmp_path: Path) -> None:
    flat = np.zeros((4, 4), np.uint8)
    for name in (
        "n/a.png",
        "n/b/c.png",
        "n/only.png",
        "c/a.png",
        "c/a.jpg",
        "c/b/c.jpg",
        "c/x.png",
    ):
        save(tmp_path / name, flat)
    said: list[str] = []
    matched = matched_pairs(tmp_path / "n", tmp_path / "c", PairNames(), said.append)
    assert names(matched, tmp_path) == [("n/a.png", "c/a.png"), ("n/b/c.png", "c/b/c.jpg")]
    assert said[0].endswith("n/only.png: has no counterpart of that name; left out")
    assert "without a noisy picture, left out: " in said[1]
    assert "x.png" in said[1]


def test_names_in_the_manner_of_sidd(tmp_path: Path) -> None:
    """Noisy and clean pictures lie in the same folders, one for each scene."""
    flat = np.zeros((4, 4), np.uint8)
    for scene in ("0001_S6", "0002_IP"):
        for name in ("NOISY_SRGB_010", "NOISY_SRGB_011", "GT_SRGB_010", "GT_SRGB_011", "thumb"):
            save(tmp_path / "SIDD" / scene / f"{name}.PNG", flat)
    root = tmp_path / "SIDD"
    said: list[str] = []
    matched = matched_pairs(root, root, PairNames("NOISY{}", "GT{}"), said.append)
    thumbs = ", ".join(str(root / scene / "thumb.PNG") for scene in ("0001_S6", "0002_IP"))
    assert said == [f"with other names than pair_names says, left out: {thumbs}"]
    assert names(matched, root) == [
        (f"{scene}/NOISY_SRGB_01{n}.PNG", f"{scene}/GT_SRGB_01{n}.PNG")
        for scene in ("0001_S6", "0002_IP")
        for n in (0, 1)
    ]
    assert matched_pairs(root, root, PairNames("{}/NOISY_SRGB_010", "{}/GT_SRGB_010"), print)


@pytest.mark.parametrize("template", ["noisy", "{}{}", ""])
def test_names_without_one_place_for_what_is_common_are_refused(template: str) -> None:
    with pytest.raises(UsageError, match="pair_names"):
        PairNames(template, "{}")


def test_where_no_names_match_the_message_says_how_to_match_them(tmp_path: Path) -> None:
    for name in ("n/a_NOISY.png", "c/a_GT.png"):
        save(tmp_path / name, np.zeros((4, 4), np.uint8))
    with pytest.raises(UsageError, match="no names match; pair_names says how they differ"):
        matched_pairs(tmp_path / "n", tmp_path / "c", PairNames(), print)


def test_names_that_no_picture_has_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "a.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(UsageError, match="no picture has a name like NOISY"):
        matched_pairs(tmp_path, tmp_path, PairNames("NOISY{}", "GT{}"), pytest.fail)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_both_are_turned_upright(tmp_path: Path, orientation: int) -> None:
    pixels = (textured() * 255).astype(np.uint8)
    save(tmp_path / "clean.png", pixels)
    # Stored so that its orientation turns it into the same picture.
    stored = pixels
    if orientation in (3, 4, 7, 8):
        stored = stored[::-1]
    if orientation in (2, 3, 6, 7):
        stored = stored[:, ::-1]
    if orientation in (5, 6, 7, 8):
        stored = stored.T
    save(tmp_path / "noisy.png", np.ascontiguousarray(stored), orientation=orientation)
    paths = (tmp_path / "noisy.png", tmp_path / "clean.png")
    noisy, clean = read_pairs(
        [paths], channels=1, least_size=16, store=PictureStore(), warn=pytest.fail
    )[paths]
    assert torch.equal(noisy, clean)


def test_pairs_that_do_not_fit_are_left_out_by_name(tmp_path: Path) -> None:
    pixels = (textured() * 255).astype(np.uint8)
    save(tmp_path / "n/a.png", pixels)
    save(tmp_path / "c/a.png", pixels)
    save(tmp_path / "n/b.png", pixels[:60])
    save(tmp_path / "c/b.png", pixels)
    said: list[str] = []
    pairs = [(tmp_path / "n" / name, tmp_path / "c" / name) for name in ("b.png", "a.png")]
    kept = read_pairs(pairs, channels=1, least_size=16, store=PictureStore(), warn=said.append)
    assert list(kept) == pairs[1:]
    assert "b.png is 96x60 in gray, but " in said[0]
    assert said[0].endswith("left out")
    with pytest.raises(TrainingError, match="no usable pair"):
        read_pairs(pairs[:1], channels=1, least_size=16, store=PictureStore(), warn=said.append)


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_deep_pairs_keep_their_depth(tmp_path: Path, dtype: str) -> None:
    """Steps far below those of 8 bits, in the dark."""
    light = textured() / 200
    pixels = np.rint(light * 65535).astype(np.uint16) if dtype == "uint16" else light
    save(tmp_path / "a.tif", pixels.astype(dtype))
    paths = (tmp_path / "a.tif", tmp_path / "a.tif")
    pairs = read_pairs([paths], channels=1, least_size=16, store=PictureStore(), warn=pytest.fail)
    noisy, _ = pairs[paths]
    assert noisy.dtype == torch.float32
    assert len(noisy.unique()) > 200
    crops = PairedCrops(list(pairs.values()), patch=16, batch=8)
    batch = crops(Randomness(0, torch.device("cpu")))
    assert batch.clean.max() < 0.2
    assert len(batch.clean.unique()) > 100


def test_both_of_a_pair_are_on_the_scale_of_the_clean_one(tmp_path: Path) -> None:
    light = (1000 * textured()).astype(np.float32)
    save(tmp_path / "clean.tif", light)
    save(tmp_path / "noisy.tif", light * 0.5)
    paths = (tmp_path / "noisy.tif", tmp_path / "clean.tif")
    noisy, clean = read_pairs(
        [paths], channels=1, least_size=16, store=PictureStore(), warn=pytest.fail
    )[paths]
    assert 0.6 < clean.max() <= 1.1
    assert noisy.max() < 0.8 * clean.max()


@pytest.mark.parametrize(("down", "right"), [(0, 0), (1, 0), (0, -2), (3, 2)])
@pytest.mark.parametrize("sigma", [0.0, 0.1])
def test_shifted_pairs_are_noticed(down: int, right: int, sigma: float) -> None:
    clean = textured()
    noise = sigma * np.random.default_rng(1).standard_normal(clean.shape)
    noisy = np.roll(clean, (down, right), (0, 1)) + noise
    pair = tuple(torch.from_numpy(each[None].astype(np.float32)) for each in (noisy, clean))
    found = misaligned([pair])  # type: ignore[list-item]
    if not down and not right:
        assert not found
        return
    assert len(found) == 1
    assert found[0][1:] == pytest.approx((down, right), abs=0.3)


def test_noise_alone_is_not_taken_for_a_shift() -> None:
    rng = np.random.default_rng(0)
    flat = torch.full((1, 64, 64), 0.5)
    noisy = flat + torch.from_numpy(rng.normal(0, 0.1, (1, 64, 64)).astype(np.float32))
    other = flat + torch.from_numpy(rng.normal(0, 0.1, (1, 64, 64)).astype(np.float32))
    assert misaligned([(noisy, flat), (noisy, other)]) == []
