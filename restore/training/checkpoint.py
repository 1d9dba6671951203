"""The state of a training run on disk."""

import io
import pickle
from pathlib import Path
from typing import Any

import torch

from restore.errors import TrainingError
from restore.files import write_atomically

__all__ = ["checkpoint_path", "load_checkpoint", "save_checkpoint"]


def checkpoint_path(output: Path) -> Path:
    """Return where the run that will write ``output`` keeps its state."""
    return output.with_name(f"{output.stem}.checkpoint")


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Replace the checkpoint at ``path`` by ``state`` (tensors and plain values), atomically."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(path, buffer.getbuffer(), overwrite=True)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint; executes no code.

    Raises:
        TrainingError: there is none, or it is not a checkpoint.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise TrainingError(f"{path}: no checkpoint to resume from") from error
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError) as error:
        raise TrainingError(f"{path}: not a checkpoint of imrestore") from error
    if not isinstance(state, dict) or "step" not in state:
        raise TrainingError(f"{path}: not a checkpoint of imrestore")
    return state
