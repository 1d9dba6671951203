"""The task record of visual inspection, for the layers below."""

from restore.weights.task import Task

__all__ = ["TASK"]

TASK = Task(
    name="anomaly",
    networks=("restore.models.autoencoder:Autoencoder", "restore.models.draem:Draem"),
    recipe="restore.anomaly.recipe:AnomalyRecipe",
    trial="restore.anomaly.measure:trial",
    method="inspect",
    graph="restore.anomaly.export:graph_of",
)
