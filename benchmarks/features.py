"""How the features of DnCNNs fare: which are never active, and how far from zero the others lie.

    python benchmarks/features.py NAME|FILE ... [--sigma 50]

On the clean pictures of weights/measure with white Gaussian noise. A feature is dead where fewer
than one pixel in ten thousand makes it positive, and always on where fewer than one in a hundred
does not. Of each layer's features, the energy of their means is divided by that of their
variation: half precision rounds a feature in proportion to where it lies, and what it says is how
it varies.
"""

import argparse
import statistics
import sys

import torch
from torch import Tensor

from restore.denoise.task import TASK
from restore.models.dncnn import DnCNN
from restore.weights.measurement import crops_for, levels_of
from tables import table

_DEAD, _ON = 1e-4, 0.99


def hidden_features(network: DnCNN, noisy: Tensor) -> list[Tensor]:
    """Return what each layer but the first is given, ``(B, F, H, W)``."""
    found: list[Tensor] = []
    for layer in network.convolutions[1:]:
        layer.register_forward_pre_hook(lambda _layer, inputs: found.append(inputs[0]))
    network(noisy)
    return found


def row(name: str, sigma: float) -> list[str]:
    """Return the cells of one network."""
    weights = TASK.load(name)
    network = weights.build().eval()
    if not isinstance(network, DnCNN) or network.config.noise_map:
        sys.exit(f"{name} is not a blind DnCNN")
    clean = torch.stack(crops_for(weights, TASK, network))
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    dead = on = count = 0
    ratios = []
    with torch.inference_mode():
        for features in hidden_features(network, clean + noise * sigma / 255):
            active = (features > 0).float().mean(dim=(0, 2, 3))
            dead += int((active < _DEAD).sum())
            on += int((active > _ON).sum())
            count += len(active)
            variance, mean = torch.var_mean(features, dim=(0, 2, 3))
            ratios.append(float(mean.square().sum() / variance.sum()))
    losses = weights.precision_loss_db.get("bf16", {})
    return [
        f"`{weights.name}`",
        f"{dead} of {count}",
        f"{on}",
        f"{statistics.median(ratios):.1f}",
        f"{max(ratios):.1f}",
        " / ".join(f"{loss:.3f}" for loss in losses.values()),
    ]


def main() -> None:
    """Print a row for each network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", metavar="NAME|FILE", help="blind DnCNNs")
    parser.add_argument("--sigma", type=float, default=50, help="of 255")
    options = parser.parse_args()
    head = (
        "weights", "dead", "always on", "means over variation, median layer", "highest",
        "loss in bfloat16 at sigma " + " / ".join(levels_of(TASK.load(options.names[0]), TASK)),
    )  # fmt: skip
    print(table(head, (row(name, options.sigma) for name in options.names)))


if __name__ == "__main__":
    main()
