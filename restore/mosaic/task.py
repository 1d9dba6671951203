"""The task record of denoising RAW mosaics, for the layers below."""

from restore.weights.task import Course, Task

__all__ = ["TASK"]

TASK = Task(
    name="denoise-raw",
    command="denoise",
    networks=(
        "restore.models.mosaic_resunet:MosaicResUNet",
        "restore.models.pmrid:PMRID",
    ),
    course=Course(
        recipe="restore.mosaic.recipe:MosaicRecipe",
        function="restore.mosaic.train:train_mosaic_denoiser",
        pictures="clean",
        takes=("start_from", "camera"),
    ),
    measurement="restore.mosaic.measure:measurement",
    trial="restore.weights.verify:trial_on_planes",
    training_noise="restore.mosaic.measure:training_noise",
    default_weights={"raw": "raw"},
)
