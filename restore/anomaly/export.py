"""A detector as one graph, from a picture in [0, 1] to its score map and score."""

import json
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.anomaly.calibration import Calibration
from restore.anomaly.edges import BAND_PX
from restore.anomaly.network import STRIDE
from restore.anomaly.runner import Detector
from restore.anomaly.texture import (
    BLOCK_PX,
    LARGEST_RATIO,
    LEAST_SIDE_PX,
    MARGIN_PX,
    NEIGHBOURS,
    TextureMemory,
    described,
    summarised,
)
from restore.weights.export import Graph
from restore.weights.store import Weights

__all__ = ["DetectorGraph", "graph_of"]


def graph_of(weights: Weights) -> Graph:
    """Return the graph of a detector, and what its user must know of it.

    Raises:
        WeightsError: the weights hold invalid settings, or were never calibrated.
    """
    detector = Detector(weights, device="cpu", precision="fp32")
    view = detector.view
    remarks = []
    if view.alignment:
        remarks.append(
            "parts are not registered in the graph: give it parts that lie as the mean good part "
            'does, whose picture is in the metadata under "alignment"'
        )
    if view.min_area > 1:
        remarks.append(
            "its score is the highest of the map; leave out places above the threshold of fewer "
            f"than {view.min_area} pixels yourself"
            + ("" if detector.network.edges.is_level else "; defects on edges are outlined less")
        )
    if detector.familiarity:
        remarks.append("pictures that are unlike the good parts as a whole are not noticed by it")
    size = None if view.roi is None or view.roi.mask is None else view.roi.mask.shape
    return Graph(
        module=DetectorGraph(detector),
        outputs=("map", "score"),
        size=None if size is None else (size[0], size[1]),
        least=_least_size(detector),
        metadata=_metadata(detector),
        remarks=tuple(remarks),
    )


def _least_size(detector: Detector) -> tuple[int, int]:
    """Return the height and width that hold the region of interest."""
    if detector.view.roi is None:
        return 1, 1
    left, top, width, height = detector.view.roi.box
    return top + height, left + width


def _metadata(detector: Detector) -> dict[str, str]:
    weights, calibration = detector.weights, detector.calibration
    assert isinstance(calibration, Calibration)  # or there would be no threshold
    values: dict[str, Any] = {
        "name": weights.name,
        "task": weights.task,
        "architecture": weights.architecture,
        "weights": detector.digest,
        "channels": weights.channels,
        "threshold": detector.threshold,
        "target_fpr": calibration.target_fpr,
        "calibration": calibration.as_mapping(),
        "scale": detector.network.scale,
        "edge_factors": list(detector.network.edges.factors),
        "min_area": detector.view.min_area,
        "imrestore": version("imrestore"),
        "torch": torch.__version__,
    }
    values |= {key: value for key, value in detector.view.as_mapping().items() if key != "min_area"}
    return {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()
    }


class DetectorGraph(nn.Module):
    """All that an inspection computes of a picture, as tensor operations.

    Args:
        detector: detector to copy, but for its alignment and least area.
    """

    inside: Tensor

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.network: Any = detector.weights.build()
        self.scale = detector.network.scale
        edges = detector.network.edges
        self.factors = (*edges.factors, 1.0)
        # How far edges may be outlined depends on the least area, which is not in the graph.
        self.outlines_edges = not edges.is_level and detector.view.min_area <= 1
        self.window = int(getattr(self.network, "window", 0))
        self.box = detector.view.roi.box if detector.view.roi else None
        mask = detector.view.roi.mask if detector.view.roi else None
        self.has_mask = mask is not None
        self.register_buffer("inside", torch.zeros(0) if mask is None else torch.from_numpy(mask))
        texture = detector.network.texture
        self.texture = None if texture is None else _TextureGraph(texture)

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Return score maps ``(B, H, W)`` and scores ``(B,)`` of pictures ``(B, C, H, W)``."""
        height, width = picture.shape[2:]
        clean = torch.nan_to_num(picture, nan=0.0, posinf=1.0, neginf=0.0).clamp(0, 1)
        small = _shrunk(clean, self.scale)
        relieved = self._in_windows(small) if self.window else self._whole(small)
        if self.texture is not None:
            relieved = relieved * self.texture(small)[:, None, None]
        if len(self.factors) > 1:
            down, across = (_along(size, self.factors) for size in small.shape[2:])
            relief = torch.maximum(down[:, None], across)
            relieved = relieved / relief
        scores = self._counted(relieved, height, width)
        score = scores.amax(dim=(1, 2))
        if self.outlines_edges:
            most = scores + (score[:, None, None] - scores) / 2
            # Those before the relief might have another size, for all that the exporter knows.
            unrelieved = self._counted(relieved * relief, height, width)
            scores = torch.maximum(scores, torch.minimum(unrelieved, most))
        return scores, score

    def _counted(self, scores: Tensor, height: Any, width: Any) -> Tensor:
        """Return scores at the size of the picture, 0 outside the region of interest."""
        if self.scale > 1:
            for axis, length in ((1, height), (2, width)):
                scores = _enlarged(scores, self.scale, length, axis)
        if self.has_mask:
            scores = scores * self.inside
        elif self.box:
            left, top, across_px, down_px = self.box
            rows, columns = torch.arange(height), torch.arange(width)
            kept_rows = (rows >= top) & (rows < top + down_px)
            kept_columns = (columns >= left) & (columns < left + across_px)
            scores = scores * (kept_rows[:, None] & kept_columns)
        return scores

    def _whole(self, small: Tensor) -> Tensor:
        """Return the scores of pictures of any size, which are mirrored to a multiple."""
        multiple = int(self.network.multiple)
        height, width = small.shape[2:]
        padded = small
        for axis, size in ((2, height), (3, width)):
            padded = padded.index_select(axis, _mirrored(size, size + _missing(size, multiple)))
        return self.network.inspect(padded)[:, -1, :height, :width]  # type: ignore[no-any-return]

    def _in_windows(self, small: Tensor) -> Tensor:
        """Return the scores of overlapping windows, blended; see ``run_overlapping``."""
        batch, channels, height, width = small.shape
        window, stride = self.window, self.window // STRIDE
        padded = small
        spreads = []
        for axis, size in ((2, height), (3, width)):
            length = torch.sym_max(size, window)  # type: ignore[no-untyped-call]
            padded = padded.index_select(axis, _mirrored(size, length))
            count = (length - window + stride - 1) // stride + 1
            last = _as_tensor(length) - window
            starts = torch.minimum(torch.arange(count) * stride, last)
            places = (starts[:, None] + torch.arange(window)).flatten()
            padded = padded.index_select(axis, places)
            ramp = torch.minimum(torch.arange(1, window + 1), torch.arange(window, 0, -1))
            weights = (2 / window * ramp).repeat(count)
            spreads.append((torch.arange(length)[:, None] == places) * weights)
        down, across = spreads
        rows, columns = padded.shape[2] // window, padded.shape[3] // window
        cut = padded.reshape(batch, channels, rows, window, columns, window)
        cut = cut.permute(0, 2, 4, 1, 3, 5).reshape(-1, channels, window, window)
        scores = self.network.inspect(cut)[:, -1]
        laid = scores.reshape(batch, rows, columns, window, window).permute(0, 1, 3, 2, 4)
        laid = laid.reshape(batch, rows * window, columns * window)
        total: Tensor = down @ laid @ across.T / (down.sum(dim=1)[:, None] * across.sum(dim=1))
        return total[:, :height, :width]


class _TextureGraph(nn.Module):
    """The factor by which scores of parts of unusual texture are raised; see ``TextureMemory``."""

    mean: Tensor
    whitening: Tensor
    places: Tensor

    def __init__(self, texture: TextureMemory) -> None:
        super().__init__()
        self.box, self.usual, self.power = texture.box, texture.usual, texture.power
        for name in ("mean", "whitening", "places"):
            self.register_buffer(name, torch.from_numpy(getattr(texture, name)).float())

    def forward(self, small: Tensor) -> Tensor:
        """Return the factors ``(B,)`` of pictures ``(B, C, H, W)`` at the network's scale."""
        if self.box:
            left, top, across, down = self.box
            small = small[:, :, top : top + down, left : left + across]
        for axis in (2, 3):
            size = small.shape[axis]
            length = torch.sym_max(size, LEAST_SIDE_PX)  # type: ignore[no-untyped-call]
            length = length // BLOCK_PX * BLOCK_PX
            # What lies beyond the last block is the margin, then repeated.
            reached = torch.sym_max(size, length)  # type: ignore[no-untyped-call]
            places = torch.minimum(torch.arange(length + MARGIN_PX), _as_tensor(reached) - 1)
            small = small.index_select(axis, _mirrored(size, reached)[places])
        place = (summarised(described(small)) - self.mean) @ self.whitening
        squares = (place[:, None] - self.places).square().sum(dim=2)
        nearest = squares.topk(NEIGHBOURS, dim=1, largest=False).values
        ratio = nearest.sqrt().mean(dim=1) / self.usual
        return ratio.clamp(1 / LARGEST_RATIO, LARGEST_RATIO) ** self.power


def _as_tensor(size: Any) -> Tensor:
    """Return a size ``(1,)``: the exporter takes no arithmetic of tensors and dynamic sizes."""
    return torch.arange(size)[-1:] + 1


def _missing(size: Any, multiple: int) -> Any:
    """Return what a side lacks to a multiple; ONNX rounds quotients of negative sizes otherwise."""
    return (size + multiple - 1) // multiple * multiple - size


def _mirrored(size: Any, length: Any) -> Tensor:
    """Return the places ``(length,)`` that a side of ``size`` is continued with."""
    side = _as_tensor(size)
    places = torch.remainder(torch.arange(length), 2 * side)
    return torch.minimum(places, 2 * side - 1 - places)


def _shrunk(picture: Tensor, factor: int) -> Tensor:
    """Return the means of squares; see ``restore.anomaly.scale.shrunk``."""
    if factor == 1:
        return picture
    height, width = picture.shape[2:]
    padded = F.pad(picture, (0, _missing(width, factor), 0, _missing(height, factor)))
    means = F.avg_pool2d(padded, factor) * factor**2
    for size, shape in ((height, [-1, 1]), (width, [-1])):
        starts = factor * torch.arange((size + factor - 1) // factor)
        means = means / (_as_tensor(size) - starts).clamp(max=factor).view(shape)
    return means


def _along(size: Any, factors: tuple[float, ...]) -> Tensor:
    """Return the factor of each pixel along a side; see ``EdgeProfile``."""
    places = torch.arange(size)
    distances = torch.minimum(places, _as_tensor(size) - 1 - places).float()
    known = [BAND_PX * (index + 0.5) for index in range(len(factors) - 1)]
    known.append(BAND_PX * float(len(factors) - 1))
    result = torch.full_like(distances, factors[0])
    for start, end, low, high in zip(known, known[1:], factors, factors[1:], strict=False):
        result = result + (high - low) * ((distances - start) / (end - start)).clamp(0, 1)
    return result


def _enlarged(scores: Tensor, factor: int, length: Any, axis: int) -> Tensor:
    """Return scores with one side at its own size; see ``enlarged_scores``."""
    first, twice = (factor - 1) // 2, (factor + 1) % 2
    last = _as_tensor(scores.shape[axis]) - 1
    places = torch.arange(length)
    square = torch.div(places - first, factor, rounding_mode="floor").clamp(min=0)
    square = torch.minimum(square, last)
    upper = torch.minimum(square + 1, last)
    begin = square * factor + first + twice
    end = torch.minimum(upper * factor + first, _as_tensor(length) - 1)
    share = ((places - begin) / (end - begin).clamp(min=1)).clamp(0, 1)
    low, high = scores.index_select(axis, square), scores.index_select(axis, upper)
    return low + (high - low) * share.view([-1, 1] if axis == 1 else [-1])
