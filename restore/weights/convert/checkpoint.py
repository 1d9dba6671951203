"""Reading the files of PyTorch, TorchScript and safetensors without running anything in them."""

import io
import pickle
import pickletools
import re
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import SafetensorError, safe_open

from restore.archives import open_archive
from restore.errors import WeightsError
from restore.weights.header import MOST_TENSORS, read_header

__all__ = ["read_checkpoint"]

_HDF5 = b"\x89HDF\r\n\x1a\n"
_OTHERS = (
    (
        lambda head, _: head.startswith(_HDF5),
        "an HDF5 file, as Keras writes its .h5 weights; networks of Keras and TensorFlow are not "
        "read",
    ),
    (
        lambda _, names: "model.weights.h5" in names,
        "a .keras file; networks of Keras and TensorFlow are not read",
    ),
)
"""Files that are known, and not read."""


def read_checkpoint(path: Path) -> Any:
    """Return what a checkpoint holds: plain containers, numbers, text and tensors.

    Objects of a few classes that training programs store beside the weights are replaced by
    placeholders. Of a TorchScript archive the tensors are returned by name.

    Raises:
        WeightsError: another kind of file, a damaged one, or one that holds other objects.
        OSError: the file cannot be read.
    """
    if _is_safetensors(path):
        return _read_safetensors(path)
    with path.open("rb") as file:
        head = file.read(8)
    names = _members_of(path) if head.startswith(b"PK\3\4") else []
    for is_it, reason in _OTHERS:
        if is_it(head, names):
            raise WeightsError(f"not a checkpoint of PyTorch but {reason}")
    if any(name.partition("/")[2] == "constants.pkl" for name in names):
        return _read_torchscript(path)
    with path.open("rb") as file:
        return _unpickled(file, _globals_in(path, names))


def _is_safetensors(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(9)
    # A header's length, then the JSON of the header; a pickle or a zip never looks like that.
    return head[8:] == b"{" and int.from_bytes(head[:8], "little") <= path.stat().st_size


def _read_safetensors(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            header = read_header(stream)
        if header.metadata.get("format") == "imrestore":
            raise WeightsError("is a weight file of imrestore already")
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in header.tensors}
    except (SafetensorError, ValueError) as error:
        raise WeightsError(f"damaged safetensors ({error})") from error


def _members_of(path: Path) -> list[str]:
    """Return the members of a zip archive that PyTorch could have written.

    Without a comment at its end, no two readers find different directories in it.

    Raises:
        WeightsError: members are compressed or overlap, and so may hold more than the file has.
    """
    try:
        with open_archive(path) as archive:
            members, comment = archive.infolist(), archive.comment
    except ValueError as error:
        raise WeightsError(f"not a checkpoint, or a damaged one: {error}") from error
    # PyTorch compresses the code of TorchScript, which is not read.
    read = [member for member in members if not _is_code(member.filename)]
    is_stored = all(member.compress_type == zipfile.ZIP_STORED for member in read)
    if comment or not is_stored or sum(each.file_size for each in read) > path.stat().st_size:
        raise WeightsError("not a checkpoint: its members are compressed or overlap")
    return [member.filename for member in members]


def _is_code(name: str) -> bool:
    return name.partition("/")[2].startswith("code/")


class _Placeholder:
    """Stands for an object, whose class is not imported."""

    def __new__(cls, *_arguments: Any) -> "_Placeholder":
        return super().__new__(cls)

    def __init__(self, *_arguments: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _ScriptModule(_Placeholder):
    """Stands for a module of TorchScript; ``state`` holds its attributes."""


_PLACEHOLDERS = re.compile(
    r"numpy\.(_?core\.(multiarray\.(scalar|_reconstruct)|numeric\._frombuffer)|dtype|ndarray)"
    r"|numpy\.dtypes?\.\w+|argparse\.Namespace|types\.SimpleNamespace|datetime\.\w+"
    r"|pathlib\.\w+|(lightning|pytorch_lightning|omegaconf|typing)\.[\w.]+"
    r"|torch\.jit\._pickle\.\w+|builtins\.(dict|list|int|float|str)|collections\.defaultdict"
)
"""Globals of which an object becomes a placeholder."""
_MAPPINGS = re.compile(
    r"(lightning|pytorch_lightning)\.[\w.]*AttributeDict|easydict\.EasyDict|addict(\.\w+)*\.Dict"
)
"""Globals of which an object becomes a dictionary."""
_SCRIPT = re.compile(r"__torch__\.[\w.]+")


def _globals_in(path: Path, names: list[str]) -> set[str]:
    """Return the classes and functions that a checkpoint names, as far as it can be read."""
    pickled = [name for name in names if name.partition("/")[2] == "data.pkl"]
    try:
        if pickled:
            with open_archive(path) as archive, archive.open(pickled[0]) as file:
                return set(_globals_of(file))
        with path.open("rb") as file:
            return set(_globals_of(file, pickles=5))  # those of the format before zip
    except Exception:  # a damaged file can raise anything, and will when it is loaded
        return set()


def _globals_of(file: IO[bytes], *, pickles: int = 1) -> Iterator[str]:
    for _ in range(pickles):
        for opcode, argument, _ in pickletools.genops(file):
            if opcode.name == "GLOBAL":
                yield str(argument).replace(" ", ".")


def _stand_in(name: str) -> type | None:
    """Return the class of ours whose objects stand for those of a global, if any."""
    for pattern, kind in (
        (_MAPPINGS, OrderedDict),
        (_PLACEHOLDERS, _Placeholder),
        (_SCRIPT, _ScriptModule),
    ):
        if pattern.fullmatch(name):
            return kind
    return None


def _unpickled(file: IO[bytes], named: set[str]) -> Any:
    known: list[Any] = [(kind, name) for name in named if (kind := _stand_in(name))]
    try:
        with torch.serialization.safe_globals(known):
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        if found:
            raise WeightsError(
                f"holds Python objects ({found[1]}) that only its own code can load, and code in "
                "a checkpoint is never run; save the network's state_dict() alone"
            ) from error
        raise WeightsError("not a checkpoint, or one that holds more than tensors") from error
    except Exception as error:  # a damaged file can raise anything
        raise WeightsError("not a checkpoint, or a damaged one") from error


def _read_torchscript(path: Path) -> dict[str, Any]:
    """Return the tensors of a TorchScript archive by their names in a state dict.

    Raises:
        WeightsError: damaged, or frozen.
    """
    copied = io.BytesIO()
    with open_archive(path) as archive, zipfile.ZipFile(copied, "w") as plain:
        for member in archive.infolist():
            # Without its constants, PyTorch takes it for a checkpoint.
            if not _is_code(member.filename) and not member.filename.endswith("/constants.pkl"):
                plain.writestr(member.filename, archive.read(member))
    copied.seek(0)
    module = _unpickled(copied, _globals_in(path, _members_of(path)))
    tensors = dict(_tensors_of(module))
    if not tensors:
        raise WeightsError(
            "a frozen TorchScript archive, whose tensors have no names: save the network's "
            "state_dict() instead"
        )
    return tensors


def _tensors_of(root: Any) -> Iterator[tuple[str, Any]]:
    """Yield the tensors of a TorchScript module and of the modules in it."""
    waiting = [("", root)]
    visited = 0
    while waiting:
        prefix, module = waiting.pop()
        visited += 1
        if visited > MOST_TENSORS:
            raise WeightsError(f"more than {MOST_TENSORS:,} modules")
        if not isinstance(module, _ScriptModule) or not isinstance(module.state, dict):
            continue
        for name, value in module.state.items():
            if isinstance(value, torch.Tensor):
                yield f"{prefix}{name}", value
            elif isinstance(value, _ScriptModule):
                waiting.append((f"{prefix}{name}.", value))
