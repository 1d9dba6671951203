"""Write the pages that are made of the program itself: manual pages, commands and formats.

    python docs/generate.py            # or: make pages

The manual pages go to ``man/``, from where the wheel installs them; the others lie beside this
file. They are kept in the repository, and a test compares them with the program.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from imrestore.app import app
from restore.image.codec import Alpha, Codec, Samples
from restore.image.codecs import CODECS

PROJECT = Path(__file__).resolve().parents[1]
_NEXT_TO_EACH_OTHER = re.compile(r"[ \t]*\n[ \t]*")


@dataclass(frozen=True)
class Command:
    """A command of the program, as its help tells it.

    Attributes:
        name: words that call it, as ``imrestore train denoise``.
        usage: what follows the name.
        summary: first sentence of the help.
        paragraphs: rest of the help; those that begin with backspace keep their lines.
        options: options and arguments, each with its description.
        children: names of its own commands.
    """

    name: str
    usage: str
    summary: str
    paragraphs: tuple[str, ...]
    options: tuple[tuple[str, str], ...]
    children: tuple[str, ...]


def commands() -> list[Command]:
    """Return every command, parents first."""
    return list(_walk(typer.main.get_command(app), "imrestore", None))


def _walk(command: Any, name: str, parent: Any) -> Iterator[Command]:
    context = command.context_class(command, info_name=name, parent=parent)
    children = {
        each: child for each, child in getattr(command, "commands", {}).items() if not child.hidden
    }
    summary, *paragraphs = re.split(r"\n\s*\n", (command.help or "").strip())
    records = [each.get_help_record(context) for each in command.params]
    yield Command(
        name=context.command_path,
        usage=" ".join(command.collect_usage_pieces(context)),
        summary=_NEXT_TO_EACH_OTHER.sub(" ", summary),
        paragraphs=tuple(paragraphs),
        options=tuple((names, text) for names, text in filter(None, records)),
        children=tuple(children),
    )
    for each, child in children.items():
        yield from _walk(child, each, context)


def _kept_lines(paragraph: str) -> str | None:
    """Return a paragraph whose line breaks matter, or None."""
    return paragraph[1:].strip("\n") if paragraph.startswith("\b") else None


def manual_page(command: Command) -> str:
    """Return a page for ``man``, in roff."""
    hyphened = command.name.replace(" ", "-")
    lines = [
        f'.TH "{hyphened.upper()}" "1" "" "imrestore" "imrestore manual"',
        ".SH NAME",
        f"{_roff(hyphened)} \\- {_roff(command.summary.rstrip('.'))}",
        ".SH SYNOPSIS",
        f"\\fB{_roff(command.name)}\\fP {_roff(command.usage)}",
    ]
    if command.paragraphs:
        lines.append(".SH DESCRIPTION")
    for paragraph in command.paragraphs:
        kept = _kept_lines(paragraph)
        text = _NEXT_TO_EACH_OTHER.sub(" ", paragraph)
        lines += [".PP", *([".nf", _roff(kept), ".fi"] if kept else [_roff(text)])]
    if command.options:
        lines.append(".SH OPTIONS")
    for names, text in command.options:
        lines += [".TP", f"\\fB{_roff(names)}\\fP", _roff(_NEXT_TO_EACH_OTHER.sub(" ", text))]
    others = [f"{hyphened}-{child}" for child in command.children]
    if hyphened != "imrestore":
        others.append(hyphened.rpartition("-")[0] if " " in command.name else "imrestore")
    lines += [".SH SEE ALSO", ", ".join(f"\\fB{_roff(other)}\\fP(1)" for other in others)]
    return "\n".join(lines) + "\n"


def _roff(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"(?m)^(?=[.'])", r"\\&", escaped)


def commands_page() -> str:
    """Return the help of every command, in Markdown."""
    parts = ["# Commands", "What `--help` shows, on one page."]
    for command in commands():
        parts += [f"## {command.name}", f"```text\n{command.name} {command.usage}\n```"]
        parts.append(_markdown(command.summary))
        for paragraph in command.paragraphs:
            kept = _kept_lines(paragraph)
            text = _NEXT_TO_EACH_OTHER.sub(" ", paragraph)
            parts.append(f"```text\n{kept}\n```" if kept else _markdown(text))
        if command.options:
            rows = (
                f"| `{names.replace('|', chr(92) + '|')}` | {_cell(text)} |"
                for names, text in command.options
            )
            parts.append("\n".join(["| option | |", "|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def _cell(text: str) -> str:
    return _markdown(_NEXT_TO_EACH_OTHER.sub(" ", text)).replace("|", "\\|")


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_<\[])", r"\\\1", text)


def formats_table() -> str:
    """Return the table of formats, in Markdown, from the table that the program reads."""
    rows = [
        f"| {codec.name} | {' '.join(codec.suffixes)} | {_reading(codec)} | {_writing(codec)} "
        f"| {_transparency(codec)} | {'yes' if codec.holds_metadata else 'no'} |"
        for codec in CODECS.values()
    ]
    head = ["| format | suffixes | read | written | transparency | EXIF and XMP |"]
    return "\n".join([*head, "|---|---|---|---|---|---|", *rows]) + "\n"


def _reading(codec: Codec) -> str:
    return "yes" if codec.reader else "as camera RAW"


def _writing(codec: Codec) -> str:
    if not codec.writer:
        tasks = {"denoise": codec.is_for_mosaics, "dark-enhance": codec.is_for_raw}
        makers = " and ".join(task for task, writes in tasks.items() if writes)
        return f"by {makers}, from RAW files" if makers else f"no; as {codec.written_as.upper()}"
    if codec.samples is Samples.FLOAT:
        return f"{_either(codec.bit_depths)} bits, float"
    floats = ", or 32 bits, float" if codec.samples is Samples.EITHER else ""
    return f"{_either([depth for depth in codec.bit_depths if depth < 32])} bits{floats}"


def _either(depths: Sequence[int]) -> str:
    *others, last = map(str, depths)
    return f"{', '.join(others)} or {last}" if others else last


def _transparency(codec: Codec) -> str:
    return "no" if codec.alpha is Alpha.NONE else "yes"


BEGIN, END = "<!-- formats: written by docs/generate.py -->", "<!-- end of formats -->"


def formats_page() -> str:
    """Return ``docs/formats.md`` with the table of today."""
    page = (PROJECT / "docs/formats.md").read_text()
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{formats_table()}{rest[rest.index(END) :]}"


def pages() -> dict[Path, str]:
    """Return every generated page by its path."""
    manual = {
        PROJECT / "man" / f"{command.name.replace(' ', '-')}.1": manual_page(command)
        for command in commands()
    }
    docs = PROJECT / "docs"
    return manual | {docs / "commands.md": commands_page(), docs / "formats.md": formats_page()}


def main() -> None:
    """Write all pages, and remove manual pages of commands that are no longer there."""
    made = pages()
    (PROJECT / "man").mkdir(exist_ok=True)
    for stale in set((PROJECT / "man").iterdir()) - made.keys():
        stale.unlink()
    for path, text in made.items():
        path.write_text(text)


if __name__ == "__main__":
    main()
