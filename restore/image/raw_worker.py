"""The child process that reads RAW files; run as a script, so that it imports next to nothing.

Requests are lines of JSON on standard input. Each is answered on standard output by the length of
a JSON header (eight bytes, little-endian), the header, and the mosaic's samples if there is one. A
request holds the path, and either that only the size is asked for, or the most pixels that may be
read, the look (None for the mosaic, "linear" for the linear RGB of a file without one) and the
active area of a mosaic where the file states one: top, left, bottom, right.
"""

import contextlib
import ctypes
import json
import math
import os
import signal
import struct
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import rawpy

_LOOKS: dict[str, dict[str, Any]] = {
    "libraw": {},
    "srgb": {"gamma": (2.4, 12.92)},
    "photo": {"gamma": (2.4, 12.92), "adjust_maximum_thr": 0},
    "camera": {"gamma": (1, 1), "output_color": rawpy.ColorSpace.raw, "adjust_maximum_thr": 0},
    "unclipped": {
        "gamma": (1, 1),
        "output_color": rawpy.ColorSpace.raw,
        "adjust_maximum_thr": 0,
        "highlight_mode": rawpy.HighlightMode.Ignore,
    },
}
_LINEAR = "linear"
_COLOURS = {"R": 0, "G": 1, "B": 2}
_EPOCH_YEAR = 1970  # stands for a date that is not known
_UNKNOWN = "is no RAW file of a known camera"
# LibRaw's bits of a turn: mirrored left to right, mirrored top to bottom, transposed.
_ORIENTATIONS = (1, 2, 4, 3, 5, 8, 6, 7)

# To parse a file, and to decode it: what LibRaw was seen to take, several times over. The stacks of
# its threads count as memory.
_OPENING_BYTES, _OPENING_S = (256 << 20) + (16 << 20) * (os.cpu_count() or 1), 10.0
_READING_BYTES, _READING_S = 24, 2e-6  # per pixel
_DEVELOPING_BYTES, _DEVELOPING_S = 64, 20e-6
_MOST_PIXELS_PER_BYTE = 512
"""The best of the compressions in RAW files, deflate, makes 512 samples of 16 bits of one byte."""

_PR_SET_PDEATHSIG = 1


class _Refused(Exception):
    """The file is whole, but of a kind that is not read."""


class _TooLarge(Exception):
    """More pixels than the limit allows."""


def main() -> None:
    """Answer requests until standard input ends, or the parent does."""
    _end_with(parent=int(sys.argv[1]))
    # LibRaw may print to standard output: it is redirected, and answers go to a duplicate of it.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    for line in sys.stdin:
        header, samples = _answer(json.loads(line))
        encoded = json.dumps(header).encode()
        answers.write(struct.pack("<Q", len(encoded)) + encoded)
        answers.write(samples)
        answers.flush()
        del samples


def _answer(request: dict[str, Any]) -> tuple[dict[str, Any], bytes | memoryview]:
    try:
        if request.get("only") == "size":
            return _size(request)
        return (_read if request["look"] in (None, _LINEAR) else _develop)(request)
    except _Refused as error:
        return {"error": "unsupported", "message": str(error)}, b""
    except _TooLarge as error:
        return {"error": "large", "message": str(error)}, b""
    except MemoryError:
        return {"error": "corrupt", "message": "needs too much memory"}, b""
    except rawpy.LibRawIOError:  # of a file, not of the disk
        return {"error": "corrupt", "message": "is damaged or cut short"}, b""
    except rawpy.LibRawFileUnsupportedError:
        return {"error": "unsupported", "message": _UNKNOWN}, b""
    except Exception as error:  # of LibRaw, of rawpy, or for values that no camera writes
        reason = error.args[0] if error.args else type(error).__name__
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        return {"error": "corrupt", "message": f"is damaged ({text:.120})"}, b""


def _end_with(parent: int) -> None:
    """End this process when ``parent`` ends, also in the middle of a file."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it has ended already
            sys.exit()
    elif sys.platform != "win32":
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


def _limit(most_bytes: int, seconds: float) -> None:
    """Limit the memory and the processor time that this process may take from now on."""
    with contextlib.suppress(ImportError):  # not on Windows
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        cpu = math.ceil(used.ru_utime + used.ru_stime + seconds)
        for kind, value in (
            (resource.RLIMIT_AS, _address_space() + most_bytes),
            (resource.RLIMIT_CPU, cpu),
        ):
            _, hard = resource.getrlimit(kind)
            most = value if hard == resource.RLIM_INFINITY else min(value, hard)
            with contextlib.suppress(ValueError, OSError):  # systems that do not know the limit
                resource.setrlimit(kind, (most, hard))


def _address_space() -> int:
    """Return the bytes of address space in use."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # not Linux: with room for what Python and its modules take
        return 2 << 30


@contextlib.contextmanager
def _opened(path: str) -> Iterator[rawpy.RawPy]:
    """Open a file of which no samples are read yet."""
    size = os.stat(path).st_size
    _limit(_OPENING_BYTES + 2 * size, _OPENING_S)
    with contextlib.ExitStack() as stack:
        raw = stack.enter_context(rawpy.RawPy())
        try:
            raw.open_file(path)
        except UnicodeEncodeError:  # rawpy passes on names in UTF-8 only
            raw.open_buffer(stack.enter_context(open(path, "rb")))
        if raw.sizes.raw_width * raw.sizes.raw_height > _MOST_PIXELS_PER_BYTE * size:
            raise ValueError("it is too short for its pixels")
        yield raw


def _size(request: dict[str, Any]) -> tuple[dict[str, Any], bytes | memoryview]:
    with _opened(request["path"]) as raw:
        sizes = raw.sizes
        return {"shape": (0,), "width": sizes.raw_width, "height": sizes.raw_height}, b""


@contextlib.contextmanager
def _unpacked(request: dict[str, Any]) -> Iterator[rawpy.RawPy]:
    with _opened(request["path"]) as raw:
        pixels = raw.sizes.raw_width * raw.sizes.raw_height
        if pixels > request["max_pixels"]:  # the file is another than the one that was measured
            raise _TooLarge(f"{raw.sizes.raw_width}x{raw.sizes.raw_height}")
        per_pixel = (
            (_DEVELOPING_BYTES, _DEVELOPING_S) if request["look"] else (_READING_BYTES, _READING_S)
        )
        size = os.stat(request["path"]).st_size
        _limit(_OPENING_BYTES + size + per_pixel[0] * pixels, _OPENING_S + per_pixel[1] * pixels)
        raw.unpack()
        yield raw


def _develop(request: dict[str, Any]) -> tuple[dict[str, Any], bytes | memoryview]:
    """Return LibRaw's own picture ``[H, W, 3]``, 16 bits, as it lies on the sensor."""
    with _unpacked(request) as raw:
        samples = raw.postprocess(
            **_LOOKS[request["look"]],
            use_camera_wb=True,
            no_auto_bright=True,
            output_bps=16,
            user_flip=0,
        )
    # LibRaw's own memory is free by now.
    return {"shape": samples.shape}, samples.data


def _read(request: dict[str, Any]) -> tuple[dict[str, Any], bytes | memoryview]:
    """Return the mosaic, or linear RGB, and what LibRaw knows of the file."""
    with _unpacked(request) as raw:
        is_linear = request["look"] == _LINEAR
        if (raw.raw_type == rawpy.RawType.Flat) == is_linear:
            raise _Refused("holds a mosaic" if is_linear else "holds no mosaic")
        top, left, bottom, right = _visible(raw, request.get("area"))
        samples = raw.raw_image_visible[..., :3] if is_linear else raw.raw_image
        samples = samples if is_linear else samples[top:bottom, left:right]
        samples = np.array(samples, dtype=np.uint16, order="C")
        sizes, other = raw.sizes, raw.other
        header = {
            "shape": samples.shape,
            "cfa": [] if is_linear else _pattern(raw, top, left),
            "black_level": [float(level) for level in raw.black_level_per_channel],
            "white_level": float(raw.white_level),
            "white_balance": [float(factor) for factor in raw.camera_whitebalance],
            "daylight_balance": [float(factor) for factor in raw.daylight_whitebalance],
            "xyz_to_camera": raw.rgb_xyz_matrix[:3].tolist(),
            "camera_to_srgb": raw.color_matrix[:, :3].tolist(),
            "crop": [
                sizes.crop_top_margin - top,
                sizes.crop_left_margin - left,
                sizes.crop_height,
                sizes.crop_width,
            ],
            "pixel_aspect": float(sizes.pixel_aspect),
            "orientation": _ORIENTATIONS[int(sizes.flip) & 7],
            "exposure_time_s": float(other.shutter_speed),
            "iso": float(other.iso_speed),
            "aperture": float(other.aperture),
            "focal_length_mm": float(other.focal_length),
            "lens": str(raw.lens.model),
            "taken": str(other.timestamp) if other.timestamp.year > _EPOCH_YEAR else "",
        }
        return header, samples.data


def _visible(raw: rawpy.RawPy, area: list[int] | None) -> tuple[int, int, int, int]:
    """Return top, left, bottom and right of what is seen, as the file has it.

    LibRaw leaves out a row or a column of a DNG whose active area begins at an odd place.
    """
    sizes = raw.sizes
    top, left = sizes.top_margin, sizes.left_margin
    seen = top, left, top + sizes.height, left + sizes.width
    if area is None or not _is_near(seen, area):
        return seen
    top, left, bottom, right = area
    return top, left, min(bottom, sizes.raw_height), min(right, sizes.raw_width)


def _is_near(seen: tuple[int, int, int, int], area: list[int]) -> bool:
    """Whether an area is LibRaw's but for what makes its margins even."""
    return all(abs(ours - theirs) <= 1 for ours, theirs in zip(seen, area, strict=True))


def _pattern(raw: rawpy.RawPy, top: int, left: int) -> list[list[int]]:
    """Return the colour filters over the first visible pixels."""
    pattern = raw.raw_pattern
    if raw.num_colors == 1 and pattern is not None and pattern.shape == (1, 1):
        return [[_COLOURS["G"]]]
    colours = [_COLOURS.get(letter) for letter in raw.color_desc.decode("latin-1")]
    if None in colours or pattern is None or pattern.shape not in ((2, 2), (6, 6)):
        raise _Refused("has a colour filter that is neither Bayer nor X-Trans")
    side = pattern.shape[0]
    seen = np.array([[raw.raw_color(top + y, left + x) for x in range(12)] for y in range(12)])
    first = seen[:side, :side]
    if not np.array_equal(seen, np.tile(first, (12 // side, 12 // side))):
        # As of Fuji's Super CCD, whose rows and columns are turned by 45 degrees.
        raise _Refused("has a colour filter that does not repeat as Bayer and X-Trans do")
    return [[int(colour) for colour in row] for row in first]


if __name__ == "__main__":
    main()
