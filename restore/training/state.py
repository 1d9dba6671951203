"""The state that a stopped run resumes from: random generators and checkpoint."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import torch
from torch import Tensor

from restore.arguments import argument
from restore.errors import OutputExists, TrainingError
from restore.files import write_atomically
from restore.remote.paths import send_soon, url_of, version_of

__all__ = [
    "Randomness",
    "best_path",
    "checkpoint_path",
    "load_checkpoint",
    "save_checkpoint",
    "state_of",
    "unusable",
]

_RANK_STRIDE = 1_000_003


class Randomness:
    """The random generators of a run: the same seed gives the same run.

    Attributes:
        host: generator on the CPU, for crops and choices.
        local: generator on the device, for noise.
    """

    def __init__(self, seed: int, device: torch.device, *, rank: int = 0) -> None:
        own_seed = seed + rank * _RANK_STRIDE
        self.host = torch.Generator().manual_seed(own_seed)
        self.local = torch.Generator(device).manual_seed(own_seed + 1)

    @property
    def device(self) -> torch.device:
        """Device that the run trains on."""
        return self.local.device

    def moved(self, tensor: Tensor) -> Tensor:
        """Return a host tensor on the device, without waiting for the copy where possible."""
        if self.device.type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)

    def state(self) -> list[Tensor]:
        """Return the state that ``restore`` takes."""
        return [self.host.get_state(), self.local.get_state()]

    def restore(self, state: list[Tensor]) -> None:
        """Restore the state that ``state`` returned.

        Raises:
            TrainingError: the state was saved on another kind of device.
        """
        if state[1].numel() != self.local.get_state().numel():
            raise TrainingError(
                f"the run was begun on another kind of device than {self.device.type}: "
                f"give the {argument('device')} that it had"
            )
        self.host.set_state(state[0].cpu())
        self.local.set_state(state[1].cpu())


def state_of(paths: Iterable[Path]) -> dict[str, tuple[int, int | str]]:
    """Return what ``version_of`` says of files that are there, by their full paths or URLs."""
    known = ((url_of(str(path.absolute())), version_of(path)) for path in paths)
    return {name: version for name, version in known if version is not None}


def checkpoint_path(output: Path) -> Path:
    """Return the checkpoint's path for the run that will write ``output``."""
    return output.with_name(f"{output.stem}.checkpoint")


def best_path(output: Path) -> Path:
    """Return the path of the best weights so far, for the run that will write ``output``."""
    return output.with_name(f"{output.stem}.best.safetensors")


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Replace the checkpoint at ``path`` by ``state`` (tensors and plain values), atomically.

    Where the path stands for a URL, it is sent with the files beside it while the training goes on.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(path, buffer.getbuffer(), overwrite=True)
    send_soon(path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint; executes no code.

    Raises:
        TrainingError: there is none, or it is damaged or something else.
    """
    try:
        state = torch.load(path, "cpu", weights_only=True) if _is_sound(path) else None
    except FileNotFoundError as error:
        raise TrainingError(f"{path}: no checkpoint to resume from") from error
    except Exception as error:  # damaged bytes are unpickled to anything
        raise unusable(path) from error
    if not isinstance(state, dict) or not isinstance(state.get("recipe"), dict):
        raise unusable(path)
    return state


def _is_sound(path: Path) -> bool:
    """Compare the checksums in a checkpoint, which PyTorch writes but does not compare."""
    with ZipFile(path) as members:
        is_stored = all(member.compress_type == ZIP_STORED for member in members.infolist())
        return is_stored and members.testzip() is None


def start_again() -> str:
    """Return how to begin a run anew, in words."""
    return f"use {argument('overwrite', True)} to start again"


def stopped_run(path: Path) -> OutputExists:
    """Return what to raise where a file of a run that was stopped is in the way."""
    return OutputExists(
        f"{path}: a stopped run is there; use {argument('resume', True)} to continue it, or "
        f"{argument('overwrite', True)} to start again"
    )


def unusable(path: Path) -> TrainingError:
    """Return what to raise about a checkpoint that does not hold the state of a run."""
    return TrainingError(f"{path}: is damaged, or not a checkpoint of imrestore; {start_again()}")
