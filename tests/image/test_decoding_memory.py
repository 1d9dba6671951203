"""Decoding takes little more than the picture and its samples as the file has them."""

import subprocess
import sys
from pathlib import Path

import pytest

MOST_BYTES_PER_PIXEL = 12
"""Above the picture itself, four bytes a sample."""
MOST_BYTES = 40 << 20
"""Of decoders, whatever the picture's size; the promise to users is 300 MB."""

MEASURE = """
import io
import sys
from pathlib import Path
import numpy as np
import tifffile
from PIL import Image
from restore.image.codec import SampleEncoding
from restore.image.decode import decode
from restore.image.exr import write_exr
from restore.image.picture import Picture, Transfer
from restore.image.png import write_png
from restore.image.pnm import write_pnm
from restore.image.rgbe import write_rgbe

HEIGHT, WIDTH = 1600, 2500
rng = np.random.default_rng(0)


def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))


def samples(channels, dtype):
    most = np.iinfo(dtype).max
    array = rng.integers(0, most, (HEIGHT, WIDTH, channels), dtype, endpoint=True)
    return array[..., 0] if channels == 1 else array


def pillow(mode, kind, **options):
    file = io.BytesIO()
    soft = (samples(3, np.uint8) >> 3) + np.uint8(100)
    Image.fromarray(soft).convert(mode).save(file, kind, **options)
    return file.getvalue()


def tiff(channels, dtype, **options):
    file = io.BytesIO()
    settings = {"photometric": "rgb" if channels > 2 else "minisblack"}
    if channels in (2, 4):
        settings["extrasamples"] = ["unassalpha"]
    tifffile.imwrite(file, samples(channels, dtype), **settings, **options)
    return file.getvalue()


def light(write, bits):
    pixels = rng.random((3, HEIGHT, WIDTH), dtype=np.float32)
    picture = Picture(pixels=pixels, transfer=Transfer.LINEAR, is_float=True, bit_depth=32)
    return write(picture, SampleEncoding(bit_depth=bits, is_float=True))


def whole(write, channels, bits, alpha=False):
    pixels = rng.random((channels, HEIGHT, WIDTH), dtype=np.float32)
    opacity = pixels[0] if alpha else None
    return write(Picture(pixels=pixels, alpha=opacity), SampleEncoding(bit_depth=bits))


def measured(name, data):
    path = Path(sys.argv[1])
    path.write_bytes(data)
    del data
    Path("/proc/self/clear_refs").write_text("5")
    before = peak()
    picture = decode(path)
    alpha = 0 if picture.alpha is None else picture.alpha.nbytes
    above = peak() - before - picture.pixels.nbytes - alpha
    print(name, above, HEIGHT * WIDTH)


decode(Path(sys.argv[2]))
for bits in (8, 16):
    for channels, alpha in ((1, False), (3, False), (3, True)):
        measured(f"png-{bits}-{channels}-{alpha}", whole(write_png, channels, bits, alpha))
    measured(f"ppm-{bits}", whole(write_pnm, 3, bits))
for dtype in (np.uint8, np.uint16):
    for channels in (1, 3, 4):
        name = f"tiff-{np.dtype(dtype).name}-{channels}"
        measured(name, tiff(channels, dtype, rowsperstrip=64))
        measured(name + "-deflate", tiff(channels, dtype, compression="deflate", tile=(256, 256)))
measured("bmp", pillow("RGB", "BMP"))
measured("jpeg-gray", pillow("L", "JPEG"))
measured("jpeg", pillow("RGB", "JPEG"))
measured("jpeg-progressive", pillow("RGB", "JPEG", progressive=True, subsampling=0))
measured("webp", pillow("RGB", "WEBP", method=0))
measured("webp-alpha", pillow("RGBA", "WEBP", method=0))
measured("avif", pillow("RGB", "AVIF", speed=10))
measured("palette", pillow("P", "PNG", compress_level=1))
measured("exr-half", light(write_exr, 16))
measured("exr-float", light(write_exr, 32))
measured("hdr", light(write_rgbe, 32))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak cannot be reset")
def test_decoding_takes_at_most_12_bytes_a_pixel_above_the_picture(
    tmp_path: Path, data: Path
) -> None:
    path = tmp_path / "picture"
    command = [sys.executable, "-c", MEASURE, str(path), str(data / "casa-mila.png")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) == 31
    above = {name: (int(taken) - MOST_BYTES) / int(pixels) for name, taken, pixels in lines}
    assert {name: each for name, each in above.items() if each > MOST_BYTES_PER_PIXEL} == {}
