"""Three runs that may be stopped anywhere, and what must hold then: denoise, anomaly and train."""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from networks import write_detector, write_network
from restore.errors import RestoreError
from restore.image.codecs import ImageFormat, format_of_suffix
from restore.image.encode import encode
from restore.image.picture import Picture, Transfer
from restore.tasks import load
from restore.training.state import checkpoint_path, load_checkpoint

__all__ = ["RUNS", "Run", "Tree", "write_inputs"]

Tree = Mapping[str, bytes]
"""Files below a folder by name."""

_WEIGHTS = "out/mine.safetensors"
_PASSING = ("mine.best.safetensors", "mine.checkpoint")
_TOLD = (
    *("results.jsonl", "results.csv", "results.parquet", "regions.csv", "summary.json"),
    "report.html",
)
"""Reports, which also tell what failed."""
_OF_THIS_RUN_ONLY = ("mine.history", "mine.tensorboard")
_PART = ".imrestore-"


@dataclass(frozen=True, kw_only=True)
class Run:
    """A command; its inputs lie in ``in/`` and its results come into ``out/``.

    Attributes:
        name: Name for the table.
        arguments: Arguments of the command.
        going_on: Option that has it go on where it was stopped.
        engine: Engine that runs the network.
        is_first: Whether the cache of converted networks is empty at its start.
    """

    name: str
    arguments: tuple[str, ...]
    going_on: str
    engine: str = "pytorch"
    is_first: bool = False

    def repeated(self, place: Path) -> tuple[str, ...] | None:
        """Return the arguments that finish a stopped run in ``place``; None if it is finished."""
        if self.name != "train":
            return (*self.arguments, self.going_on)
        output = place / _WEIGHTS
        if output.exists():
            return None
        if checkpoint_path(output).exists():
            return (*self.arguments, self.going_on)
        return self.arguments

    def results(self, place: Path) -> Tree:
        """Return the results that do not depend on when a run was stopped, as they must be."""
        found = tree(place / "out")
        return {
            name: _without_times(data) if name == Path(_WEIGHTS).name else data
            for name, data in found.items()
            if not name.startswith(_OF_THIS_RUN_ONLY)
        }

    def broken_promise(self, place: Path, inputs: Tree, whole: Tree) -> str:
        """Return what is wrong after a run was stopped, or "" if all is as it must be.

        Args:
            place: where it ran.
            inputs: what lay in ``in/``.
            whole: ``results`` of a run that was not stopped.
        """
        if tree(place / "in") != inputs:
            return "an input was changed"
        for name, data in self.results(place).items():
            if Path(name).name.startswith(_PART):
                continue
            if name in (*_TOLD, *_PASSING):
                if reason := _unusable(place / "out" / name):
                    return reason
            elif name not in whole:
                return f"{name} is there, which a run that is not stopped does not leave"
            elif data != whole[name]:
                return f"{name} is not what a run that is not stopped writes"
        return ""

    def difference(self, place: Path, inputs: Tree, whole: Tree) -> str:
        """Return what is wrong after a stopped run was finished, or ""."""
        if tree(place / "in") != inputs:
            return "an input was changed"
        found = self.results(place)
        if self.repeated(place) is None:  # it was stopped after its last result
            found = {name: data for name, data in found.items() if name not in _PASSING}
        if names := sorted(set(whole) ^ set(found)):
            return f"{names[0]} is {'missing' if names[0] in whole else 'left over'}"
        different = [name for name, data in whole.items() if found[name] != data]
        return (
            f"{different[0]} differs from that of a run that was not stopped" if different else ""
        )


_TRAINING = ("--gray", "--model=dncnn", "--depth=2", "--width=4", "--patch=16", "--batch=4")

RUNS = {
    run.name: run
    for run in (
        Run(
            name="denoise",
            arguments=("denoise", "in/pictures", "-o", "out", "--model", "in/net.safetensors"),
            going_on="--skip-existing",
        ),
        # OpenVINO takes long to start.
        Run(
            name="denoise with OpenVINO for the first time",
            arguments=("denoise", "in/pictures", "-o", "out", "--model", "in/net.safetensors"),
            going_on="--skip-existing",
            engine="auto",
            is_first=True,
        ),
        Run(
            name="anomaly",
            arguments=("anomaly", "in/parts", "-o", "out", "--model", "in/detector.safetensors"),
            going_on="--skip-existing",
        ),
        Run(
            name="train",
            arguments=(
                *("train", "denoise", "in/parts", "-o", _WEIGHTS, *_TRAINING),
                *("--steps=24", "--checkpoint-every=0.05s"),
            ),
            going_on="--resume",
        ),
    )
}


def write_inputs(place: Path) -> Tree:
    """Write what the runs read into ``place``/in, and return it; make ``place``/out."""
    rng = np.random.default_rng(0)
    (place / "in" / "pictures").mkdir(parents=True)
    (place / "in" / "parts").mkdir()
    (place / "out").mkdir()
    for name in ("a.png", "b.jpg", "c.tif", "d.webp"):
        picture = Picture(pixels=rng.random((3, 48, 64), np.float32))
        image_format = format_of_suffix(Path(name).suffix)
        (place / "in" / "pictures" / name).write_bytes(encode(picture, image_format))
    light = Picture(
        pixels=rng.random((3, 48, 64), np.float32),
        bit_depth=32,
        is_float=True,
        transfer=Transfer.LINEAR,
    )
    (place / "in" / "pictures" / "light.exr").write_bytes(encode(light, ImageFormat.EXR))
    for number in range(4):
        part = np.full((48, 64), 180, np.uint8) + rng.integers(0, 20, (48, 64), dtype=np.uint8)
        part[10 : 10 + 4 * number, 20:30] = 0
        Image.fromarray(part).save(place / "in" / "parts" / f"{number}.png")
    write_network(place / "in" / "net.safetensors")
    write_detector(place / "in" / "detector.safetensors")
    return tree(place / "in")


def tree(folder: Path) -> Tree:
    """Return all files below ``folder``."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def _unusable(path: Path) -> str:
    """Return why a file that depends on what was done so far is not whole, or "".

    Records of an inspection come one by one: their last line may be cut short.
    """
    try:
        if path.suffix == ".checkpoint":
            load_checkpoint(path)
        elif path.suffix == ".safetensors":
            load(path).build()
        elif path.suffix == ".jsonl":
            for line in path.read_bytes().splitlines(keepends=True):
                if line.endswith(b"\n"):
                    json.loads(line)
        elif not path.read_bytes().endswith((b"\n", b"</html>", b"PAR1", b"}")):
            return f"{path.name} is cut short"
    except (RestoreError, ValueError) as error:
        return f"{path.name} cannot be used: {error}"
    return ""


def _without_times(weights: bytes) -> bytes:
    """Return a weight file without the hours that it took, its metadata in one order."""
    end = 8 + struct.unpack("<Q", weights[:8])[0]
    head = json.loads(weights[8:end])
    provenance = json.loads(head["__metadata__"]["provenance"])
    provenance.pop("hours", None)
    head["__metadata__"]["provenance"] = json.dumps(provenance)
    return json.dumps(head, sort_keys=True).encode() + weights[end:]
