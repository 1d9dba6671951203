"""How deep a call is: whoever follows it in a debugger should not have to jump about."""

import inspect
from pathlib import Path

import numpy as np
import pytest

import restore
from restore.denoise.runner import Denoiser
from restore.image.picture import Picture
from restore.models.resunet import ResUNet

PACKAGE = str(Path(restore.__file__).parent)


def test_seven_frames_lie_between_a_denoiser_and_its_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("IMRESTORE_ENGINE", "pytorch")
    stacks: list[list[str]] = []
    forward = ResUNet.forward

    def noted(network: ResUNet, *inputs: object) -> object:
        names = [each.function for each in inspect.stack() if each.filename.startswith(PACKAGE)]
        stacks.append(names[: names.index("__call__", names.index("tiled"))])
        return forward(network, *inputs)  # type: ignore[arg-type]

    monkeypatch.setattr(ResUNet, "forward", noted)
    denoiser = Denoiser("resunet-gray", device="cpu")
    denoiser(Picture(pixels=np.full((1, 20, 30), 0.5, np.float32)), sigma=25)
    assert all(len(stack) <= 7 for stack in stacks), stacks
    assert stacks
