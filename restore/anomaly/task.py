"""The task record of visual inspection, for the layers below."""

from restore.weights.task import Course, Task

__all__ = ["TASK"]

TASK = Task(
    name="anomaly",
    command="anomaly",
    networks=("restore.models.autoencoder:Autoencoder", "restore.models.draem:Draem"),
    course=Course(
        recipe="restore.anomaly.recipe:AnomalyRecipe",
        function="restore.anomaly.train:train_detector",
        pictures="good",
        takes=("roi",),
        is_of_one_folder=True,
    ),
    trial="restore.anomaly.measure:trial",
    method="inspect",
    graph="restore.anomaly.export:graph_of",
)
