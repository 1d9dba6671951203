"""The lane of a GPU, with the processor in the place of one."""

from collections.abc import Callable
from contextlib import nullcontext
from threading import get_ident
from weakref import ref

import numpy as np
import pytest
import torch
from torch import Tensor

from restore.engine.lane import TileTooLarge, Traits
from restore.engine.tiles import in_order
from restore.engine.torch_lanes import CudaLane, TorchLane, torch_lanes
from restore.errors import DeviceError

CPU = torch.device("cpu")
TRAITS = Traits(channels=1, halo=1, multiple=1)


class Function(torch.nn.Module):
    """A function in the place of a network."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(*inputs)


def lane_of(function: Callable[..., Tensor]) -> CudaLane:
    return CudaLane(Function(function), TRAITS, CPU, "fp16")


class LateStream:
    """Copies to the host when it is synchronised and no earlier, as a GPU may."""

    current: "LateStream"

    def __init__(self, _device: torch.device) -> None:
        self.waiting: list[Callable[[], object]] = []

    def synchronize(self) -> None:
        for copy in self.waiting:
            copy()
        self.waiting.clear()


@pytest.fixture
def buffers(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let the processor play a GPU; return the sizes of the pinned buffers as they are made."""
    made: list[int] = []

    def enter(stream: LateStream) -> nullcontext[None]:
        LateStream.current = stream
        return nullcontext()

    def pinned(count: int) -> Tensor:
        made.append(count)
        return torch.full((count,), torch.nan)

    def late_copy(buffer: Tensor, source: Tensor, *, non_blocking: bool) -> Tensor:
        assert non_blocking
        assert source.is_contiguous()
        assert source.dtype == buffer.dtype
        LateStream.current.waiting.append(lambda: np.copyto(buffer.numpy(), source.numpy()))
        return buffer

    monkeypatch.setattr("torch.cuda.Stream", LateStream)
    monkeypatch.setattr("torch.cuda.stream", enter)
    monkeypatch.setattr("torch.Tensor.copy_", late_copy)
    monkeypatch.setattr("restore.engine.torch_lanes._pinned", pinned)
    return made


def darkened(picture: Tensor, level: Tensor) -> Tensor:
    return (picture.to(memory_format=torch.channels_last) - level).half()


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape, np.float32)


def test_results_are_read_when_they_are_there_and_are_not_overwritten(buffers: list[int]) -> None:
    lane = lane_of(darkened)
    level = np.full(1, 0.25, np.float32)
    inputs = [random(1, 3, 8, 6), random(1, 3, 8, 6)[:, :, ::2, 1:5], random(1, 3, 9, 9)]
    results = [lane(each, level) for each in inputs]
    for each, result in zip(inputs, results, strict=True):
        assert (result.dtype, result.shape) == (np.float32, each.shape)
        np.testing.assert_array_equal(result, (each - 0.25).astype(np.float16))
    inputs_results_and_sums = [144, 1, 144, 1, 48, 1, 243, 243, 1]
    assert buffers == inputs_results_and_sums, "those of inputs are made when they must grow"


def test_a_gpus_lane_has_one_thread_whoever_calls(buffers: list[int]) -> None:
    """PyTorch would keep cuDNN's plans of every other thread for ever."""
    del buffers
    threads: set[int] = set()

    def noted(picture: Tensor) -> Tensor:
        threads.add(get_ident())
        assert torch.is_inference_mode_enabled()
        return picture

    lane = lane_of(noted)
    for _ in range(3):
        assert list(in_order(lambda _: lane(random(1, 1, 4, 4)).shape, range(4), workers=2))
    assert len(threads) == 1
    assert threads != {get_ident()}


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("MPS backend out of memory (MPS allocated: 8 GB)"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("FIND was unable to find an engine to execute this computation"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_a_lane_goes_on_after_it_ran_out_of_memory(buffers: list[int], error: RuntimeError) -> None:
    features: list[ref[Tensor]] = []

    def small(picture: Tensor) -> Tensor:
        feature = picture + 0
        features.append(ref(feature))
        if picture.numel() > 100:
            raise error
        return feature

    lane = lane_of(small)
    with pytest.raises(TileTooLarge) as raised:
        lane(random(1, 1, 20, 20))
    assert raised.value.__cause__ is error
    assert features[0]() is None, "a smaller tile has all of the memory"
    np.testing.assert_array_equal(lane(random(1, 1, 5, 5)), random(1, 1, 5, 5))
    # The second input fits into the first one's buffer; the sum of the result has one, too.
    assert buffers == [400, 25, 1]


def test_every_gpu_has_two_lanes_and_its_own_weights(
    monkeypatch: pytest.MonkeyPatch, buffers: list[int]
) -> None:
    gpus = [torch.device("cuda", index) for index in range(2)]
    synchronised: list[torch.device] = []
    monkeypatch.setattr("torch.cuda.synchronize", synchronised.append)
    monkeypatch.setattr("torch.nn.Module.to", lambda network, *_, **__: network)
    lanes = torch_lanes(torch.nn.Conv2d(1, 1, 3), TRAITS, gpus, "fp16")
    assert [lane.device for lane in lanes] == ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]
    assert len({id(lane._function) for lane in lanes}) == 2
    assert all(isinstance(lane, CudaLane) for lane in lanes)
    assert synchronised == gpus, "weights are there before a lane's stream reads them"
    assert buffers == []


def test_gpus_without_memory_for_the_network_are_left_out(
    monkeypatch: pytest.MonkeyPatch, buffers: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    del buffers
    full = {1}

    def place(network: torch.nn.Module, device: torch.device, *_: object, **__: object) -> object:
        if device.index in full:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return network

    monkeypatch.setattr("torch.cuda.synchronize", lambda _device: None)
    monkeypatch.setattr("torch.nn.Module.to", place)
    gpus = [torch.device("cuda", index) for index in range(3)]
    lanes = torch_lanes(torch.nn.Conv2d(1, 1, 3), TRAITS, gpus, "fp16")
    assert [lane.device for lane in lanes] == ["cuda:0", "cuda:2", "cuda:0", "cuda:2"]
    assert caplog.messages == ["cuda:1 has no memory for the network; going on without it"]
    full |= {0, 2}
    with pytest.raises(DeviceError, match="no memory for the network; try device='cpu'"):
        torch_lanes(torch.nn.Conv2d(1, 1, 3), TRAITS, gpus, "fp16")


def test_other_errors_of_a_device_are_not_taken_for_a_lack_of_memory(buffers: list[int]) -> None:
    del buffers

    def broken(picture: Tensor) -> Tensor:
        raise RuntimeError(f"CUDA error: misaligned address: {picture.shape}")

    with pytest.raises(RuntimeError, match="misaligned"):
        lane_of(broken)(random(1, 1, 4, 4))


@pytest.mark.parametrize("fault", [torch.nan, torch.inf])
def test_results_that_are_not_numbers_are_refused(buffers: list[int], fault: float) -> None:
    """GPUs of the GTX 16 series compute nothing else in fp16."""
    del buffers

    def broken(picture: Tensor) -> Tensor:
        return torch.where(picture > 0.9, fault, picture)

    with pytest.raises(DeviceError, match="in fp16 are not numbers; try precision='fp32'"):
        lane_of(broken)(random(1, 1, 9, 9))


def test_a_processor_has_one_lane_and_no_stream() -> None:
    (lane,) = torch_lanes(torch.nn.Conv2d(1, 1, 1), TRAITS, [CPU], "fp32")
    assert type(lane) is TorchLane
