"""The options of all commands."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from imrestore.app import app
from imrestore.options import FileOptions
from restore.image.codecs import WRITTEN, WRITTEN_OF_LIGHT, WRITTEN_OF_RAW
from restore.image.decode import DEFAULT_MAX_PIXELS


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
        "denoise": "|".join(sorted(WRITTEN)),
        "dark-enhance": "|".join(sorted(WRITTEN_OF_RAW)),
        "hdr": "|".join(sorted(WRITTEN_OF_LIGHT)),
    }


def test_the_copy_of_a_constant_that_takes_long_to_import_is_right() -> None:
    assert FileOptions(inputs=[], output="").max_pixels == DEFAULT_MAX_PIXELS


def test_denoise_has_the_options_of_the_contract() -> None:
    names = {name for parameter in ALL["imrestore denoise"].params for name in parameter.opts}
    contract = """-o --output -r --recursive --format --bit-depth --quality --strip-metadata
    --model --device --precision --tile --jobs --shard --dry-run --json -q -v --compare
    --overwrite --skip-existing --max-pixels --sigma --strength --detail"""
    assert names >= set(contract.split())
