"""Pairs of noisy and clean pictures: matched by name, upright, at their own depth."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restore.arguments import argument
from restore.batch.counterparts import by_stem, counterpart
from restore.batch.inputs import pictures_in
from restore.denoise.domain import domain_of
from restore.denoise.pixels import encoded_for_network
from restore.errors import InputError, UsageError
from restore.image.colour import REC601_LUMA
from restore.image.decode import decode
from restore.image.picture import Picture, turned_upright
from restore.training.crops import check_crops_fit
from restore.training.picture_store import PictureStore, Samples
from restore.words import counted, size_in_words

__all__ = ["PairNames", "matched_pairs", "misaligned", "read_pairs"]

_NAMED = 3
"""Files that one line names."""
_COMPARED = 8
"""Pairs whose registration is measured."""
_SIDE = 512
_LEAST_SHIFT = 0.4
"""In pixels; below, interpolation of a picture would not show it."""
_LEAST_DETAIL = 1e-4
_LEAST_LIKENESS, _LEAST_GAIN = 0.25, 0.02
_BLUR = 1.5
"""Standard deviation in pixels of the Gaussian that keeps noise out of a registration."""

Warn = Callable[[str], None]


@dataclass(frozen=True)
class PairNames:
    """How the names of noisy and clean pictures differ, as in ``{}_NOISY`` and ``{}_GT``.

    Each is a name without suffix, with ``{}`` for what both have in common; a slash in it stands
    for a folder.

    Raises:
        UsageError: a template without exactly one ``{}``.
    """

    noisy: str = "{}"
    clean: str = "{}"

    def __post_init__(self) -> None:
        for template in (self.noisy, self.clean):
            if template.count("{}") != 1:
                raise UsageError(
                    f"{argument('pair_names')} {template}: give a name with one {{}} in it"
                )

    def common(self, template: str, stem: Path) -> Path | None:
        """Return what a relative path without suffix has in place of ``{}``, if it fits.

        >>> PairNames("NOISY{}", "GT{}").common("NOISY{}", Path("0001_S6/NOISY_SRGB_010"))
        PosixPath('0001_S6/_SRGB_010')
        """
        depth = template.count("/") + 1
        folder, name = stem.parts[:-depth], "/".join(stem.parts[-depth:])
        before, after = map(re.escape, template.split("{}"))
        found = re.fullmatch(f"{before}([^/]*){after}", name)
        return Path(*folder, found[1]) if found else None


def matched_pairs(
    noisy: Path, clean: Path, names: PairNames, warn: Warn
) -> list[tuple[Path, Path]]:
    """Pair the pictures of two trees by relative path, as for evaluation.

    Args:
        noisy: folder of the noisy pictures.
        clean: folder of the clean ones, or the same folder.
        names: how their names differ.
        warn: called with a line about those that have no partner.

    Raises:
        UsageError: no folder of pictures, or no pair in them.
    """
    of_noisy, others = _by_common_name(noisy, names, names.noisy, warn)
    of_clean, more_others = _by_common_name(clean, names, names.clean, warn)
    matched, alone = [], []
    for stem, paths in of_noisy.items():
        for path in paths:
            try:
                matched.append((path, counterpart(path, of_clean.get(stem, ()))))
            except InputError as error:
                alone.append(str(error))
    for line in alone[:_NAMED]:
        warn(f"{line}; left out")
    if (more := len(alone) - _NAMED) > 0:
        warn(f"{counted(more, 'more noisy picture')} without a counterpart left out")
    taken = {path for _, path in matched}
    spare = [path for paths in of_clean.values() for path in paths if path not in taken]
    if spare:
        warn(f"without a noisy picture, left out: {_some(spare)}")
    fitting = {path for of in (of_noisy, of_clean) for paths in of.values() for path in paths}
    if strange := sorted({*others, *more_others} - fitting):
        warn(f"with other names than {argument('pair_names')} says, left out: {_some(strange)}")
    if not matched:
        raise UsageError(
            f"{noisy} and {clean}: no names match; {argument('pair_names')} says how they differ, "
            "as in '{}_NOISY' '{}_GT'"
        )
    return matched


def _by_common_name(
    folder: Path, names: PairNames, template: str, warn: Warn
) -> tuple[dict[Path, list[Path]], list[Path]]:
    """Return the pictures that fit a template, by what they have in common, and the others."""
    grouped: dict[Path, list[Path]] = {}
    others: list[Path] = []
    for stem, paths in by_stem(folder, pictures_in(folder, recursive=True, warn=warn)).items():
        common = names.common(template, stem)
        found = others if common is None else grouped.setdefault(common, [])
        found.extend(paths)
    if not grouped:
        raise UsageError(f"{folder}: no picture has a name like {template}")
    return grouped, others


def _some(paths: Sequence[Path]) -> str:
    named = ", ".join(map(str, paths[:_NAMED]))
    return named if len(paths) <= _NAMED else f"{named} and {len(paths) - _NAMED} more"


def read_pairs(
    matched: Iterable[tuple[Path, Path]],
    *,
    channels: int,
    least_size: int,
    store: PictureStore,
    warn: Warn,
) -> dict[tuple[Path, Path], tuple[Samples, Samples]]:
    """Decode pairs as the network sees them, and keep them in ``store``.

    Pictures are turned upright, and encoded as for denoising, both on the scale of the clean one.

    Args:
        matched: paths of noisy and clean pictures.
        channels: 1 turns colour into luma; gray pictures are left out for 3.
        least_size: least side in pixels.
        store: where they are kept.
        warn: called with a line about every pair that is left out.

    Returns:
        Noisy and clean ``(C, H, W)`` by their paths: uint8 where the clean file has 8 bits, else
        float32 with white at 1.

    Raises:
        TrainingError: no usable pair is left.
    """

    def keep(paths: tuple[Path, Path]) -> tuple[Samples, Samples]:
        def prepare() -> Sequence[NDArray[Any]]:
            return _read(*paths, channels=channels, least_size=least_size)

        noisy, clean = store.kept(paths, f"pair of {channels} channels", prepare)
        check_crops_fit(paths[1], clean.shape, least_size)  # cached ones may be for smaller crops
        return noisy, clean

    return store.gathered(list(matched), keep, warn, what="pairs")


def _read(noisy: Path, clean: Path, *, channels: int, least_size: int) -> Sequence[NDArray[Any]]:
    """Return one pair.

    Raises:
        InputError: one cannot be read or used, or both do not fit each other.
    """
    pictures = [turned_upright(decode(path)) for path in (noisy, clean)]
    shapes = [picture.pixels.shape for picture in pictures]
    if shapes[0] != shapes[1]:
        sizes = list(map(size_in_words, shapes))
        raise InputError(f"{noisy} is {sizes[0]}, but {clean} is {sizes[1]}")
    check_crops_fit(clean, shapes[1], least_size)
    if shapes[1][0] < channels:
        raise InputError(f"{clean}: gray, and the network is for colour")
    # Gray stored as RGB stays in three channels: the network takes what its recipe says.
    domain = replace(domain_of(pictures[1]), is_gray=False)
    pixels = [encoded_for_network(domain.entered(picture))[0] for picture in pictures]
    if channels == 1 and shapes[1][0] == len(REC601_LUMA):
        pixels = [np.tensordot(REC601_LUMA, each, axes=1)[None] for each in pixels]
    has_8_bits = not any(_is_deep(picture) for picture in pictures)
    return [_stored(each, has_8_bits) for each in pixels]


def _is_deep(picture: Picture) -> bool:
    return picture.is_float or picture.bit_depth > 8


def _stored(pixels: NDArray[np.float32], has_8_bits: bool) -> NDArray[Any]:
    stored: NDArray[Any] = np.nan_to_num(pixels).astype(np.float32)
    return np.rint(pixels.clip(0, 1) * 255).astype(np.uint8) if has_8_bits else stored


def misaligned(pairs: Sequence[tuple[Samples, Samples]]) -> list[tuple[int, float, float]]:
    """Return which of some pairs are shifted against each other.

    Args:
        pairs: as ``read_pairs`` returns them; at most eight of them, spread evenly, are compared.

    Returns:
        Index of the pair, and by how many pixels its noisy picture lies lower and further right.
    """
    count = min(_COMPARED, len(pairs))
    found = []
    for index in dict.fromkeys(number * len(pairs) // count for number in range(count)):
        shift = _shift(*pairs[index])
        if shift is not None:
            found.append((index, *shift))
    return found


def _shift(noisy: Samples, clean: Samples) -> tuple[float, float] | None:
    from scipy.ndimage import shift as shifted
    from skimage import registration

    first, second = (_detail(picture) for picture in (noisy, clean))
    if min(first.std(), second.std()) < _LEAST_DETAIL:
        return None
    # How the noisy picture has to move to lie on the clean one; plain correlation stands noise.
    found: Any = registration.phase_cross_correlation
    move, _, _ = found(second, first, upsample_factor=10, normalization=None)
    down, right = (-float(each) for each in move)
    least = min(first.shape) / 4
    if not _LEAST_SHIFT <= float(np.hypot(down, right)) <= least:
        return None
    back = shifted(first, move, order=1, mode="nearest")
    likeness = _likeness(back, second)
    is_clear = likeness > max(_LEAST_LIKENESS, _likeness(first, second) + _LEAST_GAIN)
    return (down, right) if is_clear else None


def _detail(picture: Samples) -> NDArray[np.float32]:
    """Return the middle of a picture without noise and without large areas."""
    from scipy.ndimage import gaussian_filter

    gray = picture[:].float().mean(dim=0).numpy()
    top, left = (max(0, (side - _SIDE) // 2) for side in gray.shape)
    part = gray[top : top + _SIDE, left : left + _SIDE]
    detail: NDArray[np.float32] = gaussian_filter(part, _BLUR) - gaussian_filter(part, 8 * _BLUR)
    return detail


def _likeness(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    size = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float((first * second).sum()) / size if size else 1.0
