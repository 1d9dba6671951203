"""Denoising; the package can be called as the function ``restore.denoise.function.denoise``.

Importing a package binds its name in its parent, so that ``restore.denoise`` cannot be a plain
function once anything below it was imported.
"""

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Denoise one image; see ``restore.denoise.function.denoise``."""
        from restore.denoise.function import denoise

        return denoise(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
