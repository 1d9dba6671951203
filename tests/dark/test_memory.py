"""Writing a large RAW file's picture takes little beside the samples that the network made."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="peaks are read from Linux's /proc"
)

MOST_BYTES_PER_PIXEL = {"png": 34, "dng": 42}
"""Of noise that cannot be compressed, above the 12 that the network's result has."""

MEASURE = """
from pathlib import Path
import numpy as np
import restore
from restore.dark.enhanced import Enhanced
from restore.image.codecs import ImageFormat

HEIGHT, WIDTH = 1400, 2112
FORMS = [ImageFormat(name) for name in ("png", "dng")]


def enhanced(height, width):
    rng = np.random.default_rng(0)
    raw = restore.RawPicture(
        mosaic=rng.integers(512, 9000, (height, width), np.uint16),
        cfa=np.array([[0, 1], [3, 2]], np.uint8),
        black_level=(512, 512, 512, 512),
        white_level=16383,
        white_balance=(2.0, 1.0, 1.5),
        orientation=6,
        default_crop=(8, 12, height - 16, width - 24),
    )
    return Enhanced(
        colour=rng.random((3, height, width), dtype=np.float32),
        raw=raw,
        gains=np.array([2.0, 1.0, 1.5], np.float32),
        ratio=3.0,
        to_srgb=np.eye(3, dtype=np.float32),
    )


def bytes_of(name):
    with open("/proc/self/status") as file:
        fields = dict(line.split(":") for line in file)
    return 1024 * int(fields[name].split()[0])


small, large = enhanced(64, 64), enhanced(HEIGHT, WIDTH)
for form in FORMS:
    small.encoded(form)
for form in FORMS:
    Path("/proc/self/clear_refs").write_text("5")
    before = bytes_of("VmRSS")
    data = large.encoded(form)
    print(form, (bytes_of("VmHWM") - before) / (HEIGHT * WIDTH))
    del data
"""


def test_writing_a_large_picture_takes_little_beside_its_samples() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    taken = {name: float(share) for name, share in map(str.split, done.stdout.splitlines())}
    assert taken.keys() == MOST_BYTES_PER_PIXEL.keys()
    assert all(taken[name] < most for name, most in MOST_BYTES_PER_PIXEL.items()), taken
