"""What is exported of a denoiser."""

from typing import Any

from restore.weights.export import AnySize, Graph
from restore.weights.store import Weights

__all__ = ["graph_of"]


def graph_of(weights: Weights) -> Graph:
    """Return a denoiser for pictures of any size.

    Raises:
        WeightsError: the tensors do not fit the architecture.
    """
    network: Any = weights.build()
    sigma = "sigma: standard deviation of the noise, 0 to 1" if weights.takes_sigma else "none"
    return Graph(
        module=AnySize(network, int(network.multiple)),
        metadata={
            "range": "0 to 1, sRGB-encoded; results are not clipped",
            "colours": "gray" if weights.channels == 1 else "RGB",
            "other_inputs": sigma,
        },
    )
