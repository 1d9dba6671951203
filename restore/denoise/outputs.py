"""How good finished outputs are, against clean pictures of the same names."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restore.batch.inputs import by_stem, counterpart, pictures_in
from restore.errors import InputError, UnsupportedImage
from restore.image.decode import decode
from restore.image.metrics import MEASURES, Failure, clean_picture, psnr_chw, ssim_chw, to_luma

__all__ = ["OUTPUT_PROTOCOL", "OutputScore", "score_outputs"]

OUTPUT_PROTOCOL = f"outputs as decoded, scaled to [0, 1]; {MEASURES}"
"""What the figures of ``score_outputs`` mean."""


@dataclass(frozen=True, kw_only=True)
class OutputScore:
    """One finished output against its clean picture; PSNR in dB."""

    path: Path
    reference: Path
    psnr: float
    ssim: float


def score_outputs(
    output_dir: Path, reference_dir: Path, *, recursive: bool = False, gray: bool = False
) -> Iterator[OutputScore | Failure]:
    """Yield a score for every picture in ``output_dir`` against its clean counterpart.

    The counterpart has the same path below its folder up to the suffix; the same suffix is
    preferred. Pictures without a counterpart, on either side, are failures.

    Raises:
        UsageError: one of the folders is missing or holds no pictures.
    """
    outputs = pictures_in(output_dir, recursive=recursive)
    references = by_stem(reference_dir, pictures_in(reference_dir, recursive=recursive))
    return _scores(output_dir, by_stem(output_dir, outputs), references, gray=gray)


def _scores(
    output_dir: Path,
    outputs: Mapping[Path, Sequence[Path]],
    references: Mapping[Path, Sequence[Path]],
    *,
    gray: bool,
) -> Iterator[OutputScore | Failure]:
    for stem in sorted(outputs.keys() | references.keys()):
        if stem not in outputs:
            for reference in references[stem]:
                reason = f"{reference}: no output of that name in {output_dir}"
                yield Failure(path=reference, reason=reason)
        for output in outputs.get(stem, ()):
            try:
                yield _score(output, counterpart(output, references.get(stem, ())), gray=gray)
            except InputError as error:
                yield Failure(path=output, reason=str(error))


def _score(output: Path, reference: Path, *, gray: bool) -> OutputScore:
    clean = clean_picture(reference, gray=gray).pixels
    decoded = decode(output)
    result = (to_luma(decoded) if gray else decoded).pixels
    if result.shape != clean.shape:
        raise InputError(f"{output}: {_size(result)}, but {reference} is {_size(clean)}")
    if not np.isfinite(result).all():
        raise UnsupportedImage(f"{output}: holds values that are not finite")
    result = result.clip(0, 1)
    return OutputScore(
        path=output, reference=reference, psnr=psnr_chw(result, clean), ssim=ssim_chw(result, clean)
    )


def _size(pixels: NDArray[np.float32]) -> str:
    channels, height, width = pixels.shape
    return f"{width}x{height} {'gray' if channels == 1 else 'colour'}"
