"""What a GPU makes of a network alone: megapixels per second on tiles that lie in its memory.

    python benchmarks/gpu_network.py [--models dncnn-color,resunet-color] [--tiles 512,1024,2048]
        [--precisions fp16,bf16,fp32] [--seconds 0.4] [--device cuda]

Beside the network as it is run stand the same with bias and ReLU in passes of their own, as PyTorch
does it, and as a CUDA graph, which needs tiles of one size: what launching kernels costs.
"""

import argparse
import sys
import time
from collections.abc import Callable
from itertools import product
from typing import Any
from unittest.mock import patch

import torch
from restore.engine.torch_lane import exact_float32
from torch import Tensor, nn

from restore.engine.device import PRECISIONS
from restore.tasks import load
from tables import table

SIGMA = 25 / 255


def in_passes(convolution: nn.Conv2d, features: Tensor) -> Tensor:
    return torch.relu_(convolution(features))


def megapixels_per_second(call: Callable[[], object], pixels: int, seconds: float) -> float:
    """Return the speed of many calls in a row."""
    done = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None
    for _ in range(3):
        call()
    done()
    started = time.perf_counter()
    call()
    done()
    count = max(3, round(seconds / (time.perf_counter() - started)))
    started = time.perf_counter()
    for _ in range(count):
        call()
    done()
    return pixels * count / (time.perf_counter() - started) / 1e6


def graphed(call: Callable[[], object]) -> Callable[[], object]:
    """Return what repeats the kernels of ``call``."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        call()
    return graph.replay


def speeds(network: Any, side: int, options: argparse.Namespace) -> list[float]:
    """Return those of the network as it is, in passes, and as a graph."""
    picture = torch.rand(1, network.config.channels, side, side, device=options.device)
    picture = picture.to(memory_format=torch.channels_last)
    sigma = torch.full((1,), SIGMA, device=options.device)

    def call() -> object:
        return network(picture, sigma)

    measured = [megapixels_per_second(call, side**2, options.seconds)]
    with (
        patch("restore.models.dncnn.conv_relu", in_passes),
        patch("restore.models.layers.conv_relu", in_passes),
    ):
        measured.append(megapixels_per_second(call, side**2, options.seconds))
    if torch.cuda.is_available():
        measured.append(megapixels_per_second(graphed(call), side**2, options.seconds))
    return measured


def main() -> None:
    """Print a row for each network, precision and tile."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", default="dncnn-color,resunet-color")
    parser.add_argument("--tiles", default="512,1024,2048")
    parser.add_argument("--precisions", default="fp16,bf16,fp32")
    parser.add_argument("--seconds", type=float, default=0.4, help="of each measurement, about")
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args()
    rows = []
    models, tiles = options.models.split(","), options.tiles.split(",")
    for name, precision, side in product(models, options.precisions.split(","), tiles):
        network = (
            load(name)
            .build()
            .to(options.device, PRECISIONS[precision], memory_format=torch.channels_last)
        )
        with torch.inference_mode(), exact_float32(precision == "fp32"):
            measured = speeds(network, int(side), options)
        rows.append((f"`{name}`", precision, side, *(f"{speed:.0f}" for speed in measured)))
        print(*rows[-1], file=sys.stderr)
    if torch.cuda.is_available():
        print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}\n")
    head = ("network", "precision", "tile", "MP/s", "in passes", "as a graph")
    print(table(head[: len(rows[0])], rows))


if __name__ == "__main__":
    main()
