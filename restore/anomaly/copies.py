"""Copies and near-copies among pictures: they must not stand on both sides of a split.

A difference hash (dHash; here of 16x16 places in both directions) finds candidates; pictures of
different parts of one kind are often as alike as that. The grain decides: in a copy, even one that
was compressed, scaled or brightened, it correlates; in another shot it does not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from restore.words import counted

__all__ = ["Fingerprint", "besides", "copies_among", "told_copies"]

_PLACES = 16
_MOST_DIFFERENT = 0.1
"""Share of the bits of a hash."""
_SIDE_PX = 256
_BLOCKS, _BLOCK_PX = 4, 16
_GRAIN_SIGMA = 1.5
_QUANTILE, _LEAST_CORRELATION = 0.25, 0.5
"""Outlines correlate in other shots too, but they do not fill most of the blocks."""
_LEAST_GRAIN = 1e-3


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What copies of a picture have in common.

    Attributes:
        hash: Bits of the difference hash, packed, uint8 ``[64]``.
        grain: Blocks of the finest details, each of unit length or 0, float16 ``[16, 256]``.
    """

    hash: NDArray[np.uint8]
    grain: NDArray[np.float16]

    @classmethod
    def of(cls, pixels: NDArray[np.float32]) -> "Fingerprint":
        """Return the fingerprint of a picture ``[C, H, W]``."""
        gray = Image.fromarray(pixels.mean(axis=0))
        across = np.asarray(gray.resize((_PLACES + 1, _PLACES), Image.Resampling.BOX))
        down = np.asarray(gray.resize((_PLACES, _PLACES + 1), Image.Resampling.BOX))
        bits = np.concatenate([np.diff(across, axis=1) > 0, (np.diff(down, axis=0) > 0).T])
        scale = _SIDE_PX / max(gray.size)
        size = [max(_BLOCKS * _BLOCK_PX, round(side * scale)) for side in gray.size]
        same = np.asarray(gray.resize((size[0], size[1]), Image.Resampling.BILINEAR))
        return cls(np.packbits(bits.ravel()), _grain(same))

    def is_copy_of(self, other: "Fingerprint") -> bool:
        """Return whether the grain is the same; the hashes are taken for alike."""
        products = (self.grain.astype(np.float32) * other.grain).sum(axis=1)
        has_grain = self.grain.any(axis=1) | other.grain.any(axis=1)
        if not has_grain.any():
            return np.array_equal(self.hash, other.hash)
        return float(np.quantile(products[has_grain], _QUANTILE)) > _LEAST_CORRELATION


def copies_among(pictures: Mapping[Path, Fingerprint]) -> dict[Path, Path]:
    """Return the copies: path -> the first path of the same picture."""
    found: dict[Path, Path] = {}
    firsts: list[Path] = []
    hashes = np.empty((len(pictures), 2 * _PLACES * _PLACES // 8), np.uint8)
    most = _MOST_DIFFERENT * 8 * hashes.shape[1]
    for path, own in pictures.items():
        differing = np.bitwise_count(hashes[: len(firsts)] ^ own.hash).sum(axis=1, dtype=np.int64)
        first = _first_copy(own, [firsts[i] for i in np.flatnonzero(differing <= most)], pictures)
        if first is not None:
            found[path] = first
            continue
        hashes[len(firsts)] = own.hash
        firsts.append(path)
    return found


def besides(copies: int) -> str:
    """Return how many copies there are beside other pictures, in words; "" for none."""
    if not copies:
        return ""
    return f", and {counted(copies, 'copy or near-copy', 'copies or near-copies')} of them"


def told_copies(copies: Mapping[Path, Path], pictures: int) -> str:
    """Return how many of some pictures are copies, with an example."""
    path, first = next(iter(copies.items()))
    are = "is a copy or near-copy" if len(copies) == 1 else "are copies or near-copies"
    return (
        f"{len(copies)} of {pictures} pictures {are} of others, such as {path.name} of {first.name}"
    )


def _first_copy(
    own: Fingerprint, candidates: Sequence[Path], pictures: Mapping[Path, Fingerprint]
) -> Path | None:
    return next((path for path in candidates if own.is_copy_of(pictures[path])), None)


def _grain(gray: NDArray[np.float32]) -> NDArray[np.float16]:
    fine = gray - ndimage.gaussian_filter(gray, _GRAIN_SIGMA)
    blocks = []
    rows, columns = (np.linspace(0, side - _BLOCK_PX, _BLOCKS).astype(int) for side in gray.shape)
    for top in rows:
        for left in columns:
            block = fine[top : top + _BLOCK_PX, left : left + _BLOCK_PX].ravel()
            block = block - block.mean()
            length = float(np.linalg.norm(block))
            blocks.append(block / length if length > _LEAST_GRAIN else np.zeros(block.size))
    return np.array(blocks, np.float16)
