"""Several lanes side by side: the same results, no lane twice at once, and room for everybody."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from restore.engine.lane import TileTooLarge, Traits
from restore.engine.tiles import in_order
from restore.engine.torch_lanes import exact_float32
from restore.errors import DeviceError
from restore.models.dncnn import DnCNN, DnCNNConfig
from restore.weights.store import Weights, weights_of

WAIT_S = 10


class FakeLane:
    """Blurs pictures a little, slowly; has room for so many pixels."""

    engine, precision, auto_tile = "fake", "fp32", 64
    traits = Traits(channels=1, halo=1, multiple=1)

    def __init__(self, device: str = "cuda:0", most_pixels: float = float("inf")) -> None:
        self.device, self.most_pixels = device, most_pixels
        self.calls, self.busy = 0, threading.Lock()

    def __call__(self, *inputs: np.ndarray) -> np.ndarray:
        assert self.busy.acquire(blocking=False), "one tile at a time"
        try:
            self.calls += 1
            time.sleep(0.001)
            if inputs[0].size > self.most_pixels:
                raise TileTooLarge
            return (inputs[0] + np.roll(inputs[0], 1, axis=3)) / 2
        finally:
            self.busy.release()


@pytest.fixture
def weights() -> Weights:
    torch.manual_seed(0)
    network = DnCNN(DnCNNConfig(channels=1, depth=3, width=4))
    return weights_of(network, name="small", task="denoise", provenance={})


def picture(height: int = 300, width: int = 400) -> np.ndarray:
    return np.random.default_rng(0).random((1, height, width), np.float32)


def test_the_result_does_not_depend_on_the_number_of_lanes(weights: Weights, on_lanes: Any) -> None:
    lanes = [FakeLane(), FakeLane(), FakeLane("cuda:1")]
    one = on_lanes(weights, [FakeLane()], FakeLane("cpu"))
    three = on_lanes(weights, lanes, FakeLane("cpu"))
    np.testing.assert_array_equal(three(picture(), 0.1), one(picture(), 0.1))
    assert all(lane.calls for lane in lanes)
    assert (one.runner.lanes, three.runner.lanes, three.runner.device) == (1, 3, "cuda:0,cuda:1")


def test_parts_of_a_large_picture_come_in_the_same_order(weights: Weights, on_lanes: Any) -> None:
    def order(lanes: int) -> list[tuple[int, int]]:
        taken: list[tuple[int, int]] = []

        def begin() -> object:
            return lambda part, *_: taken.append((part[0].start, part[1].start))

        backend = on_lanes(weights, [FakeLane() for _ in range(lanes)], FakeLane("cpu"))
        pixels = picture()
        backend.runner.by_tiles(lambda part: pixels[:, *part], begin, height=300, width=400)
        return taken

    assert order(1) == order(4) == sorted(order(1))


def test_several_threads_share_the_lanes(weights: Weights, on_lanes: Any) -> None:
    backend = on_lanes(weights, [FakeLane(), FakeLane()], FakeLane("cpu"))
    expected = backend(picture(), 0.1)
    results: list[np.ndarray] = []
    threads = [
        threading.Thread(target=lambda: results.append(backend(picture(), 0.1))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert len(results) == 4
    for result in results:
        np.testing.assert_array_equal(result, expected)


def test_with_one_worker_there_are_no_threads() -> None:
    threads = list(in_order(lambda _: threading.current_thread(), range(3)))
    assert set(threads) == {threading.current_thread()}


def test_results_come_in_order_and_few_are_made_ahead() -> None:
    drawn: list[int] = []

    def numbers() -> Iterator[int]:
        for n in range(50):
            drawn.append(n)
            yield n

    def slow_at_first(n: int) -> int:
        time.sleep(0.02 if n == 0 else 0)
        return n

    taken = []
    for result in in_order(slow_at_first, numbers(), workers=3):
        taken.append(result)
        assert len(drawn) - len(taken) < 2 * 3
    assert taken == list(range(50))


def test_after_a_failure_nothing_is_under_way() -> None:
    running: list[int] = []

    def work(n: int) -> int:
        if n == 1:
            raise KeyError(n)
        running.append(n)
        time.sleep(0.02)
        running.remove(n)
        return n

    with pytest.raises(KeyError):
        list(in_order(work, range(100), workers=4))
    assert running == []


def test_a_lane_that_runs_out_of_memory_halves_the_tiles(
    weights: Weights, on_lanes: Any, caplog: pytest.LogCaptureFixture
) -> None:
    tight = FakeLane("cuda:1", most_pixels=70 * 70)
    backend = on_lanes(weights, [FakeLane(), tight], FakeLane("cpu"))
    backend.runner.tile = backend.runner._first_tile = 256
    expected = on_lanes(weights, [FakeLane()], FakeLane("cpu"))(picture(), 0.1)
    np.testing.assert_allclose(backend(picture(), 0.1), expected, atol=1e-6)
    assert (backend.runner.device, backend.runner.tile, caplog.messages) == (
        "cuda:0,cuda:1",
        64,
        [],
    )


def test_a_gpu_without_room_leaves_the_work_to_the_others(
    weights: Weights, on_lanes: Any, caplog: pytest.LogCaptureFixture
) -> None:
    full = [FakeLane("cuda:1", most_pixels=0) for _ in range(2)]
    backend = on_lanes(weights, [FakeLane(), full[0], FakeLane(), full[1]], FakeLane("cpu"))
    expected = on_lanes(weights, [FakeLane()], FakeLane("cpu"))(picture(), 0.1)
    for _ in range(3):
        np.testing.assert_array_equal(backend(picture(), 0.1), expected)
    assert (backend.runner.device, backend.runner.tile, backend.runner.lanes) == ("cuda:0", 64, 2)
    assert caplog.messages == ["cuda:1 ran out of memory; going on without it"]


def test_many_pictures_that_run_out_at_once_go_to_the_processor_with_one_line(
    weights: Weights, on_lanes: Any, caplog: pytest.LogCaptureFixture
) -> None:
    lanes = [FakeLane("cuda", most_pixels=0) for _ in range(2)]
    backend = on_lanes(weights, lanes, FakeLane("cpu"))
    expected = on_lanes(weights, [FakeLane()], FakeLane("cpu"))(picture(), 0.1)
    results = list(in_order(lambda _: backend(picture(), 0.1), range(6), workers=6))
    for result in results:
        np.testing.assert_array_equal(result, expected)
    assert (backend.runner.device, backend.runner.lanes) == ("cpu", 1)
    assert caplog.messages == ["cuda ran out of memory; going on with the processor"]


def test_a_processor_without_memory_fails_every_picture_and_waits_for_none(
    weights: Weights, on_lanes: Any
) -> None:
    full = FakeLane("cuda", most_pixels=0)
    backend = on_lanes(weights, [full], FakeLane("cpu", most_pixels=0))
    for _ in range(2):
        with pytest.raises(DeviceError, match="not enough memory"):
            backend(picture(), 0.1)


def test_exact_float32_lasts_until_the_last_lane_is_done() -> None:
    """It is a setting of the process, and lanes begin and end when they like."""

    def exact() -> bool:
        return not torch.backends.cudnn.allow_tf32

    before = exact()
    first, second = exact_float32(True), exact_float32(True)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert exact()
    second.__exit__(None, None, None)
    assert exact() == before


def test_nobody_waits_for_lanes_when_the_processor_cannot_take_over(
    weights: Weights, monkeypatch: pytest.MonkeyPatch, denoising: Any
) -> None:
    def lanes_of(_model: object, _placement: object, device: str, **_: object) -> list[FakeLane]:
        if device == "cpu":
            raise DeviceError("the weights are gone")
        return [FakeLane("cuda", most_pixels=0)]

    monkeypatch.setattr("restore.engine.runner._lanes_of", lanes_of)
    backend = denoising(weights, device="cuda")
    for _ in range(2):
        with pytest.raises(DeviceError, match="the weights are gone"):
            backend(picture(40, 40), 0.1)
