"""The task record of denoising RAW mosaics, for the layers below."""

from restore.weights.task import Task

__all__ = ["TASK"]

TASK = Task(
    name="denoise-raw",
    networks=(
        "restore.models.mosaic_resunet:MosaicResUNet",
        "restore.models.pmrid:PMRID",
    ),
    recipe="restore.mosaic.recipe:MosaicRecipe",
    measurement="restore.mosaic.measure:measurement",
    trial="restore.weights.verify:trial_on_planes",
    training_noise="restore.mosaic.measure:training_noise",
    default_weights={"raw": "raw"},
)
