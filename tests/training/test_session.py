import pytest
import torch

from restore.training import session
from restore.training.team import Team


@pytest.mark.parametrize(("name", "index"), [("cuda", 0), ("cuda:2", 2)])
def test_training_on_a_gpu_makes_it_the_current_one(
    monkeypatch: pytest.MonkeyPatch, name: str, index: int
) -> None:
    """PyTorch takes no GPU without a number there, and NCCL asks for the current one."""
    chosen: list[object] = []
    monkeypatch.setattr(session, "resolve_device", torch.device)
    monkeypatch.setattr("torch.cuda.set_device", chosen.append)
    assert session._device(name, Team()) == torch.device(name)
    assert chosen == [index]
