import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from restore.denoise.data import open_training_data
from restore.errors import UsageError
from restore.training.holding_out import Held, hold_out, hold_out_folders
from restore.training.picture_store import PictureStore
from restore.training.state import Randomness
from tests.denoise.recipes import TINY


@pytest.mark.parametrize("kind", ["clean", "pairs"])
def test_held_out_pictures_are_not_trained_on(tmp_path: Path, kind: str) -> None:
    """Each picture is of one gray, by which its crops are known."""
    folder = tmp_path / "grays"
    folder.mkdir()
    for gray in range(40):
        Image.new("L", (32, 32), 5 * gray).save(folder / f"{gray:02}.png")
    recipe = replace(TINY, patch=16)
    clean, pairs = ([folder], None) if kind == "clean" else ([], (folder, folder))
    source = open_training_data(
        recipe,
        clean=clean,
        pairs=pairs,
        batch=64,
        multiple=1,
        store=PictureStore(),
        warn=pytest.fail,
    )

    def grays(clean: torch.Tensor) -> set[int]:
        return set((255 * clean.mean(dim=(1, 2, 3))).round().int().tolist())

    kept = set().union(*(grays(batch.clean) for batch in source.held_out))
    rng = Randomness(0, torch.device("cpu"))
    trained = set().union(*(grays(source.batches(rng).clean) for _ in range(20)))
    assert len(kept) == 2
    assert trained == {5 * gray for gray in range(40)} - kept


def test_validation_pictures_are_never_trained_on(photos: Path) -> None:
    said: list[str] = []
    source = open_training_data(
        TINY,
        clean=[photos],
        pairs=None,
        held=Held(folder=photos / "more"),
        batch=4,
        multiple=1,
        store=PictureStore(),
        warn=said.append,
    )
    assert said == ["of validation and among those to train on, left out there: 1 picture"]
    assert len(source.held_out) == 1
    assert source.description == {"folder": "photos", "pictures": 2, "validation": "more"}
    assert source.paths == [photos / "a.png", photos / "b.png", photos / "more/c.png"]


def test_whole_folders_are_held_out(photos: Path) -> None:
    source = open_training_data(
        TINY,
        clean=[photos],
        pairs=None,
        held=Held(by_folder=True),
        batch=4,
        multiple=1,
        store=PictureStore(),
        warn=pytest.fail,
    )
    assert source.description["split"] == "folder"
    assert len(source.held_out) == 2, "the two of the first folder"
    with pytest.raises(UsageError, match="split='folder'"):
        Held(folder=photos, by_folder=True)
    with pytest.raises(UsageError, match="all pictures lie in one folder"):
        hold_out_folders({photos / "a.png": 1, photos / "b.png": 2})


def test_validation_of_pairs_has_folders_of_its_own(photos: Path, tmp_path: Path) -> None:
    for kind in ("noisy", "clean"):
        shutil.copytree(photos, tmp_path / "judged" / kind)
    source = open_training_data(
        TINY,
        clean=[],
        pairs=(photos, photos),
        held=Held(folder=tmp_path / "judged"),
        batch=4,
        multiple=1,
        store=PictureStore(),
        warn=pytest.fail,
    )
    assert (source.description["pairs"], len(source.held_out)) == (3, 3)


def test_a_single_picture_is_said_to_be_in_both() -> None:
    said: list[str] = []
    assert hold_out([7], said.append) == ([7], [7])
    assert "validations are on the one that is trained on" in said[0]
    assert hold_out([7, 8], pytest.fail) == ([8], [7])
