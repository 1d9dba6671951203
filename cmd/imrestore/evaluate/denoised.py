"""Denoisers on finished pictures: what `imrestore evaluate denoise` measures without --raw."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from imrestore.evaluate.contenders import ContenderOptions, labels
from imrestore.evaluate.scores import ScoreOptions, Scores, scored_pictures

if TYPE_CHECKING:
    from restore.denoise.trials import Trials
    from restore.image.picture import Picture

__all__ = ["Kept", "of_networks"]


@dataclass(frozen=True)
class Kept:
    """Writes what was restored.

    Attributes:
        clean: Folder of the clean pictures.
        folder: Where to write, in the tree of ``clean``.
    """

    clean: Path
    folder: Path

    def __post_init__(self) -> None:
        from restore.errors import UsageError

        if self.folder.resolve() == self.clean.resolve():
            raise UsageError(f"--save {self.folder}: is the folder of the clean pictures")

    def __call__(
        self, picture: "Picture", path: Path, model: str, condition: Mapping[str, float]
    ) -> None:
        """Write one result, in a folder of its condition, of several networks in one of each."""
        from restore.files import write_atomically
        from restore.image.codecs import ImageFormat
        from restore.image.encode import encode

        name = "-".join(f"{key}-{value:g}" for key, value in condition.items()) or "as-captured"
        folder = self.folder / model.replace("/", "-") / name
        output = (folder / path.relative_to(self.clean)).with_suffix(".png")
        output.parent.mkdir(parents=True, exist_ok=True)
        plain = picture.with_pixels(picture.pixels, is_float=False, bit_depth=16)
        write_atomically(output, encode(plain, ImageFormat.PNG), overwrite=True)


def of_networks(
    folder: Path,
    network: ContenderOptions,
    trials: "Trials",
    options: ScoreOptions,
    *,
    gray: bool,
    names: str | None,
    kept: Kept | None,
) -> Scores:
    """Return the scores of one network, or of several with a row for each."""
    from restore.denoise.evaluate import evaluate_denoiser
    from restore.denoise.perceptual import Perceptual
    from restore.denoise.runner import Denoiser

    paths = options.pictures_in(folder)
    measure = None if names is None else Perceptual(names.split(","))
    denoisers = [Denoiser(each.model, **each.placement, sigma=trials.told) for each in network.each]
    rows = labels([each.model for each in network.each]) if len(denoisers) > 1 else []
    return Scores(
        scored=scored_pictures(
            evaluate_denoiser(
                dict(zip(rows, denoisers, strict=True)) if rows else denoisers[0],
                paths,
                trials.trials,
                gray=gray,
                measure=measure,
                save=kept or (lambda *_: None),
            )
        ),
        pictures=paths,
        headings=trials.headings,
        rows=rows,
        conditions={"gray": gray, **trials.conditions},
    )
