"""Test sets in MVTec's layout: which parts there are, and where their defects are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restore.anomaly.part import read_part
from restore.batch.inputs import pictures_in
from restore.errors import UsageError
from restore.image.codecs import PICTURE_SUFFIXES
from restore.words import counted

__all__ = ["GOOD", "TestPart", "TestSet", "find_test_set", "read_mask"]

GOOD = "good"
"""Name of the folder of good parts."""

_MASK = "_mask"
_MOST_COVERED = 0.5


@dataclass(frozen=True)
class TestPart:
    """A picture of the test set.

    Attributes:
        path: Path of the picture.
        kind: Name of its folder: good, or a kind of defect.
        mask: Path of the mask of its defects; None for good parts, or if there is no mask.
    """

    path: Path
    kind: str
    mask: Path | None


@dataclass(frozen=True)
class TestSet:
    """The parts of a test set.

    Attributes:
        parts: Its parts, good ones first.
        remarks: A sentence about each thing in it that is not as expected.
    """

    parts: tuple[TestPart, ...]
    remarks: tuple[str, ...]


def find_test_set(folder: Path) -> TestSet:
    """Return the parts of ``test/good`` and ``test/KIND``, with masks of ``ground_truth/KIND``.

    A mask ``NAME_mask.png`` may also lie beside its picture. Good or defective parts alone will do:
    the figures that need both are then missing.

    Raises:
        UsageError: another layout, or no parts.
    """
    test = folder / "test"
    if not test.is_dir():
        raise UsageError(
            f"{folder}: has no folder test; expected are test/good, test/KIND and, for the figures "
            "of pixels, ground_truth/KIND/NAME_mask.png"
        )
    kinds = sorted(path.name for path in test.iterdir() if path.is_dir())
    if not kinds:
        raise UsageError(f"{test}: needs a folder good, or one for each kind of defect")
    parts: list[TestPart] = []
    remarks = []
    for kind in sorted(kinds, key=lambda kind: kind != GOOD):
        truth = folder / "ground_truth" / kind
        paths = pictures_in(test / kind, recursive=False)
        beside = {} if kind == GOOD else _masks_beside(paths)
        masks = beside | dict(_named(_pictures(truth)))
        if truth.is_dir() and not _pictures(truth):
            remarks.append(f"{truth}: holds no masks; {kind} has no figures of pixels")
        if beside:
            remarks.append(
                f"{test / kind}: taken for masks, not for parts: "
                f"{counted(len(beside), 'picture')} called NAME{_MASK}"
            )
        pictures = [path for path in paths if path not in beside.values()]
        parts += [TestPart(path, kind, masks.get(path.stem)) for path in pictures]
    if GOOD not in kinds:
        remarks.append(f"{test}: has no good parts: no false alarms, and no figures that need both")
    if set(kinds) == {GOOD}:
        remarks.append(f"{test}: has no defective parts: false alarms are the only figure")
    remarks += _unused(folder, parts)
    return TestSet(tuple(parts), tuple(remarks))


def read_mask(path: Path) -> tuple[NDArray[np.bool_], str]:
    """Return where a mask is not black, ``[H, W]``, and a sentence if it seems to be inverted.

    Raises:
        InputError: it cannot be read.
    """
    inside: NDArray[np.bool_] = read_part(path).pixels.max(axis=0) > 0
    share = float(inside.mean())
    if share <= _MOST_COVERED:
        return inside, ""
    return inside, (
        f"{path}: calls {100 * share:.0f} % of the part defective; if it is inverted, make defects "
        "white and the rest black"
    )


def _unused(folder: Path, parts: Sequence[TestPart]) -> Iterator[str]:
    used = {part.mask for part in parts}
    for path in sorted((folder / "ground_truth").glob("*/*")):
        if path.suffix.lower() in PICTURE_SUFFIXES and path not in used:
            yield f"{path}: is a mask without a picture in {folder / 'test' / path.parent.name}"


def _masks_beside(paths: Sequence[Path]) -> dict[str, Path]:
    """Return stem of a picture -> the mask that lies beside it."""
    stems = {path.stem for path in paths}
    return {
        stem: path
        for path in paths
        if path.stem.endswith(_MASK) and (stem := path.stem.removesuffix(_MASK)) in stems
    }


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)


def _named(paths: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """Yield the stem of a picture and its mask: ``NAME_mask.png``, or ``NAME.png``."""
    for path in paths:
        yield path.stem.removesuffix(_MASK), path
