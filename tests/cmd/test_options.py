"""The options of all commands."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from imrestore.app import app
from imrestore.options import FILE_FORMATS, RAW_OUTPUT_FORMATS, FileOptions
from restore.image.decode import DEFAULT_MAX_PIXELS
from restore.image.formats import DEFAULT_SUFFIX, RAW_OUTPUT_SUFFIX


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


def test_the_copies_of_constants_that_take_long_to_import_are_right() -> None:
    assert set(FILE_FORMATS) == {str(image_format) for image_format in DEFAULT_SUFFIX}
    assert set(RAW_OUTPUT_FORMATS) == {str(image_format) for image_format in RAW_OUTPUT_SUFFIX}
    assert FileOptions(inputs=[], output="").max_pixels == DEFAULT_MAX_PIXELS


def test_denoise_has_the_options_of_the_contract() -> None:
    names = {name for parameter in ALL["imrestore denoise"].params for name in parameter.opts}
    contract = """-o --output -r --recursive --format --bit-depth --quality --strip-metadata
    --model --device --precision --tile --jobs --shard --dry-run --json -q -v --compare
    --overwrite --skip-existing --max-pixels --sigma --strength --detail"""
    assert names >= set(contract.split())
