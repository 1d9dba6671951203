"""The page on which people try the service."""

from collections.abc import Sequence
from pathlib import Path

from imrestore.serve.tasks import ServedTask
from restore.pages.environment import page_environment

__all__ = ["page_of"]


def page_of(tasks: Sequence[ServedTask], *, needs_token: bool) -> str:
    """Return the page, which needs nothing but the service.

    Args:
        tasks: What is served.
        needs_token: Whether to ask for the token.
    """
    template = page_environment(Path(__file__).parent).get_template("page.html")
    names = [task.name for task in tasks]
    return template.render(tasks=names, needs_token=needs_token)
