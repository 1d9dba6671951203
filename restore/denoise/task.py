"""The task records of denoising and of error maps, for the layers below."""

from restore.weights.task import Task

__all__ = ["ERRORS", "TASK"]

TASK = Task(
    name="denoise",
    networks=(
        "restore.models.dncnn:DnCNN",
        "restore.models.drunet:DRUNet",
        "restore.models.ffdnet:FFDNet",
        "restore.models.resunet:ResUNet",
    ),
    recipe="restore.denoise.recipe:DenoiseRecipe",
    measurement="restore.denoise.measure:measurement",
    trial="restore.denoise.measure:trial",
    graph="restore.denoise.export:graph_of",
    training_noise="restore.denoise.measure:training_noise",
    default_weights={
        "gray": "photo",
        "color": "photo",
        "gray, sigma given": "resunet-gray",
        "color, sigma given": "resunet-color",
    },
)

ERRORS = Task(
    name="denoise-error",
    networks=("restore.models.error_net:ErrorNet",),
    recipe="restore.denoise.error_recipe:ErrorRecipe",
    trial="restore.weights.verify:trial_on_planes",
    training_noise="restore.denoise.measure:error_noise",
    default_weights={"any": "denoise-error"},
)
