"""The task record of high dynamic range, for the layers below."""

from restore.weights.task import Course, Task

__all__ = ["TASK"]

TASK = Task(
    name="hdr",
    command="hdr",
    networks=("restore.models.hdr_resunet:HdrResUNet", "restore.models.hdr_unet:HdrUNet"),
    course=Course(
        recipe="restore.hdr.recipe:HdrRecipe",
        function="restore.hdr.train:train_hdr",
        pictures="folders",
        takes=("start_from", "psf"),
    ),
    measurement="restore.hdr.measure:measurement",
    trial="restore.hdr.measure:trial",
    default_weights={"single": "hdr-single", "optics": "hdr-optics"},
)
