"""What can go wrong, as one tree; every message is a sentence for the user.

RestoreError
├── UsageError            an option or a combination of options makes no sense
├── InputError            one input cannot be used; the others can
│   ├── UnsupportedImage  not an image, or a format that is deliberately unsupported
│   │   ├── CameraRaw     a camera RAW file, where a finished picture is expected
│   │   └── SeveralPages  a file of several pictures, where one is expected
│   ├── CorruptImage      an image whose data are damaged or cut short
│   └── ImageTooLarge     more pixels than the limit allows
├── OutputError           a result cannot be written
│   └── OutputExists      something is already there and may not be replaced
├── WeightsError          a weight file is missing, damaged, hostile or of an unknown layout
├── DeviceError           a device that is absent or ran out of memory
└── TrainingError         training cannot start or cannot go on
    └── TrainingStopped   it was asked to stop; the checkpoint holds all of it
"""

import re

__all__ = [
    "CameraRaw",
    "CorruptImage",
    "DeviceError",
    "ImageTooLarge",
    "InputError",
    "OutputError",
    "OutputExists",
    "RestoreError",
    "SeveralPages",
    "TrainingError",
    "TrainingStopped",
    "UnsupportedImage",
    "UsageError",
    "WeightsError",
    "one_line",
]

_LONGEST = 280
"""Characters of a message whose words come from a file."""
_LINE_BREAKS = re.compile(r"[\t-\r\x1c-\x1f\x85\u2028\u2029]+\s*")
"""Tabs among them; blanks in a name, of any width, stay as they are."""


def one_line(text: str, most: int | None = _LONGEST) -> str:
    """Return ``text`` on one line, without its middle if it has more than ``most`` characters.

    Blanks at its ends, which may be those of a name, stay as well. Characters that would control
    a terminal are escaped.

    >>> one_line("encoder.0.0.conv1.weight", 15)
    'encod ... eight'
    """
    line = _LINE_BREAKS.sub(" ", text.strip("\r\n"))
    line = "".join(c if c.isprintable() or c.isspace() else ascii(c)[1:-1] for c in line)
    if most is None or len(line) <= most:
        return line
    half = (most - 5) // 2
    return f"{line[:half]} ... {line[-half:]}"


class RestoreError(Exception):
    """The root: catching it catches everything this library raises on purpose.

    >>> import restore
    >>> try:
    ...     restore.denoise("samples/city.png", sigma=-1)
    ... except restore.RestoreError as error:
    ...     print(f"{type(error).__name__}: {error}")
    UsageError: sigma -1: give a noise level from 0 to 255, or auto
    """


class UsageError(RestoreError):
    """An option or a combination of options makes no sense."""


class InputError(RestoreError):
    """One input cannot be used; the others can."""


class UnsupportedImage(InputError):
    """Not an image, or a format that is deliberately unsupported."""


class CameraRaw(UnsupportedImage):
    """A camera RAW file, where a finished picture is expected."""


class SeveralPages(UnsupportedImage):
    """A file of several pictures, where one is expected."""


class CorruptImage(InputError):
    """An image whose data are damaged or cut short."""


class ImageTooLarge(InputError):
    """More pixels than the limit allows."""


class OutputError(RestoreError):
    """A result cannot be written."""


class OutputExists(OutputError):
    """Something is already there and may not be replaced."""


class WeightsError(RestoreError):
    """A weight file is missing, damaged, hostile or of an unknown layout.

    Names and texts in such a file may be of any length; the message is ``one_line`` of them.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class DeviceError(RestoreError):
    """A device that is absent or ran out of memory."""


class TrainingError(RestoreError):
    """Training cannot start or cannot go on."""


class TrainingStopped(TrainingError):
    """It was asked to stop; the checkpoint holds all of it."""
