"""The task records of denoising and of error maps, for the layers below."""

from restore.weights.task import Course, Task

__all__ = ["ERRORS", "TASK"]

TASK = Task(
    name="denoise",
    command="denoise",
    networks=(
        "restore.models.dncnn:DnCNN",
        "restore.models.drunet:DRUNet",
        "restore.models.ffdnet:FFDNet",
        "restore.models.resunet:ResUNet",
    ),
    course=Course(
        recipe="restore.denoise.recipe:DenoiseRecipe",
        function="restore.denoise.train:train_denoiser",
        pictures="clean",
        takes=(
            "pairs",
            "pair_names",
            "validation",
            "split",
            "start_from",
            "teacher",
            "network",
        ),
    ),
    on_noisy=Course(
        recipe="restore.denoise.noisy_recipe:NoisyRecipe",
        function="restore.denoise.noisy_train:train_on_noisy",
        pictures="noisy",
        takes=("start_from",),
    ),
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
    command="",
    networks=("restore.models.error_net:ErrorNet",),
    course=Course(
        recipe="restore.denoise.error_recipe:ErrorRecipe",
        function="restore.denoise.error_train:train_error_net",
        pictures="clean",
        takes=("start_from",),
    ),
    trial="restore.weights.verify:trial_on_planes",
    training_noise="restore.denoise.measure:error_noise",
    default_weights={"any": "denoise-error"},
)
