"""The task record of dark RAW files, for the layers below."""

from restore.weights.task import Task

__all__ = ["TASK"]

TASK = Task(
    name="dark-enhance",
    networks=("restore.models.isp_unet:IspUNet", "restore.models.isp_resunet:IspResUNet"),
    recipe="restore.dark.recipe:DarkRecipe",
    measurement="restore.dark.measure:measurement",
    trial="restore.dark.measure:trial",
    training_noise="restore.dark.measure:training_noise",
    default_weights={"bayer": "isp", "x-trans": "isp"},
)
