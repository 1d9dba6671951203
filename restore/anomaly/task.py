"""What the floors below must know of visual inspection."""

from restore.weights.task import Task

__all__ = ["TASK"]

TASK = Task(
    name="anomaly",
    networks=("restore.models.autoencoder:Autoencoder", "restore.models.draem:Draem"),
    recipe="restore.anomaly.recipe:AnomalyRecipe",
    trial="restore.anomaly.measure:trial",
    method="inspect",
)
