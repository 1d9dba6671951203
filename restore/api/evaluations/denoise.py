"""Denoisers on degraded pictures, finished outputs, and how well error maps hold."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restore.api.evaluations.measurement import (
    Measurement,
    PathArg,
    Source,
    checked_seed,
    names_of,
    numbers,
    path_of,
    refuse_beside,
)
from restore.arguments import argument
from restore.engine.placement import Placement
from restore.errors import OutputError, OutputExists, UsageError

if TYPE_CHECKING:
    from restore.denoise.runner import Denoiser
    from restore.denoise.settings import Sigma
    from restore.denoise.trials import Trials
    from restore.image.picture import Picture

__all__ = ["denoise"]

_SIGMAS = (15.0, 25.0, 50.0)
_COVERAGE_SIGMAS = (10.0, 25.0, 50.0)


def denoise(
    source: Source,
    models: Sequence[Any],
    place: Placement,
    *,
    sigma: float | Sequence[float] | None = None,
    jpeg: float | Sequence[float] | None = None,
    noisy: PathArg | None = None,
    reference: PathArg | None = None,
    coverage: bool = False,
    metrics: str | Sequence[str] | None = None,
    save: PathArg | None = None,
    gray: bool = False,
    estimate_sigma: bool = False,
    seed: int | None = None,
) -> Measurement:
    """Return the evaluation of denoisers; see ``restore.evaluate`` for the arguments.

    Raises:
        UsageError: arguments that contradict each other, or that make no evaluation.
    """
    from restore.denoise.evaluate import evaluate_denoiser
    from restore.denoise.perceptual import Perceptual

    given = {"sigma": sigma, "jpeg": jpeg, "noisy": noisy}
    others = {"metrics": metrics, "save": save}
    first = checked_seed(0 if seed is None else seed)
    if coverage:
        contradicting = {"jpeg": jpeg, "noisy": noisy, "reference": reference, **others}
        refuse_beside("coverage", contradicting, "which adds noise of its own")
        levels = numbers("sigma", _COVERAGE_SIGMAS if sigma is None else sigma, 1, 255)
        return _coverage(source, models, place, levels, first, gray=gray, known=not estimate_sigma)
    degrading = [name for name, value in given.items() if value is not None]
    if reference is not None:
        runs = (
            place != Placement() or list(models) != ["auto"] or estimate_sigma or seed is not None
        )
        if runs or degrading or any(value is not None for value in others.values()):
            raise UsageError(
                f"{argument('reference')} compares finished outputs: no network runs and no noise "
                "is added, so leave out what is for them"
            )
        return _outputs(source, path_of("reference", reference), gray=gray)
    if len(degrading) > 1:
        raise UsageError(f"{' and '.join(map(argument, degrading))} contradict each other")
    for name in degrading:
        if name != "sigma":
            refuse_beside(name, {"seed": seed}, "where no noise is drawn")
    trials = _trials(source, sigma, jpeg, noisy, first, gray=gray, known=not estimate_sigma)
    paths, names = source.paths(), names_of(models)
    is_alone = len(models) == 1
    kept = None
    if save is not None:
        kept = _Kept(source.place, path_of("save", save))
        kept.check(
            paths, [""] if is_alone else names, [each.condition for each in trials.trials], noisy
        )
    measure = None if metrics is None else Perceptual(_listed(metrics))
    denoisers = _opened(models, place, trials.told)
    return Measurement(
        results=evaluate_denoiser(
            denoisers[0] if is_alone else dict(zip(names, denoisers, strict=True)),
            paths,
            trials.trials,
            gray=gray,
            measure=measure,
            save=kept or (lambda *_: None),
        ),
        pictures=paths,
        models=names,
        headings=trials.headings,
        rows=[] if is_alone else names,
        conditions={"gray": gray, **trials.conditions},
    )


def _listed(metrics: object) -> Sequence[Any]:
    if isinstance(metrics, str):
        return metrics.split(",")
    return metrics if isinstance(metrics, Sequence) else [metrics]


def _trials(
    source: Source,
    sigma: float | Sequence[float] | None,
    jpeg: float | Sequence[float] | None,
    noisy: PathArg | None,
    seed: int,
    *,
    gray: bool,
    known: bool,
) -> "Trials":
    from restore.denoise.trials import Trials

    if noisy is not None:
        folder = path_of("noisy", noisy)
        return Trials.captured(source.place, folder, recursive=source.recursive, gray=gray)
    if jpeg is not None:
        qualities = numbers("jpeg", jpeg, 1, 100, "whole numbers")
        return Trials.compressed([int(each) for each in qualities])
    levels = numbers("sigma", _SIGMAS if sigma is None else sigma, 0, 255)
    return Trials.gaussian(levels, seed=seed, known=known)


def _opened(models: Sequence[Any], place: Placement, told: "Sigma") -> "list[Denoiser]":
    from restore.denoise.runner import Denoiser

    return [
        Denoiser(model, device=place.device, precision=place.precision, tile=place.tile, sigma=told)
        for model in models
    ]


def _outputs(source: Source, reference: Path, *, gray: bool) -> Measurement:
    from restore.denoise.evaluate import OUTPUT_PROTOCOL, score_outputs

    paths, most = source.paths(), source.most
    scores = score_outputs(source.place, reference, recursive=source.recursive, gray=gray)
    return Measurement(
        results=islice(scores, most),
        pictures=paths,
        models=[],
        headings=["outputs"],
        conditions={"gray": gray, "protocol": OUTPUT_PROTOCOL},
    )


def _coverage(
    source: Source,
    models: Sequence[Any],
    place: Placement,
    sigmas: Sequence[float],
    seed: int,
    *,
    gray: bool,
    known: bool,
) -> Measurement:
    from restore.denoise.coverage import COVERAGE_PROTOCOL, error_map_scores, table_of

    paths, names = source.paths(), names_of(models)
    denoisers = _opened(models, place, sigmas[0] if known else "auto")
    return Measurement(
        results=error_map_scores(
            dict(zip(names, denoisers, strict=True)),
            paths,
            sigmas=sigmas,
            seed=seed,
            gray=gray,
            known=known,
        ),
        pictures=paths,
        models=names,
        conditions={
            "seed": seed,
            "gray": gray,
            "sigma_known": known,
            "protocol": COVERAGE_PROTOCOL,
        },
        summary=table_of,
    )


@dataclass(frozen=True)
class _Kept:
    """Writes what was restored.

    Attributes:
        clean: folder of the clean pictures.
        folder: where to write, in the tree of ``clean``.
    """

    clean: Path
    folder: Path

    def __post_init__(self) -> None:
        if self.folder.resolve() == self.clean.resolve():
            raise UsageError(
                f"{argument('save')} {self.folder}: is the folder of the clean pictures"
            )

    def check(
        self,
        paths: Sequence[Path],
        models: Sequence[str],
        conditions: Sequence[Mapping[str, float]],
        noisy: PathArg | None,
    ) -> None:
        """Refuse results that would take the place of one another, or of what is there.

        Raises:
            UsageError: names both.
            OutputExists: there is a result already.
        """
        read = {path.resolve() for path in paths}
        others = None if noisy is None else Path(noisy).resolve()
        taken: dict[Path, Path] = {}
        for model, condition, path in product(models, conditions, paths):
            output = self._output(path, model, condition)
            first = taken.setdefault(output, path)
            if first is not path:
                raise UsageError(
                    f"{path} and {first}: would both be kept as {output}; "
                    f"leave one out, or leave out {argument('save')}"
                )
            real = output.resolve()
            if real in read or (others is not None and real.is_relative_to(others)):
                raise UsageError(
                    f"{argument('save')} {self.folder}: {output} lies among the pictures that are "
                    "measured; choose another folder"
                )
            if os.path.lexists(output):
                raise OutputExists(
                    f"{output}: exists already; give {argument('save')} another folder"
                )

    def _output(self, path: Path, model: str, condition: Mapping[str, float]) -> Path:
        """Return the file of one result, with a folder for each network, if several, and trial."""
        name = "-".join(f"{key}-{value:g}" for key, value in condition.items()) or "as-captured"
        folder = self.folder / model.replace("/", "-") / name
        return (folder / path.relative_to(self.clean)).with_suffix(".png")

    def __call__(
        self, picture: "Picture", path: Path, model: str, condition: Mapping[str, float]
    ) -> None:
        """Write one result.

        Raises:
            OutputError: it cannot be written.
        """
        from restore.files import write_atomically
        from restore.image.codecs import ImageFormat
        from restore.image.encode import encode

        output = self._output(path, model, condition)
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"{output.parent}: this folder cannot be made: {error.strerror or error}"
            ) from error
        plain = picture.with_pixels(picture.pixels, is_float=False, bit_depth=16)
        write_atomically(output, encode(plain, ImageFormat.PNG))
