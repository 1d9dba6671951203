"""Show the examples of docstrings as code: Markdown would take ``>>>`` for a quotation."""

import re
from typing import Any

from griffe import Extension, Object

_EXAMPLE = re.compile(r"(?m)^>>> (?:.+\n?)+")


class DoctestFences(Extension):
    """Puts a fence around every example."""

    def on_object(self, *, obj: Object, **_others: Any) -> None:
        """Change the docstring of one module, class, function or attribute."""
        if obj.docstring:
            obj.docstring.value = _EXAMPLE.sub(_fenced, obj.docstring.value)


def _fenced(example: re.Match[str]) -> str:
    return f"```pycon\n{example[0].rstrip()}\n```\n"
