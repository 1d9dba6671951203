"""The names and formats of results."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restore.arguments import argument
from restore.batch.inputs import STANDARD_STREAM
from restore.batch.items import Rule
from restore.batch.kinds import FileKind
from restore.batch.search import Found
from restore.batch.walk import start_of
from restore.errors import UsageError
from restore.image.codecs import CODECS, ImageFormat, format_of_suffix, suffix_of

if TYPE_CHECKING:
    from restore.batch.plan import PlanRequest

__all__ = ["rule_in_folder", "rule_of_file"]


def rule_in_folder(found: Found, request: "PlanRequest") -> Rule:
    """Return how the results of inputs from one folder, with one suffix, are named.

    Args:
        found: one of them.
        request: what is to be planned.

    Raises:
        UsageError: their format is not written of such an input, or cannot be told.
    """
    source = found.source
    kind = request.kind.of(source)
    _check_format(found, request.format, kind)
    image_format = request.format or kind.default_format
    if source is None and image_format is None:
        raise UsageError(
            f"standard input into a folder needs {argument('image_format')} to know its name"
        )
    suffix, cut, ending = suffix_of(found.name), 0, ""
    known = format_of_suffix(suffix)
    if image_format is None and known is not None and known not in kind.written:
        # A format that is read but not written, such as BMP.
        image_format = ImageFormat(CODECS[known].written_as)
    if image_format is not None and (request.one_suffix or known is not image_format):
        if known is not None or suffix.lower() in kind.suffixes:
            cut = len(suffix)
        ending = kind.written[image_format]
    return Rule(found.folder, start_of(Path(request.output)), cut, ending, image_format)


def rule_of_file(found: Sequence[Found], request: "PlanRequest") -> Rule:
    """Return where the result of the only input goes: a file, or standard output.

    Raises:
        UsageError: there are several inputs, or the format is unknown, not written of such an
            input, or another than that of the file's suffix.
    """
    image_format, output, written = request.format, request.output, request.kind.written
    kind = request.kind.of(found[0].source)
    if output == STANDARD_STREAM:
        if len(found) != 1:
            raise UsageError(f"standard output takes one picture, not {len(found)}")
        _check_format(found[0], image_format, kind)
        if image_format is None:
            raise UsageError(f"an image on standard output needs {argument('image_format')}")
        return Rule(found[0].folder, None, format=image_format)
    path = Path(output)
    by_suffix = format_of_suffix(path.suffix)
    if image_format is None and by_suffix not in written:
        kinds = ", ".join(dict.fromkeys(written.values()))
        of = "light" if request.kind.is_light else request.kind.noun
        what = f"{by_suffix.upper()} is not written of {of}; " if by_suffix else ""
        raise UsageError(
            f"{output}: {what}for a folder write {output}/; for a file end it with one of {kinds}, "
            f"or give {argument('image_format')}"
        )
    fits = (
        by_suffix is None or image_format is None or path.suffix.lower() in _suffixes(image_format)
    )
    if not fits:
        raise UsageError(
            f"{output}: its suffix and {argument('image_format', str(image_format))} contradict "
            "each other"
        )
    _check_format(found[0], image_format or by_suffix, kind)
    whole_name = len(found[0].name)
    return Rule(found[0].folder, "", whole_name, str(path), image_format or by_suffix)


def _suffixes(image_format: ImageFormat) -> Collection[str]:
    return CODECS[image_format].suffixes


def _check_format(found: Found, image_format: ImageFormat | None, kind: FileKind[Any, Any]) -> None:
    """Refuse a format that is written of other kinds of inputs only."""
    if image_format is not None and image_format not in kind.written:
        raise UsageError(
            f"{found.source}: {image_format.upper()} is not written of {kind.noun}; use one of "
            f"{', '.join(kind.written)}"
        )
