"""The child process that reads RAW files; run as a script, so that it imports next to nothing.

Requests are lines of JSON on standard input. Each is answered on standard output by the length of
a JSON header (eight bytes, little-endian), the header, and the mosaic's samples if there is one.
"""

import contextlib
import json
import os
import struct
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import rawpy

_LOOKS: dict[str, dict[str, Any]] = {
    "libraw": {},
    "srgb": {"gamma": (2.4, 12.92)},
    "camera": {"gamma": (1, 1), "output_color": rawpy.ColorSpace.raw, "adjust_maximum_thr": 0},
}
_COLOURS = {"R": 0, "G": 1, "B": 2}
_EPOCH_YEAR = 1970  # stands for a date that is not known
_UNKNOWN = "is no RAW file of a known camera; for finished pictures there is `imrestore denoise`"
_ORIENTATIONS = {0: 1, 3: 3, 5: 8, 6: 6}


class _Refused(Exception):
    """The file is whole, but of a kind that is not read."""


class _TooLarge(Exception):
    """More pixels than the limit allows."""


def main() -> None:
    """Answer requests until standard input ends."""
    # LibRaw may print to standard output: it is redirected, and answers go to a duplicate of it.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        _limit_memory(request["max_bytes"])
        header: dict[str, Any]
        samples = b""
        try:
            read = _develop if request["look"] else _read
            header, samples = read(request)
        except _Refused as error:
            header = {"error": "unsupported", "message": str(error)}
        except _TooLarge as error:
            header = {"error": "large", "message": str(error)}
        except MemoryError:
            header = {"error": "corrupt", "message": "needs too much memory"}
        except rawpy.LibRawFileUnsupportedError:
            header = {"error": "unsupported", "message": _UNKNOWN}
        except rawpy.LibRawError as error:
            reason = error.args[0] if error.args else type(error).__name__
            text = reason.decode() if isinstance(reason, bytes) else str(reason)
            header = {"error": "corrupt", "message": f"is damaged ({text})"}
        encoded = json.dumps(header).encode()
        answers.write(struct.pack("<Q", len(encoded)) + encoded)
        answers.write(samples)
        answers.flush()


def _limit_memory(most_bytes: int) -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):  # not on Windows
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (most_bytes, resource.RLIM_INFINITY))


@contextlib.contextmanager
def _opened(request: dict[str, Any]) -> Iterator[rawpy.RawPy]:
    with contextlib.ExitStack() as stack:
        raw = stack.enter_context(rawpy.RawPy())
        try:
            raw.open_file(request["path"])
        except UnicodeEncodeError:  # rawpy passes on names in UTF-8 only
            raw.open_buffer(stack.enter_context(open(request["path"], "rb")))
        sizes = raw.sizes
        if sizes.raw_width * sizes.raw_height > request["max_pixels"]:
            raise _TooLarge(f"{sizes.raw_width}x{sizes.raw_height}")
        raw.unpack()
        yield raw


def _develop(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Return LibRaw's own picture, 16 bits, as it lies on the sensor."""
    with _opened(request) as raw:
        samples = raw.postprocess(
            **_LOOKS[request["look"]],
            use_camera_wb=True,
            no_auto_bright=True,
            output_bps=16,
            user_flip=0,
        )
        planes = np.ascontiguousarray(samples.transpose(2, 0, 1), dtype=np.uint16)
        return {"shape": planes.shape}, planes.tobytes()


def _read(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    with _opened(request) as raw:
        sizes = raw.sizes
        pattern = raw.raw_pattern
        if raw.raw_type != rawpy.RawType.Flat or pattern is None:
            raise _Refused("holds no mosaic (Foveon, linear DNG or already demosaicked)")
        colours = [_COLOURS.get(letter) for letter in raw.color_desc.decode("latin-1")]
        if None in colours or pattern.shape not in ((2, 2), (6, 6)):
            raise _Refused("has a colour filter that is neither Bayer nor X-Trans")
        mosaic = np.ascontiguousarray(raw.raw_image_visible, dtype=np.uint16)
        side = pattern.shape[0]
        cfa = [
            [int(raw.raw_color(sizes.top_margin + y, sizes.left_margin + x)) for x in range(side)]
            for y in range(side)
        ]
        other = raw.other
        header = {
            "shape": mosaic.shape,
            "cfa": cfa,
            "black_level": [float(level) for level in raw.black_level_per_channel],
            "white_level": float(raw.white_level),
            "white_balance": [float(factor) for factor in raw.camera_whitebalance],
            "daylight_balance": [float(factor) for factor in raw.daylight_whitebalance],
            "xyz_to_camera": raw.rgb_xyz_matrix[:3].tolist(),
            "camera_to_srgb": raw.color_matrix[:, :3].tolist(),
            "orientation": _ORIENTATIONS.get(int(sizes.flip), 1),
            "exposure_time_s": float(other.shutter_speed),
            "iso": float(other.iso_speed),
            "aperture": float(other.aperture),
            "focal_length_mm": float(other.focal_length),
            "lens": str(raw.lens.model),
            "taken": str(other.timestamp) if other.timestamp.year > _EPOCH_YEAR else "",
        }
        return header, mosaic.tobytes()


if __name__ == "__main__":
    main()
