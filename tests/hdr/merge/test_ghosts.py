"""Things that move between the frames of a bracket, and bursts of equal exposures."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from restore.errors import UsageError
from restore.hdr.merge.brackets import Grouping, grouped
from restore.hdr.merge.exposures import Exposure
from restore.hdr.merge.ghosts import DEVIATIONS
from restore.hdr.merge.merge import merge_bracket
from restore.hdr.radiance import Known, Radiance
from restore.image.codecs import ImageFormat
from restore.image.colour import linear_to_srgb
from restore.image.encode import encode
from restore.image.picture import Picture

_LIGHTS = (1 / 4, 1.0, 4.0)
_SIZE = 160
_SIDE = 24


def _still() -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    # Nothing of it saturates in the longest exposure.
    cells = np.kron(rng.lognormal(-2.5, 0.7, (3, 10, 10)).clip(0, 0.2), np.ones((16, 16)))
    return ndimage.gaussian_filter(cells, (0, 1, 1)).astype(np.float32)


def _square(index: int) -> tuple[slice, slice]:
    left = 15 + 45 * index
    return slice(60, 60 + _SIDE), slice(left, left + _SIDE)


def _with_object(index: int, brightness: float) -> NDArray[np.float32]:
    """Return the scene with a square that stands elsewhere in every frame."""
    scene = _still()
    scene[:, *_square(index)] = brightness
    return scene


def _frame(path: Path, light: NDArray[np.float32], seed: int, *, photons: float = 40_000) -> Path:
    rng = np.random.default_rng(seed)
    noisy = rng.poisson(light.clip(0, 1) * photons) / photons
    noisy += 0.0005 * rng.standard_normal(light.shape)
    pixels = linear_to_srgb(noisy.clip(0, 1).astype(np.float32))
    path.write_bytes(encode(Picture(pixels=pixels, bit_depth=16), ImageFormat.PNG))
    return path


def _moving(folder: Path, lights: tuple[float, ...], brightness: float) -> list[Exposure]:
    return [
        Exposure(
            path=_frame(folder / f"{index}.png", _with_object(index, brightness) * light, index),
            light=light,
        )
        for index, light in enumerate(lights)
    ]


def _errors(result: Radiance, truth: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the error of each pixel in stops."""
    ratio = np.maximum(result.picture.pixels, 1e-4) / np.maximum(truth, 1e-4)
    errors: NDArray[np.float64] = np.abs(np.log2(ratio)).mean(axis=0)
    return errors


@pytest.mark.parametrize("lights", [_LIGHTS, (1.0, 1.0, 1.0)])
@pytest.mark.parametrize("brightness", [0.9, 0.03])
def test_what_moved_is_shown_as_the_reference_has_it(
    tmp_path: Path, lights: tuple[float, ...], brightness: float
) -> None:
    bracket = _moving(tmp_path, lights, brightness)
    kept, ghosted = (
        merge_bracket(bracket, align=False, deghost=deghost) for deghost in (DEVIATIONS, None)
    )
    truth = _with_object(1, brightness)
    moved = np.zeros((_SIZE, _SIZE), dtype=bool)
    for index in range(3):
        moved[_square(index)] = True
    errors = [_errors(result, truth)[moved].mean() for result in (kept, ghosted)]
    assert errors[0] < 0.05
    assert errors[0] < errors[1] / 3
    still = ~ndimage.binary_dilation(moved, iterations=40)
    assert _errors(kept, truth)[still].mean() < 1.05 * _errors(ghosted, truth)[still].mean()
    # The longest exposure may saturate where the square is, and then has no weight there anyway.
    assert (kept.known[_square(0)] == Known.PARTLY).mean() > 0.95
    assert (kept.known[still] == Known.PARTLY).mean() < 0.01
    assert not (ghosted.known == Known.PARTLY).any()
    assert float(str(kept.record["left_out"])) > 0.03
    assert (kept.record["deghost"], ghosted.record["deghost"]) == (DEVIATIONS, "off")


def test_frames_of_a_still_scene_are_all_used(tmp_path: Path) -> None:
    """Also where exposure times are rounded by a twelfth of a stop."""
    bracket = [
        Exposure(
            path=_frame(tmp_path / f"{i}.png", _still() * light * 2 ** (i / 12), i), light=light
        )
        for i, light in enumerate(_LIGHTS)
    ]
    assert float(str(merge_bracket(bracket, align=False).record["left_out"])) < 0.002


def test_a_burst_has_less_noise_by_the_root_of_its_frames(tmp_path: Path) -> None:
    scene = np.full((3, _SIZE, _SIZE), 0.2, dtype=np.float32)
    burst = [
        Exposure(path=_frame(tmp_path / f"{index}.png", scene, index, photons=400), light=1.0)
        for index in range(9)
    ]
    nine = merge_bracket(burst, align=False).picture.pixels
    assert nine.std() == pytest.approx(np.sqrt(0.2 / 400) / 3, rel=0.1)


def _taken(name: str, taken: float | None, light: float) -> Exposure:
    return Exposure(path=Path(name), light=light, taken=taken, camera="X")


def _names(groups: list[list[Exposure]]) -> list[list[str]]:
    return [[one.path.stem for one in group] for group in groups]


def test_equal_exposures_are_one_burst_and_brackets_stay_brackets() -> None:
    burst = [_taken(f"a/{index}.jpg", index, 1.0) for index in range(4)]
    after = [_taken(f"a/{index}.jpg", index, 4.0 ** (index - 4)) for index in (5, 6, 7)]
    groups = grouped([*burst, *after], Grouping(gap_s=30))
    assert _names(groups) == [["0", "1", "2", "3"], ["5", "6", "7"]]


def test_brackets_are_counted_or_whole_folders_where_that_is_asked_for() -> None:
    frames = [_taken(f"{folder}/{i}.jpg", None, 1.0) for folder in "ab" for i in range(4)]
    assert _names(grouped(frames, Grouping(size=2))) == [["0", "1"], ["2", "3"]] * 2
    assert _names(grouped(frames, Grouping(by_folder=True))) == [["0", "1", "2", "3"]] * 2
    with pytest.raises(UsageError, match=r"a: holds 4 frames.*another group"):
        grouped(frames, Grouping(size=3))
