"""The choice of a device, on machines that are pretended to have GPUs."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from restore.engine import device as devices
from restore.engine.device import fast_precisions, resolve_device, resolve_devices, training_dtype
from restore.engine.openvino_lanes import can_serve
from restore.errors import DeviceError, UsageError

GPU = torch.device("cuda")


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[int]]:
    """Pretend that there are two GPUs; those in the set cannot compute."""
    gpus: set[int] = set()
    ones = torch.ones

    def made(count: int, device: torch.device) -> Tensor:
        if (device.index or 0) in gpus:
            raise RuntimeError("CUDA error: no kernel image is available for execution\nmore")
        return ones(count)

    monkeypatch.setattr("torch.ones", made)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    devices._fault.cache_clear()
    yield gpus
    devices._fault.cache_clear()


def test_gpus_that_compute_are_taken(broken: set[int]) -> None:
    assert not broken
    assert resolve_device("auto") == resolve_device("cuda") == GPU
    assert [str(each) for each in resolve_devices("cuda:all")] == ["cuda:0", "cuda:1"]
    assert resolve_devices("cuda:1") == (torch.device("cuda", 1),)
    assert not can_serve("cuda:all")


def test_auto_leaves_a_gpu_that_cannot_compute(
    broken: set[int], caplog: pytest.LogCaptureFixture
) -> None:
    broken.add(0)
    assert resolve_device("auto").type == "cpu"
    (line,) = caplog.messages
    assert "no kernel image is available for execution)" in line
    assert resolve_device("cuda:1").index == 1
    for name in ("cuda", "cuda:0", "cuda:all"):
        with pytest.raises(DeviceError, match=r"no kernel image.*try device='cpu'"):
            resolve_devices(name)


def test_all_gpus_of_none_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(DeviceError, match=r"no CUDA device .* device='cpu'"):
        resolve_devices("cuda:all")
    with pytest.raises(UsageError, match="use auto, cpu, cuda, cuda:N, cuda:all or mps"):
        resolve_devices("cuda:some")
    with pytest.raises(UsageError, match="use auto, cpu, cuda, cuda:N or mps"):
        resolve_device("cuda:some")


@pytest.mark.parametrize(
    ("capability", "precisions", "dtype"),
    [((7, 5), ("fp16",), torch.float32), ((9, 0), ("fp16", "bf16"), torch.bfloat16)],
)
def test_bf16_wants_units_for_it(
    monkeypatch: pytest.MonkeyPatch,
    capability: tuple[int, int],
    precisions: tuple[str, ...],
    dtype: torch.dtype,
) -> None:
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda _device: capability)
    assert fast_precisions(GPU) == precisions
    assert training_dtype("auto", GPU) == dtype
    assert training_dtype("bf16", GPU) == torch.bfloat16
