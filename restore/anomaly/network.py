"""Running an anomaly network: pixels in, reconstruction and score map out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from restore.anomaly.alignment import Registration
from restore.anomaly.edges import NO_EDGES, EdgeProfile, outline_edges
from restore.anomaly.regions import part_score
from restore.anomaly.scale import enlarged, enlarged_scores, shrunk
from restore.anomaly.task import TASK
from restore.anomaly.texture import TextureMemory
from restore.anomaly.view import WHOLE, View
from restore.engine.placement import Placement
from restore.engine.runner import Run, Runner
from restore.weights.store import Weights

__all__ = ["STRIDE", "InspectionNetwork", "Raw", "Scored"]

_TILE = 1024
"""Two networks in sequence have a wide halo: small tiles would mostly be halo."""
_WINDOWS = 16
"""Windows of an autoencoder at once, with tiles of that size; fewer where they must be smaller."""
STRIDE = 4
"""Windows of an autoencoder overlap so that every pixel lies in the middle of one."""
_ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class Raw:
    """What a network returns of a picture.

    Attributes:
        reconstruction: ``[C, h, w]`` in [0, 1], at the network's scale.
        scores: ``[h, w]``, never negative, higher where a pixel is less like those of good parts.
        unrelieved: The same without the edge profile; None if the profile changes nothing.
    """

    reconstruction: NDArray[np.float32]
    scores: NDArray[np.float32]
    unrelieved: NDArray[np.float32] | None


@dataclass(frozen=True, kw_only=True)
class Scored:
    """The result of an inspection.

    Attributes:
        reconstruction: ``[C, H, W]`` in [0, 1], of the picture's size and in its own frame.
        scores: ``[H, W]``, never negative, higher where a pixel is less like those of good parts; 0
            where defects do not count.
        score: Score of the whole part: the highest in the map, or that which a region of the
            view's least area reaches.
        placed: Where the part lies, None if parts are not registered.
    """

    reconstruction: NDArray[np.float32]
    scores: NDArray[np.float32]
    score: float
    placed: Registration | None = None


class InspectionNetwork:
    """Runs one anomaly network; may be called from several threads.

    Args:
        weights: Weights of the network.
        placement: Device, precision and tile size.
        scale: Integer factor by which pictures are scaled down first.
        edges: Profile by which scores near the edges of pictures are divided.
        texture: Memory by which scores of parts of unusual texture are raised; None for none.
        view: What of a part is inspected.

    Raises:
        UsageError: an option is invalid.
        DeviceError: the device is not on this machine.
        WeightsError: the tensors do not fit the architecture.
    """

    def __init__(
        self,
        weights: Weights,
        placement: Placement,
        *,
        scale: int = 1,
        edges: EdgeProfile = NO_EDGES,
        texture: TextureMemory | None = None,
        view: View = WHOLE,
    ) -> None:
        self.weights, self.scale, self.view = weights, scale, view
        self.edges, self.texture = edges, texture
        self.runner = Runner(weights, placement, method=TASK.method, auto_tile=_TILE)

    def __call__(self, pixels: NDArray[np.float32], name: str = "the picture") -> Scored:
        """Score a part.

        A part that cannot be registered is inspected as it lies.

        Args:
            pixels: ``[C, H, W]`` in [0, 1] with the network's channels; any size.
            name: Name of the picture in messages.

        Raises:
            InputError: the region of interest is for pictures of another size.
            DeviceError: not even a small tile fits the device's memory.
        """
        placed = self.view.placed(pixels)
        size = (pixels.shape[1], pixels.shape[2])
        inside = self.view.inside(size, placed, name)
        alignment = self.view.alignment if placed is not None and placed.is_moved else None
        if alignment and placed:
            # A single pixel that is no number would spoil all around it when it is interpolated.
            pixels = alignment.aligned(_clean(pixels), placed)
        raw = self.raw(pixels)
        reconstruction = enlarged(raw.reconstruction, self.scale, size)
        maps = [raw.scores] if raw.unrelieved is None else [raw.scores, raw.unrelieved]
        maps = [enlarged_scores(each, self.scale, size) for each in maps]
        if inside is not None:
            maps = [np.where(inside, each, np.float32(0)) for each in maps]
        if alignment and placed:
            maps = [alignment.brought_back(each[None], placed)[0] for each in maps]
            reconstruction = alignment.brought_back(reconstruction, placed)
        scores = maps[0]
        score = part_score(scores, self.view.min_area)
        if raw.unrelieved is not None:
            outline_edges(scores, maps[1], score)
        return Scored(reconstruction=reconstruction, scores=scores, score=score, placed=placed)

    def raw(self, pixels: NDArray[np.float32]) -> Raw:
        """Return what the network says of a picture ``[C, H, W]`` as it is, at its own scale."""
        small = _shrunk(pixels, self.scale)
        channels, window = len(small) + 1, self.runner.traits.window
        if window is None:
            result = self.runner.tiled(small, _inspected, channels=channels)
        else:
            result = self.runner.overlapping(
                small, _clean, stride=window // STRIDE, windows=_WINDOWS, channels=channels
            )
        scores = result[-1]
        unrelieved = None if self.edges.is_level else scores.copy()
        self.edges.relieve(scores)
        if self.texture:
            factor = self.texture.factor(small)
            scores *= factor
            if unrelieved is not None:
                unrelieved *= factor
        return Raw(result[:-1], scores, unrelieved)


def _inspected(run: Run, patch: NDArray[np.float32]) -> NDArray[np.float32]:
    result: NDArray[np.float32] = run(_clean(patch[None]))[0]
    return result


def _shrunk(pixels: NDArray[np.float32], scale: int) -> NDArray[np.float32]:
    """Scale pixels down after cleaning: a single invalid pixel must not spoil its square."""
    if scale == 1:
        return pixels
    step = scale * max(1, _ROWS_AT_ONCE // scale)
    bands = (pixels[:, top : top + step] for top in range(0, pixels.shape[1], step))
    return np.concatenate([shrunk(_clean(band), scale) for band in bands], axis=1)


def _clean(crops: NDArray[np.float32]) -> NDArray[np.float32]:
    # Called on parts: a cleaned copy of a whole large picture would take too much memory.
    return np.ascontiguousarray(np.clip(np.nan_to_num(crops, posinf=1), 0, 1))
