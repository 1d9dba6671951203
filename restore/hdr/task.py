"""The task record of high dynamic range, for the layers below."""

from restore.weights.task import Task

__all__ = ["TASK"]

TASK = Task(
    name="hdr",
    networks=("restore.models.hdr_resunet:HdrResUNet", "restore.models.hdr_unet:HdrUNet"),
    recipe="restore.hdr.recipe:HdrRecipe",
    measurement="restore.hdr.measure:measurement",
    trial="restore.hdr.measure:trial",
    default_weights={"single": "hdr-single", "optics": "hdr-optics"},
)
