"""Weight files: finding them and reading their metadata, without PyTorch.

A safetensors file holds ``architecture``, ``config`` (JSON), ``task``, ``format_version``,
``provenance`` (JSON: recipe, data, training time), ``precision_loss_db`` (JSON: dtype -> sigma ->
loss in dB against float32) and ``tensors_sha256`` in its metadata.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from restore.errors import UsageError, WeightsError, one_line
from restore.weights.header import HASH_KEY, Header, Incomplete, hash_of, read_header

__all__ = [
    "FORMAT_VERSION",
    "WeightFile",
    "check_hash",
    "digest",
    "find",
    "is_ours_or_none",
    "licence_of",
    "opened",
    "read_weight_file",
    "shipped",
    "stored_list",
    "weights_folder",
]

FORMAT_VERSION = "1"

_DEEPEST = 16
"""Levels of lists and objects in JSON; more than printing them could stand are refused."""
_LARGEST_NUMBER = 10**300
_LONGEST_CARD = 1 << 16

_DIGEST_FORMAT = "4"
"""Changed whenever the same weights yield other cached contents, such as traits or graphs."""


@dataclass(frozen=True, kw_only=True)
class WeightFile:
    """The metadata of a weight file.

    Attributes:
        path: path of the file.
        architecture: name of the network; not checked here.
        settings: the network's config as stored; not checked here.
        task: the subcommand that the network is for.
        provenance: recipe, data and measurements, as written by training or conversion.
        precision_loss_db: dtype name -> sigma (0..255) -> loss in dB against float32.
        header: names, dtypes and shapes of the tensors.
    """

    path: Path
    header: Header
    architecture: str
    settings: dict[str, Any]
    task: str
    provenance: dict[str, Any] = field(default_factory=dict)
    precision_loss_db: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Shipped name or the file's stem."""
        return self.path.stem

    @property
    def has_hash(self) -> bool:
        """Whether it says which tensors were written; see ``check_hash``."""
        return HASH_KEY in self.header.metadata

    def fingerprint(self, version: str) -> str | None:
        """Return a cache key for the network as converted by ``version`` of an engine.

        None if the tensors cannot be read without PyTorch.
        """
        try:
            with opened(self.path, "np") as file:
                stored = [(key, file.get_tensor(key)) for key in file.keys()]  # noqa: SIM118
        except (WeightsError, TypeError):
            return None  # numpy does not know bfloat16
        return digest(self.architecture, self.settings, stored, version)


def digest(
    architecture: str,
    settings: Mapping[str, Any],
    tensors: Iterable[tuple[str, NDArray[np.float32]]],
    version: str,
) -> str:
    """Return a cache key for a network as converted by ``version`` of an engine."""
    whole = hashlib.sha256()
    settings_text = json.dumps(settings, sort_keys=True)
    whole.update("\0".join((_DIGEST_FORMAT, version, architecture, settings_text)).encode())
    for name, tensor in sorted(tensors, key=lambda item: item[0]):
        whole.update(f"\0{name}\0{list(tensor.shape)}\0".encode())
        whole.update(np.ascontiguousarray(tensor, np.float32).data)
    return whole.hexdigest()


def read_weight_file(name_or_path: str | Path) -> WeightFile:
    """Return the metadata of shipped weights or of a weight file.

    Raises:
        WeightsError: unknown name, not a safetensors file, or invalid metadata.
    """
    path = find(name_or_path)
    with _reading(path), path.open("rb") as file:
        header = read_header(file)
    return _described(path, header)


def check_hash(file: WeightFile) -> None:
    """Check that the tensors are those that were written, if the file says which.

    Raises:
        WeightsError: they are others, or the file cannot be read.
    """
    if not file.has_hash:
        return
    with _reading(file.path), file.path.open("rb") as stream:
        found = hash_of(stream, file.header)
    if found != file.header.metadata[HASH_KEY]:
        raise WeightsError(
            f"{file.path}: its tensors are damaged: they are not those that were written; get "
            "the file again"
        )


@contextmanager
def opened(path: Path, framework: str) -> Iterator[Any]:
    """Open a safetensors file, as ``safe_open`` does.

    Args:
        path: the file.
        framework: np or pt, the library of the tensors that are read.

    Raises:
        WeightsError: not a safetensors file, or it cannot be read.
    """
    with _reading(path), safe_open(path, framework=framework) as file:
        yield file


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from error
    except Incomplete as error:
        raise WeightsError(f"{path}: {error}; copy or download it again") from error
    except (SafetensorError, ValueError) as error:
        raise WeightsError(
            f"{path}: not a weight file of imrestore ({error}); "
            "convert foreign checkpoints with `imrestore weights convert`"
        ) from error


def _described(path: Path, header: Header) -> WeightFile:
    """Return the parsed metadata of the file ``path``.

    Raises:
        WeightsError: missing or invalid metadata.
    """
    metadata = header.metadata
    try:
        if metadata["format_version"] != FORMAT_VERSION:
            raise ValueError(f"format version {metadata['format_version']} is not known")
        return WeightFile(
            path=path,
            header=header,
            architecture=metadata["architecture"],
            settings=_mapping(metadata, "config"),
            task=metadata["task"],
            provenance=_mapping(metadata, "provenance"),
            precision_loss_db=_losses(metadata),
        )
    except KeyError as error:
        raise WeightsError(
            f"{path}: safetensors without the metadata of imrestore ({error}); "
            "convert foreign checkpoints with `imrestore weights convert`"
        ) from error
    except (RecursionError, TypeError, ValueError) as error:
        raise WeightsError(f"{path}: metadata that make no sense: {error}") from error


def _mapping(metadata: Mapping[str, str], key: str) -> dict[str, Any]:
    value = json.loads(metadata.get(key, "{}"))
    if not isinstance(value, dict):
        raise ValueError(f"{key} is not a JSON object")
    if _is_nested(value, _DEEPEST):
        raise ValueError(f"{key} is nested more than {_DEEPEST} levels deep")
    return value


def _is_nested(value: object, levels: int) -> bool:
    """Whether JSON holds more than so many levels of lists and objects."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_nested(each, levels - 1) for each in inner)


def _losses(metadata: Mapping[str, str]) -> dict[str, dict[str, float]]:
    losses = _mapping(metadata, "precision_loss_db")
    for by_sigma in losses.values():
        if not isinstance(by_sigma, dict) or not all(map(_is_number, by_sigma.values())):
            raise ValueError("precision_loss_db holds something that is not a number of dB")
    return losses


def _is_number(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return type(value) is int and abs(value) < _LARGEST_NUMBER


def stored_list(
    name: str, provenance: Mapping[str, Any], part: str, key: str, kind: type
) -> list[Any] | None:
    """Return the list ``key`` of a part of a provenance, such as of its recipe.

    Args:
        name: name of the weights.
        provenance: recipe, data and measurements.
        part: recipe, data or another part.
        key: name of the list.
        kind: str, or float for numbers of any type.

    Returns:
        The list, or None if the provenance has none.

    Raises:
        WeightsError: something else is stored under these names.

    >>> stored_list("mine", {"recipe": {"noise": ["awgn"]}}, "recipe", "noise", str)
    ['awgn']
    """
    stored = provenance.get(part)
    values = stored.get(key) if isinstance(stored, dict) else stored
    if values is None:
        return None
    is_sound = _is_number if kind is float else lambda value: isinstance(value, kind)
    if isinstance(values, list) and all(map(is_sound, values)):
        return values
    raise WeightsError(f"{name}: metadata that make no sense: {part}.{key} is {values!r}")


def is_ours_or_none(name_or_path: str | Path) -> bool:
    """Whether a path is that of a weight file of imrestore, or of no file."""
    path = Path(name_or_path)
    if not path.is_file():
        return True
    try:
        with path.open("rb") as file:
            return "format_version" in read_header(file).metadata
    except (OSError, ValueError):
        return False


def licence_of(path: Path) -> str:
    """Return the licence of weights as the card beside their file states it, or an empty text."""
    card = path.with_suffix(".md")
    if not card.is_file():
        return ""
    with card.open(encoding="utf-8", errors="replace") as file:
        found = re.search(r"^\|\s*licence\s*\|([^|\n]*)\|", file.read(_LONGEST_CARD), re.M | re.I)
    return one_line(found[1].strip()) if found else ""


def find(name_or_path: str | Path) -> Path:
    """Return the path of shipped weights or of a weight file.

    Raises:
        WeightsError: there is no such file; the message lists the shipped names.
        UsageError: neither a name nor a path.
    """
    if not isinstance(name_or_path, str | PathLike):
        raise UsageError(f"weights {name_or_path!r}: give a shipped name or the path of a file")
    path = Path(name_or_path)
    if path.is_file():
        return path
    if path.name == str(name_or_path) and not path.suffix:
        candidate = weights_folder() / f"{path.name}.safetensors"
        if candidate.is_file():
            return candidate
    is_folder = bool(str(name_or_path)) and path.is_dir()
    what = "is a folder, not a weight file" if is_folder else "no such weights"
    raise WeightsError(
        f"{one_line(str(name_or_path), 60)}: {what}; shipped are "
        f"{', '.join(shipped()) or 'none'}, or give the path of a .safetensors file"
    )


def shipped() -> list[str]:
    """Return the names of the weights that come with the package, sorted.

    >>> import restore
    >>> "photo" in restore.shipped()
    True
    """
    return sorted(path.stem for path in weights_folder().glob("*.safetensors"))


def weights_folder() -> Path:
    """Return the folder of the shipped weights, in an installed package or a source tree."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "weights_shipped"
    return installed if installed.is_dir() else package.parent / "weights"
