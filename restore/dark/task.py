"""The task record of dark RAW files, for the layers below."""

from restore.weights.task import Course, Task

__all__ = ["TASK"]

TASK = Task(
    name="dark-enhance",
    command="dark-enhance",
    networks=("restore.models.isp_unet:IspUNet", "restore.models.isp_resunet:IspResUNet"),
    course=Course(
        recipe="restore.dark.recipe:DarkRecipe",
        function="restore.dark.train:train_dark_enhancer",
        pictures="clean",
        takes=("pairs", "start_from", "camera"),
    ),
    measurement="restore.dark.measure:measurement",
    trial="restore.dark.measure:trial",
    training_noise="restore.dark.measure:training_noise",
    default_weights={"bayer": "isp", "x-trans": "isp"},
)
