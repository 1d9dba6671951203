"""`imrestore train anomaly`: a defect detector from pictures of good parts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from imrestore.expansion import with_decoding_options, with_options
from imrestore.option_names import calling
from imrestore.options import complete
from imrestore.recipes import print_if_asked
from imrestore.train.options import TrainingOptions
from imrestore.train.supervision import supervised
from imrestore.view import Mask, Roi, region_of_interest

__all__ = ["anomaly"]

_RATE = typer.Option(help="Peak learning rate.", show_default="draem 2e-3, ssim-ae and vae 1e-3")


@dataclass(frozen=True, kw_only=True)
class DetectorTrainingOptions(TrainingOptions):
    """The options of every training, with defaults for detectors."""

    batch: Annotated[int, typer.Option(metavar="N", help="Crops per step, all processes.")] = 8
    # The default depends on the model.
    learning_rate: Annotated[float | None, _RATE] = None  # type: ignore[assignment]

    def schedule_values(self) -> dict[str, Any]:
        """Return the recipe fields that all tasks share and that are given."""
        values = super().schedule_values()
        if self.learning_rate is None:
            del values["learning_rate"]
        return values


@with_decoding_options
@with_options
@calling(patch="size")
def anomaly(
    *,
    good: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Folder (tree) of pictures of good parts, at least 10; no defects are needed.",
            show_default=False,
        ),
    ],
    training: DetectorTrainingOptions,
    model: Annotated[
        str,
        typer.Option(
            metavar="draem|ssim-ae|vae",
            help="draem learns to repair and locate synthetic defects; ssim-ae and vae learn to "
            "reproduce good parts and nothing else.",
        ),
    ] = "draem",
    size: Annotated[
        int | None,
        typer.Option(
            metavar="PX",
            help="Side of the crops, a multiple of 16. Larger pictures are inspected completely, "
            "in overlapping tiles.",
            show_default="draem 192, ssim-ae and vae 128",
        ),
    ] = None,
    defect_size: Annotated[
        str,
        typer.Option(
            metavar="auto|PX",
            help="Diameter in pixels of the smallest defect that matters. From 16 pixels on, "
            "pictures are reduced PX/8 times, which is faster; auto keeps full resolution.",
        ),
    ] = "auto",
    target_fpr: Annotated[
        float,
        typer.Option(
            "--target-fpr",
            metavar="0..0.5",
            help="Share of good parts that may be called defective. The threshold for it comes "
            "from good parts that are held out, and needs at least 1/RATE - 1 of them.",
        ),
    ] = 0.01,
    folds: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="For small sets: train N more networks, each without an Nth of the parts, so that "
            "the threshold comes from all parts. --time is shared, --steps apply to each.",
        ),
    ] = 0,
    mask: Mask = None,
    roi: Roi = None,
    align: Annotated[
        str,
        typer.Option(
            metavar="off|translation|rotation",
            help="Register every part to the mean good part, also in inspections; for parts of one "
            "shape in pictures of one size.",
            autocompletion=complete("off", "translation", "rotation"),
        ),
    ] = "off",
    min_area: Annotated[
        int,
        typer.Option(
            metavar="PX",
            min=0,
            help="Places of fewer pixels above the threshold do not make a part defective.",
        ),
    ] = 0,
    latent: Annotated[
        int, typer.Option(metavar="N", help="Length of an autoencoder's latent vector.")
    ] = 100,
    loss: Annotated[
        str, typer.Option(metavar="ssim|l2", help="How ssim-ae measures differences.")
    ] = "ssim",
    beta: Annotated[
        float, typer.Option(help="Weight of the KL divergence from the prior in a vae.")
    ] = 1.0,
) -> None:
    """Train a defect detector on pictures of good parts alone.

    The weights come with a threshold that keeps the rate of false alarms at --target-fpr, measured
    on good parts that were held out. NAME.history.csv and .png beside them show the course of the
    training, judged by synthetic defects on other held-out parts; --resume continues a stopped run.

    \b
    Examples:
      imrestore train anomaly --good parts/good -o part.safetensors --time 1h
      imrestore train anomaly --good parts/good -o part.safetensors --target-fpr 0.05 --time 30m
      imrestore train anomaly --good parts/good -o part.safetensors --folds 4 --time 2h
      imrestore train anomaly --good scans/ -o part.safetensors --defect-size 64 --time 2h
      imrestore train anomaly --good parts/good -o part.safetensors --roi 40,20,200,160 --time 1h
      imrestore train anomaly --good parts/good -o part.safetensors --align rotation --time 1h
      imrestore train anomaly --good parts/good -o vae.safetensors --model vae --time 20m
    """  # noqa: D301 (the escape is Typer's mark for lines to be kept)
    from restore.anomaly.calibration import Calibration
    from restore.anomaly.recipe import AnomalyRecipe, scale_for
    from restore.anomaly.train import train_detector

    region = region_of_interest(mask, roi)
    recipe = AnomalyRecipe.filled(
        {
            "model": model,
            **({} if size is None else {"patch": size}),
            "scale": scale_for(_pixels(defect_size)),
            "latent": latent,
            "loss": loss,
            "beta": beta,
            "target_fpr": target_fpr,
            "folds": folds,
            "roi": region.name if region else "",
            "align": align,
            "min_area": min_area,
            **training.schedule_values(),
        }
    )
    print_if_asked(recipe)
    with supervised(quiet=training.quiet, finished=training.finished) as supervision:
        if recipe.scale > 1:
            supervision.tell(
                f"--defect-size {defect_size}: pictures are reduced to 1/{recipe.scale} of their "
                "resolution"
            )
        weights = train_detector(
            recipe,
            training.output,
            good=good,
            roi=region,
            settings=training.settings(),
            report=supervision.report,
            warn=supervision.tell,
            should_stop=supervision.should_stop,
        )
        calibration = Calibration.from_mapping(weights.provenance["calibration"])
        supervision.tell(
            f"{training.output}: {weights.parameters:,} parameters; threshold "
            f"{calibration.threshold():.4g} for {target_fpr:g} false alarms per good part, from "
            f"{len(calibration.scores)} that were not trained on"
        )


def _pixels(text: str) -> int | None:
    from restore.errors import UsageError

    if text == "auto":
        return None
    if not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise UsageError(f"--defect-size {text[:40]}: give a number of pixels, or auto")
    return int(text)
