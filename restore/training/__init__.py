"""The training loop of every task, and for networks of one's own.

``Trainer`` is the loop: a network, a function that draws batches, and one that returns the loss.
``crops_of`` draws from a folder of pictures.
``train`` is a whole run with its files, of a ``Lesson``. Names are imported when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from restore.training.crops import crops_of
    from restore.training.loop import Trainer
    from restore.training.recipe import Recipe
    from restore.training.schedule import Figure, Progress, TrainerConfig
    from restore.training.session import Context, Lesson, Settings, train
    from restore.training.state import Randomness

__all__ = [
    "Context",
    "Figure",
    "Lesson",
    "Progress",
    "Randomness",
    "Recipe",
    "Settings",
    "Trainer",
    "TrainerConfig",
    "crops_of",
    "train",
]

LOST_ANOTHER = "another process of this run was lost"
"""How the message begins of a process of a team that ends because another did."""

_HOMES = {
    "Context": "session",
    "Figure": "schedule",
    "Lesson": "session",
    "Progress": "schedule",
    "Randomness": "state",
    "Recipe": "recipe",
    "Settings": "session",
    "Trainer": "loop",
    "TrainerConfig": "schedule",
    "crops_of": "crops",
    "train": "session",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'restore.training' has no attribute {name!r}")
    return getattr(import_module(f"restore.training.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
