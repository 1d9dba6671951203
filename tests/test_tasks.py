"""The records of the tasks say what is there."""

from pkgutil import resolve_name

import pytest
from torch import nn

from restore.errors import WeightsError
from restore.tasks import TASKS, load, task_called
from restore.training.recipe import Recipe
from restore.weights.file import find, shipped
from restore.weights.task import Task

of_every_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)


@of_every_task
def test_all_that_a_record_names_exists(task: Task) -> None:
    assert all(issubclass(resolve_name(name), nn.Module) for name in task.networks)
    courses = [course for course in (task.course, task.on_noisy) if course]
    assert all(issubclass(resolve_name(course.recipe), Recipe) for course in courses)
    functions = filter(None, (task.trial, task.measurement, task.training_noise))
    functions = (*functions, *(course.function for course in courses))
    assert all(callable(resolve_name(name)) for name in functions)
    assert callable(getattr(resolve_name(task.networks[0]), task.method))


@of_every_task
def test_default_weights_are_shipped_and_for_the_task(task: Task) -> None:
    for name in task.default_weights.values():
        assert task.open(name).file.path == find(name)


@pytest.mark.parametrize("name", shipped())
def test_a_record_knows_its_own_weights_and_refuses_the_others(name: str) -> None:
    own = task_called(load(name).task)
    for task in TASKS:
        if task is own:
            assert task.open(name).name == name
            continue
        with pytest.raises(WeightsError, match=f"are for {own.name}, not for {task.name}"):
            task.open(name)
        with pytest.raises(WeightsError, match=f"are for {own.name}, not for {task.name}"):
            task.load(name)


def test_unknown_tasks_are_refused() -> None:
    with pytest.raises(WeightsError, match="task 'upscale' is not known"):
        task_called("upscale")
