"""Random text, line art, test patterns and stars, which photographs lack."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

__all__ = ["drawings"]

_LETTERS = np.array(list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;-+()"))
_BLACK_AND_WHITE_SHARE = 0.5
_FIGURES_SHARE, _STARS_SHARE = 0.5, 0.1
_LONGEST_PERIOD_PX = 8
_LARGEST_LETTERS_PX = 28
_MOST_STARS_PER_PX = 0.01

Pixels = NDArray[np.float64]


def drawings(count: int, side: int, channels: int, generator: torch.Generator) -> Tensor:
    """Return random drawings without noise.

    Args:
        count: number of drawings.
        side: height and width of a drawing in pixels.
        channels: number of channels, 1 or 3.
        generator: random generator on the CPU.

    Returns:
        float32 ``(count, channels, side, side)`` in [0, 1].
    """
    seeds = torch.randint(2**31, (count,), generator=generator).tolist()
    stack = np.stack([_drawing(np.random.default_rng(seed), side) for seed in seeds])
    colours = torch.from_numpy(stack.astype(np.float32))
    return colours if channels == 3 else colours.mean(dim=1, keepdim=True)


def _drawing(rng: np.random.Generator, side: int) -> Pixels:
    """Return ``[3, side, side]``: figures, patterns of two colours, or stars."""
    ground, ink = _two_colours(rng)
    kind = rng.random()
    if kind < _FIGURES_SHARE:
        return _figures(rng, side, ground, ink)
    if kind < _FIGURES_SHARE + _STARS_SHARE:
        return _stars(rng, side)
    shares = _pattern(rng, side)
    return ground[:, None, None] + shares * (ink - ground)[:, None, None]


def _two_colours(rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    is_black_and_white = rng.random() < _BLACK_AND_WHITE_SHARE
    first, second = (np.zeros(3), np.ones(3)) if is_black_and_white else rng.random((2, 3))
    return (first, second) if rng.random() < 0.5 else (second, first)


def _pattern(rng: np.random.Generator, side: int) -> Pixels:
    """Return a checkerboard, stripes, a zone plate, a grating or a ramp in [0, 1]."""
    rows, columns = np.mgrid[:side, :side].astype(np.float64)
    period = int(rng.integers(1, _LONGEST_PERIOD_PX + 1))
    angle = rng.uniform(0, 2 * math.pi)
    along = rows * math.sin(angle) + columns * math.cos(angle)
    shares: Pixels
    match int(rng.integers(5)):
        case 0:
            shares = (rows // period + columns // period) % 2
        case 1:
            shares = (rows if rng.random() < 0.5 else columns) // period % 2
        case 2:
            top, left = rng.uniform(-side, 2 * side, 2)
            squares = (rows - top) ** 2 + (columns - left) ** 2
            shares = _wave(squares * rng.uniform(0.002, math.pi / side))
        case 3:
            shares = _wave(2 * math.pi * rng.uniform(0.02, 0.5) * along)
        case _:
            shares = (along - along.min()) / max(float(np.ptp(along)), 1.0)
    return shares


def _wave(phase: Pixels) -> Pixels:
    wave: Pixels = 0.5 + 0.5 * np.cos(phase)
    return wave


def _figures(rng: np.random.Generator, side: int, ground: Pixels, ink: Pixels) -> Pixels:
    """Return text, or lines and shapes, on a plain ground, ``[3, side, side]``."""
    image = Image.new("RGB", (side, side), _code(ground))
    draw = ImageDraw.Draw(image)
    if rng.random() < 0.5:
        _write(rng, draw, side, _code(ink))
    else:
        for _ in range(int(rng.integers(2, 16))):
            colour = ink if rng.random() < 0.5 else rng.random(3)
            _draw_shape(rng, draw, side, _code(colour))
    codes: Pixels = np.asarray(image, np.float64).transpose(2, 0, 1) / 255
    return codes


def _write(rng: np.random.Generator, draw: Any, side: int, colour: tuple[int, ...]) -> None:
    size = int(rng.integers(8, _LARGEST_LETTERS_PX))
    font = ImageFont.load_default(size)
    for top in range(-int(rng.integers(size)), side, int(1.25 * size)):
        # Written without one letter, which becomes the spaces between words.
        letters = "".join(rng.choice(_LETTERS, 3 * side // size))
        left = -int(rng.integers(size))
        draw.text((left, top), letters.replace("e", " "), fill=colour, font=font)


def _draw_shape(rng: np.random.Generator, draw: Any, side: int, colour: tuple[int, ...]) -> None:
    points = rng.integers(-side // 4, side + side // 4, (3, 2))
    box = [*points[:2].min(axis=0).tolist(), *points[:2].max(axis=0).tolist()]
    width = int(rng.integers(1, 5))
    match int(rng.integers(4)):
        case 0:
            draw.line(points[:2].ravel().tolist(), fill=colour, width=width)
        case 1:
            draw.rectangle(box, fill=colour)
        case 2:
            draw.ellipse(box, outline=colour, width=width)
        case _:
            draw.polygon(points.ravel().tolist(), fill=colour)


def _stars(rng: np.random.Generator, side: int) -> Pixels:
    """Return stars as a lens draws them, most of them faint, on a dark sky, ``[3, side, side]``."""
    count = int(rng.integers(1, max(2, int(_MOST_STARS_PER_PX * side**2))))
    row, column = rng.uniform(0, side, (2, count))
    peak = np.minimum(0.03 * rng.pareto(0.8, count) + 0.03, 1.2)
    width = rng.uniform(0.5, 1.2) * (1 + 0.3 * peak)
    places = np.arange(side)
    vertical = np.exp(-0.5 * ((places[:, None] - row) / width) ** 2)
    across = np.exp(-0.5 * ((places[:, None] - column) / width) ** 2)
    tints = 1 - rng.uniform(0, 0.4, (3, count))
    light = (tints[:, None] * (vertical * peak)) @ across.T
    sky: Pixels = rng.uniform(0, 0.15, 3)[:, None, None] + light
    return sky.clip(0, 1)


def _code(colour: Pixels) -> tuple[int, ...]:
    return tuple(np.rint(255 * colour).astype(int).tolist())
