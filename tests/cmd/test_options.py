"""The options of all commands."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from imrestore.app import app
from restore.image.codecs import WRITTEN_OF_LIGHT, WRITTEN_OF_MOSAICS, WRITTEN_OF_RAW
from restore.tasks import TASKS


def commands(command: Any, path: str = "imrestore") -> Iterator[tuple[str, Any]]:
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, f"{path} {name}")


ALL = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("path", ALL)
def test_every_command_and_option_is_documented(path: str) -> None:
    assert ALL[path].help
    for parameter in ALL[path].params:
        assert getattr(parameter, "help", None), f"{path}: {parameter.name} has no help"


def test_the_commands_that_tasks_name_exist() -> None:
    assert {f"imrestore {task.command}" for task in TASKS if task.command} <= set(ALL)


def test_the_examples_of_denoise_are_in_its_help() -> None:
    assert "imrestore denoise photo.jpg -o clean.jpg" in ALL["imrestore denoise"].help


def test_formats_are_those_of_the_table() -> None:
    shown = {
        path.removeprefix("imrestore "): parameter.metavar
        for path, command in ALL.items()
        for parameter in command.params
        if parameter.name == "format"
    }
    assert shown == {
        "denoise": "|".join(sorted(WRITTEN_OF_MOSAICS)),
        "dark-enhance": "|".join(sorted(WRITTEN_OF_RAW)),
        "hdr": "|".join(sorted(WRITTEN_OF_LIGHT)),
    }


WITHOUT_PICTURES = {
    "imrestore anomaly join",
    *("imrestore manifest " + name for name in ("list", "merge", "retry", "status")),
    *("imrestore weights " + name for name in ("list", "show", "verify", "export")),
}


@pytest.mark.parametrize("path", [path for path in ALL if not hasattr(ALL[path], "commands")])
def test_every_command_that_reads_pictures_has_the_options_of_decoding(path: str) -> None:
    names = {name for parameter in ALL[path].params for name in parameter.opts}
    assert ("--max-pixels" in names) is (path not in WITHOUT_PICTURES)
    assert ("--keep-damaged" in names) is (path not in WITHOUT_PICTURES)


def test_denoise_has_the_options_of_the_contract() -> None:
    names = {name for parameter in ALL["imrestore denoise"].params for name in parameter.opts}
    contract = """-o --output -r --recursive --format --bit-depth --quality --strip-metadata
    --model --device --precision --tile --jobs --shard --dry-run --json -q -v --compare
    --overwrite --skip-existing --max-pixels --sigma --strength --chroma --detail"""
    assert names >= set(contract.split())
