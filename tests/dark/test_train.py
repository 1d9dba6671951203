from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from restore.dark import train as dark
from restore.dark.data import PairCrops, Scene, open_scenes, read_pairs
from restore.dark.recipe import DarkRecipe
from restore.dark.train import train_dark_enhancer
from restore.dark.transfer import started_from
from restore.errors import UsageError
from restore.image.dng import write_cfa_dng
from restore.image.raw_picture import RawPicture
from restore.models.isp_unet import IspUNet, IspUNetConfig
from restore.models.layers import srgb_encoded
from restore.tasks import load
from restore.training.picture_store import PictureStore
from restore.training.state import Randomness
from restore.weights.store import save_weights, weights_of

TINY = DarkRecipe(model="isp-unet", widths=(2,), patch=96, batch=2, steps=3)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(small).resize((160, 128), Image.Resampling.BICUBIC).save(folder / name)
    return folder


@pytest.mark.parametrize("xtrans", [False, True])
def test_writes_weights_for_bayer_and_xtrans(photos: Path, tmp_path: Path, xtrans: bool) -> None:
    output = tmp_path / "night.safetensors"
    train_dark_enhancer(replace(TINY, xtrans=xtrans), output, clean=[photos])
    weights = load(output)
    assert (weights.architecture, weights.task) == ("IspUNet", "dark-enhance")
    assert weights.provenance["recipe"]["ratio"] == [1.0, 300.0]
    assert set(weights.precision_loss_db["bf16"]) == {"x1", "x10", "x100", "x300"}
    planes, scale = (9, 3) if xtrans else (4, 2)
    assert weights.build()(torch.rand(1, planes, 16, 32)).shape == (1, 3, 16 * scale, 32 * scale)


def test_one_network_learns_all_sensors_from_a_denoiser(
    photos: Path, tmp_path: Path, color_model: Path
) -> None:
    output, told = tmp_path / "night.safetensors", []
    recipe = DarkRecipe(widths=(4, 8), patch=32, batch=2, steps=3)
    train_dark_enhancer(recipe, output, clean=[photos], start_from=color_model, warn=told.append)
    weights = load(output)
    assert weights.architecture == "IspResUNet"
    assert weights.config.periods == (2, 6)
    assert weights.build()(torch.rand(1, 2, 16, 24)).shape == (1, 3, 16, 24)
    assert len(told) == 1, "only blocks that the denoiser lacks start afresh"
    assert "start afresh" in told[0]


def test_goes_on_from_other_weights(photos: Path, tmp_path: Path) -> None:
    first = tmp_path / "first.safetensors"
    train_dark_enhancer(TINY, first, clean=[photos])
    second = tmp_path / "second.safetensors"
    told: list[str] = []
    train_dark_enhancer(TINY, second, clean=[photos], start_from=first, warn=told.append)
    assert load(second).provenance["started_from"] == "first"
    assert not told


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ratio": (0.5, 300)}, "ratio"),
        ({"ratio": (300, 50)}, "ratio"),
        ({"cameras": ("Box Brownie",)}, "Box Brownie"),
        ({"widths": (0,)}, "width"),
        ({"loss": "l3"}, "loss"),
        ({"model": "isp"}, "isp-resunet or isp-unet"),
        ({"model": "isp-resunet", "xtrans": True}, "isp-unet"),
        ({"model": "isp-resunet", "head": "srgb"}, "isp-unet"),
        ({"widths": (2, 4)}, "one width"),
    ],
)
def test_recipes_that_cannot_be_followed_are_refused(
    changes: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        replace(TINY, **changes)


def test_patch_must_fit_the_network() -> None:
    with pytest.raises(UsageError, match="multiple of 48"):
        replace(TINY, xtrans=True, patch=64).network()


@pytest.fixture
def pair_list(tmp_path: Path, sensor: Callable[..., RawPicture]) -> Path:
    """Four scenes, each with a long exposure and a short one of a hundredth of the light."""
    lines = []
    rng = np.random.default_rng(0)
    for index, phase in enumerate(("rggb", "grbg", "gbrg", "bggr")):
        light = rng.uniform(0.1, 0.9, (10, 12)).repeat(16, 0).repeat(16, 1)
        for seconds, share in ((10, 1.0), (0.1, 0.01)):
            mosaic = np.rint(512 + 15000 * share * light / 2).astype(np.uint16)
            path = tmp_path / f"{index}_00_{seconds}s.dng"
            path.write_bytes(write_cfa_dng(sensor(phase, mosaic=mosaic)))
        lines.append(f"./{index}_00_0.1s.dng ./{index}_00_10s.dng ISO200 F8")
    path = tmp_path / "list.txt"
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize("head", ["camera", "srgb"])
def test_short_and_long_exposures_fit_each_other(
    pair_list: Path, tmp_path: Path, head: str
) -> None:
    """In every phase and orientation the amplified planes are the target, where it is smooth."""
    scenes = open_scenes(
        read_pairs(pair_list), PictureStore(tmp_path / "cache"), head=head, xtrans=False, warn=print
    )
    crops = PairCrops(scenes, patch=96, batch=32, head=head)
    batch = crops(Randomness(0, torch.device("cpu")))
    assert batch.packed.shape == (32, 4, 48, 48)
    if head == "srgb":
        return
    wanted = batch.clean.unflatten(2, (48, 2)).unflatten(4, (48, 2)).mean(dim=(3, 5))
    error = (srgb_encoded(batch.packed[:, :3].clamp(0, 1)) - wanted).abs()
    assert float(error.median()) < 0.02


def test_files_of_one_name_in_two_folders_are_two(
    tmp_path: Path, sensor: Callable[..., RawPicture]
) -> None:
    lines = []
    for folder, level in (("a", 1000), ("b", 3000)):
        (tmp_path / folder).mkdir()
        for name, share in (("x_10s.dng", 1.0), ("x_0.1s.dng", 0.01)):
            mosaic = np.full((160, 192), 512 + round(level * share), dtype=np.uint16)
            (tmp_path / folder / name).write_bytes(write_cfa_dng(sensor("rggb", mosaic=mosaic)))
        lines.append(f"{folder}/x_0.1s.dng {folder}/x_10s.dng")
    (tmp_path / "list.txt").write_text("\n".join(lines))
    pairs = read_pairs(tmp_path / "list.txt")
    store = PictureStore(tmp_path / "cache")
    scenes = open_scenes(pairs, store, head="camera", xtrans=False, warn=print)
    assert [int(scene.mosaic.array[0, 0]) for scene in scenes] == [522, 542]
    assert scenes[0].target.array.mean() < scenes[1].target.array.mean()


def test_scenes_that_are_judged_share_no_target_with_those_that_are_learned(
    pair_list: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "more.txt").write_text("\n".join(pair_list.read_text().splitlines() * 3))
    drawn: list[set[Path]] = []

    class Noted(PairCrops):
        def __init__(self, scenes: list[Scene], **options: Any) -> None:
            drawn.append({scene.long for scene in scenes})
            super().__init__(scenes, **options)

    monkeypatch.setattr(dark, "PairCrops", Noted)
    train_dark_enhancer(TINY, tmp_path / "out.safetensors", pairs=tmp_path / "more.txt")
    learned, judged = drawn
    assert not learned & judged
    assert len(learned | judged) == 4


def test_trains_on_pairs_and_leaves_nothing_behind(pair_list: Path, tmp_path: Path) -> None:
    output = tmp_path / "pairs.safetensors"
    train_dark_enhancer(replace(TINY, head="srgb"), output, pairs=pair_list)
    weights = load(output)
    assert weights.config.head == "srgb"
    assert weights.provenance["data"] == {"list": "list.txt", "pairs": 4}
    assert not weights.precision_loss_db
    assert not (tmp_path / "pairs.pairs").exists()


def test_files_of_others_in_the_folder_of_decoded_pairs_stay(
    pair_list: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "mine.pairs"
    folder.mkdir()
    moved = pair_list.rename(folder / "list.txt")
    for path in tmp_path.glob("*.dng"):
        path.rename(folder / path.name)
    before = set(folder.iterdir())
    train_dark_enhancer(TINY, tmp_path / "mine.safetensors", pairs=moved)
    assert set(folder.iterdir()) == before


def test_pairs_that_cannot_be_read_are_left_out(pair_list: Path, tmp_path: Path) -> None:
    (tmp_path / "2_00_0.1s.dng").write_bytes(b"damaged")
    told: list[str] = []
    output = tmp_path / "pairs.safetensors"
    train_dark_enhancer(TINY, output, pairs=pair_list, warn=told.append)
    assert load(output).provenance["data"]["pairs"] == 3
    assert len(told) == 1
    assert "2_00_0.1s.dng" in told[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "holds no pairs"), ("one.dng", "line 1"), ("a_0.1s.dng b.dng", "line 1")],
)
def test_lists_that_make_no_sense_are_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(UsageError, match=words):
        read_pairs(tmp_path / "list.txt")


def test_ratio_comes_from_the_names_and_ends_at_300(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a_0.04s.ARW b_10s.ARW ISO200\nc_0.01s.ARW d_10s.ARW\n")
    assert [pair.ratio for pair in read_pairs(tmp_path / "list.txt")] == [250, 300]


def test_sources_contradict_each_other(photos: Path, pair_list: Path, tmp_path: Path) -> None:
    output = tmp_path / "x.safetensors"
    with pytest.raises(UsageError, match="not both"):
        train_dark_enhancer(TINY, output, clean=[photos], pairs=pair_list)
    with pytest.raises(UsageError, match="needs pairs"):
        train_dark_enhancer(replace(TINY, head="srgb"), output, clean=[photos])


def silent(line: str) -> None:
    raise AssertionError(line)


@pytest.mark.parametrize("up_bias", [True, False])
def test_ports_of_the_papers_code_keep_their_biases(tmp_path: Path, up_bias: bool) -> None:
    torch.manual_seed(0)
    port = IspUNet(IspUNetConfig(planes=4, width=2, up_bias=up_bias))
    old = tmp_path / "old.safetensors"
    save_weights(weights_of(port, name="old", task="dark-enhance", provenance={}), old)
    started = started_from(IspUNet(IspUNetConfig(planes=4, width=2)), old, silent)
    assert started.config == port.config
    planes = torch.rand(1, 4, 16, 16)
    torch.testing.assert_close(started(planes), port(planes))
