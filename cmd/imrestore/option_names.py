"""How the library's messages name arguments here: as the options that give them."""

import shlex

__all__ = ["as_option"]

_NAMES = {
    "exposure_stops": "exposure",
    "image_format": "format",
    "in_doubt": "fill-hot-pixels",
    "peak_nits": "peak-luminance",
    "profile": "noise-profile",
    "repair": "keep-hot-pixels",
    "start_from": "from",
    "white_balance": "wb",
}
"""Options that are not called as the library's argument."""
_FLAGS: dict[tuple[str, object], str] = {
    ("channels", 1): "--gray",
    ("channels", 3): "--color",
    ("repair", False): "--keep-hot-pixels",
}
"""Options that stand for an argument with its value."""


def as_option(name: str, value: object) -> str:
    """Return the option that stands for an argument; see ``restore.arguments.argument``.

    >>> as_option("overwrite", True), as_option("image_format", "png"), as_option("channels", 1)
    ('--overwrite', '--format png', '--gray')
    """
    option = f"--{_NAMES.get(name, name).replace('_', '-')}"
    if value is None or value is True:
        return option
    return _FLAGS.get((name, value), f"{option} {shlex.quote(str(value))}")
