"""The base of every page that is written: self-contained HTML, in light and dark."""

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

__all__ = ["page_environment"]


@cache
def page_environment(folder: Path) -> Environment:
    """Return the templates of ``folder``, which may extend ``base.html``, with values escaped.

    Args:
        folder: Folder of the templates, styles and scripts of a page.
    """
    return Environment(
        loader=FileSystemLoader([folder, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
