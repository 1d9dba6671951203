from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from restore.errors import TrainingError, TrainingStopped, UsageError
from restore.hdr import train as hdr_training
from restore.hdr.camera import Coded
from restore.hdr.data import Library, Scenes, open_library
from restore.hdr.lights import brightened, linearised
from restore.hdr.optics.capture_errors import CaptureErrors
from restore.hdr.optics.height_map import fabricated
from restore.hdr.optics.psf import LensDesign, point_spread
from restore.hdr.recipe import HdrRecipe
from restore.hdr.train import train_hdr
from restore.image.codecs import ImageFormat
from restore.image.decode import decode
from restore.image.encode import encode
from restore.image.picture import Picture, Transfer
from restore.models.optical_element import height_map_of, psf_of
from restore.tasks import load
from restore.training.picture_store import PictureStore
from restore.training.session import Context, Settings

TINY = HdrRecipe(
    widths=(4, 6), patch=32, batch=2, cells=16, psf_size=17, steps=4, read_noise=0.01, optics="none"
)
ON_CPU = Settings(device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two panoramas, an HDR picture and a photograph."""
    place = tmp_path_factory.mktemp("scenes")
    rng = np.random.default_rng(0)
    for name, shape in (("p1", (64, 128)), ("p2", (64, 128)), ("plain", (90, 100))):
        light = rng.lognormal(-1, 1.5, (3, *shape)).astype(np.float32)
        picture = Picture(pixels=light, is_float=True, bit_depth=32, transfer=Transfer.LINEAR)
        (place / f"{name}.exr").write_bytes(encode(picture, ImageFormat.EXR))
    photograph = Picture(pixels=rng.random((3, 80, 90), dtype=np.float32))
    (place / "photo.png").write_bytes(encode(photograph, ImageFormat.PNG))
    (place / "broken.exr").write_bytes(b"\x76\x2f\x31\x01 no picture")
    return place


def test_folders_are_sorted_into_panoramas_pictures_and_photographs(folder: Path) -> None:
    said: list[str] = []
    library = open_library([folder], least_size=64, store=PictureStore(), warn=said.append)
    kinds = (library.panoramas, library.pictures, library.photographs)
    assert [len(kind) for kind in kinds] == [2, 1, 1]
    assert any("broken.exr" in line for line in said)
    said.clear()
    assert len(open_library([folder], least_size=95, store=PictureStore(), warn=said.append)) == 2
    assert sum("smaller than the crops of 95 pixels (patch)" in line for line in said) == 2


def test_a_folder_without_scenes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tiny.png").write_bytes(
        encode(Picture(pixels=np.zeros((3, 4, 4), np.float32)), ImageFormat.PNG)
    )
    with pytest.raises(TrainingError, match="no usable picture"):
        open_library([tmp_path], least_size=64, store=PictureStore(), warn=lambda _: None)


def test_no_more_is_read_than_fits(folder: Path) -> None:
    store = PictureStore(most_bytes=150_000)  # one panorama has 100,000
    said: list[str] = []
    library = open_library([folder], least_size=64, store=store, warn=said.append)
    assert 1 <= len(library) < 4
    assert said[-1].endswith("0 MiB of memory are full; with a folder as cache, none is left out")


def test_held_out_scenes_are_not_trained_on() -> None:
    panoramas = [torch.full((3, 4, 10), float(index)) for index in range(10)]
    training, held_out = Library(panoramas=panoramas).split()
    values = [{float(one.mean()) for one in part.panoramas} for part in (training, held_out)]
    assert not values[0] & values[1]
    assert len(values[0] | values[1]) == 10


def test_photographs_are_held_out_where_there_is_nothing_else() -> None:
    photographs = [torch.full((3, 4, 4), index, dtype=torch.uint8) for index in range(20)]
    training, held_out = Library(photographs=photographs).split()
    assert (len(training.photographs), len(held_out.photographs)) == (17, 3)
    pictures = [torch.zeros(3, 4, 4)] * 9
    training, held_out = Library(photographs=photographs, pictures=pictures).split()
    assert (len(training.photographs), len(held_out.photographs)) == (20, 0)


def test_validation_on_what_is_trained_on_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.random.default_rng(0).random((3, 64, 64), np.float32)
    (tmp_path / "only.png").write_bytes(encode(Picture(pixels=pixels), ImageFormat.PNG))
    said: list[str] = []

    def prepared(prepare: Callable[[Context], Any], *_: Any, **__: Any) -> None:
        prepare(
            Context(
                device=torch.device("cpu"),
                precision=torch.float32,
                crops_per_batch=2,
                store=PictureStore(),
            )
        )

    monkeypatch.setattr(hdr_training, "train", prepared)
    train_hdr(TINY, tmp_path / "x.safetensors", folders=tmp_path, warn=said.append)
    assert said == [
        "too few pictures to hold one out: validations are on those that are trained on"
    ]


def test_the_same_seed_draws_the_same_scenes(folder: Path) -> None:
    library = open_library([folder], least_size=48, store=PictureStore(), warn=lambda _: None)
    one, other, third = (
        Scenes(library, side=48)(torch.Generator().manual_seed(seed), 5)[0] for seed in (1, 1, 2)
    )
    assert one.shape == (5, 3, 48, 48)
    assert torch.equal(one, other)
    assert not torch.equal(one, third)
    assert (one >= 0).all()


def test_a_brightened_photograph_keeps_its_shadows_and_gains_lights() -> None:
    photograph = torch.linspace(0, 1, 64).expand(3, 64, 64)
    peaks = []
    for seed in range(20):
        radiance = brightened(photograph, torch.Generator().manual_seed(seed))
        assert torch.isfinite(radiance).all()
        assert (radiance >= 0).all()
        peaks.append(float(radiance.max()))
    assert max(peaks) > 16
    assert min(peaks) >= 0.99


def test_surfaces_are_bright_parts_of_photographs_that_are_not_clipped() -> None:
    wall = torch.full((3, 96, 96), 200, dtype=torch.uint8)
    lamp, night = torch.full_like(wall, 255), torch.full_like(wall, 20)
    library = Library(panoramas=[torch.ones(3, 64, 130)], photographs=[lamp, night, wall])
    scenes, is_surface = Scenes(library, side=48, surfaces=1.0)(torch.Generator().manual_seed(0), 8)
    assert is_surface.all()
    light = float(linearised(torch.tensor(200 / 255)))
    tinted = scenes.mean(dim=(2, 3)) / light
    # Of six proposals drawn at random, nearly always one is the wall.
    assert ((tinted > 0.75) & (tinted < 1.25)).float().mean() > 0.8
    none, is_surface = Scenes(library, side=48)(torch.Generator().manual_seed(0), 8)
    assert not is_surface.any()
    assert none.shape == scenes.shape


def test_a_library_without_photographs_has_no_surfaces() -> None:
    library = Library(panoramas=[torch.rand(3, 64, 130)])
    _, is_surface = Scenes(library, side=48, surfaces=1.0)(torch.Generator().manual_seed(0), 4)
    assert not is_surface.any()


def test_learned_optics_move_and_are_written_as_files(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "lens.safetensors"
    recipe = replace(TINY, optics="learn", steps=6)
    weights = train_hdr(recipe, output, folders=folder, settings=ON_CPU)
    again = load(output)
    psf, heights = psf_of(again.tensors), height_map_of(again.tensors)
    assert psf is not None
    assert heights is not None
    # What is stored is what a maker can make, and its PSF is that of these heights.
    camera = LensDesign()
    torch.testing.assert_close(fabricated(heights, camera), heights, atol=1e-9, rtol=0)
    expected = point_spread(heights, camera, 17).psf
    torch.testing.assert_close(psf, expected, atol=2e-3, rtol=0.02)
    assert weights.provenance["recipe"]["element"] == "grating"
    micrometres = decode(tmp_path / "lens.height-map.tif")
    np.testing.assert_allclose(micrometres.pixels[0], heights.numpy() * 1e6, atol=1e-4)
    codes = decode(tmp_path / "lens.height-map.png")
    assert codes.bit_depth == 16
    np.testing.assert_allclose(codes.pixels[0] * 1.55, heights.numpy() * 1e6, atol=1e-3)
    np.testing.assert_allclose(decode(tmp_path / "lens.psf.exr").pixels, psf.numpy(), atol=1e-6)
    assert decode(tmp_path / "lens.element.png").width > 500


@pytest.mark.slow
def test_learning_changes_the_heights(folder: Path, tmp_path: Path) -> None:
    heights = []
    for steps in (1, 12):
        output = tmp_path / f"{steps}.safetensors"
        recipe = replace(TINY, optics="learn", steps=steps, element="rank1", learning_rate=5e-3)
        train_hdr(recipe, output, folders=folder, settings=ON_CPU)
        heights.append(height_map_of(load(output).tensors))
    assert (heights[1] - heights[0]).abs().max() > 20e-9


def test_an_element_rests_until_the_network_can_decode(folder: Path, tmp_path: Path) -> None:
    heights = []
    for rest in (0.0, 1.0):
        output = tmp_path / f"{rest}.safetensors"
        recipe = replace(
            TINY, optics="learn", steps=4, element="grating", rest=rest, learning_rate=0.05
        )
        train_hdr(recipe, output, folders=folder, settings=ON_CPU)
        heights.append(height_map_of(load(output).tensors))
    recipe = replace(recipe, steps=1)
    train_hdr(recipe, tmp_path / "start.safetensors", folders=folder, settings=ON_CPU)
    start = height_map_of(load(tmp_path / "start.safetensors").tensors)
    assert torch.equal(heights[1], start)
    assert (heights[0] - start).abs().max() > 20e-9


def test_fixed_optics_carry_their_psf(folder: Path, tmp_path: Path) -> None:
    psf = np.zeros((15, 15, 3))
    psf[7, 7], psf[7, 12] = 0.8, 0.2
    np.save(tmp_path / "spot.npy", psf)
    recipe = replace(TINY, optics="fixed", model="unet", widths=(4,))
    output = tmp_path / "fixed.safetensors"
    train_hdr(recipe, output, folders=folder, psf=tmp_path / "spot.npy", settings=ON_CPU)
    carried = psf_of(load(output).tensors)
    assert carried is not None
    torch.testing.assert_close(
        carried.numpy(), psf.transpose(2, 0, 1).astype(np.float32), atol=1e-3, rtol=0
    )
    assert not (tmp_path / "fixed.height-map.tif").exists()


def test_errors_of_captures_are_trained_for(folder: Path, tmp_path: Path) -> None:
    psf = np.zeros((15, 15, 3))
    psf[7, 7], psf[7, 12] = 0.8, 0.2
    np.save(tmp_path / "spot.npy", psf)
    found = []
    for errors in (None, CaptureErrors()):
        recipe = replace(TINY, optics="fixed", steps=2, errors=errors)
        weights = train_hdr(
            recipe, tmp_path / f"{errors is None}.safetensors", folders=folder,
            psf=tmp_path / "spot.npy", settings=ON_CPU,
        )  # fmt: skip
        found.append(weights)
    assert not torch.equal(*(each.tensors["head.weight"] for each in found))
    # The element in the file is the one that was measured.
    assert torch.equal(*(each.tensors["psf_roots"] for each in found))
    assert found[1].provenance["recipe"]["errors"]["rotation_deg"] == 1.0


@pytest.mark.slow
def test_training_without_optics_gets_better(folder: Path, tmp_path: Path) -> None:
    reached = []
    for steps in (1, 100):
        output = tmp_path / f"{steps}.safetensors"
        recipe = replace(TINY, steps=steps, learning_rate=3e-3, batch=4)
        weights = train_hdr(recipe, output, folders=folder, settings=ON_CPU)
        reached.append(weights.provenance["validation_psnr_mu_saturated_db"])
    assert reached[1] > reached[0] + 0.5


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(folder: Path, tmp_path: Path) -> None:
    recipe = replace(TINY, optics="learn", steps=6)
    train_hdr(recipe, tmp_path / "whole.safetensors", folders=folder, settings=ON_CPU)
    asked = iter([False, False, True])
    with pytest.raises(TrainingStopped):
        train_hdr(
            recipe, tmp_path / "parts.safetensors", folders=folder, settings=ON_CPU,
            should_stop=lambda: next(asked),
        )  # fmt: skip
    train_hdr(
        recipe,
        tmp_path / "parts.safetensors",
        folders=folder,
        settings=replace(ON_CPU, resume=True),
    )
    whole, parts = (load(tmp_path / f"{name}.safetensors").tensors for name in ("whole", "parts"))
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_a_network_begins_with_what_another_learned(folder: Path, tmp_path: Path) -> None:
    first = tmp_path / "first.safetensors"
    train_hdr(TINY, first, folders=folder, settings=ON_CPU)
    recipe = replace(TINY, optics="learn", steps=1, learning_rate=1e-9)
    train_hdr(
        recipe, tmp_path / "second.safetensors", folders=folder, start_from=first, settings=ON_CPU
    )
    old, new = load(first).tensors, load(tmp_path / "second.safetensors").tensors
    torch.testing.assert_close(new["head.weight"], old["head.weight"], atol=1e-3, rtol=1e-2)
    with pytest.raises(UsageError, match="another kind or size"):
        train_hdr(
            replace(TINY, widths=(4, 8)), tmp_path / "third.safetensors", folders=folder,
            start_from=first, settings=ON_CPU,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"optics": "magic"}, "optics"),
        ({"loss": "l1"}, "loss"),
        ({"element": "prism"}, "element"),
        ({"psf_size": 16}, "odd"),
        ({"bits": 9}, "9 bits"),
        ({"rest": 1.5}, "^rest 1.5: give a number from 0 to 1"),
        ({"saturated": (0.02, 0.01)}, "saturated"),
        ({"model": "unet", "widths": (4, 8)}, "one width"),
    ],
)
def test_recipes_that_cannot_be_followed_are_refused(
    values: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        replace(TINY, **values)


def test_a_psf_goes_with_fixed_optics_only(folder: Path, tmp_path: Path) -> None:
    for recipe, psf in ((TINY, tmp_path / "x.npy"), (replace(TINY, optics="fixed"), None)):
        with pytest.raises(UsageError, match="optics='fixed' needs psf"):
            train_hdr(recipe, tmp_path / "no.safetensors", folders=folder, psf=psf)


def test_roughness_is_paid_for(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Coded, "roughness", lambda _: torch.tensor(1000.0))

    def loss(smoothness: float) -> float:
        recipe = replace(TINY, optics="learn", rest=0.0, smoothness=smoothness, steps=1)
        losses: list[float] = []
        train_hdr(
            recipe,
            tmp_path / f"{smoothness}.safetensors",
            folders=folder,
            settings=ON_CPU,
            report=lambda progress: losses.append(progress.loss),
        )
        return losses[-1]

    assert loss(0.5) - loss(0.0) == pytest.approx(500, rel=1e-4)
