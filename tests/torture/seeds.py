"""One whole file of every format that is read, small, to be damaged."""

import io
import struct
from collections.abc import Callable, Container, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms

from restore.image.codecs import ImageFormat
from restore.image.dng import write_cfa_dng, write_linear_dng
from restore.image.dng_metadata import DngMetadata, DngTag
from restore.image.encode import encode
from restore.image.ifd import entry_of
from restore.image.picture import Picture, Transfer
from restore.image.raw_picture import RawPicture

__all__ = ["write_seeds"]

_HEIGHT, _WIDTH = 24, 40
_XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rating>5</rating></x:xmpmeta>'

_Files = Iterator[tuple[str, bytes]]


def write_seeds(folder: Path, kinds: Container[str]) -> dict[str, list[Path]]:
    """Write files into ``folder`` and return them by their kinds, which ``judge.py`` lists.

    Args:
        folder: the folder.
        kinds: the kinds to be written; what runs leave is not known here.
    """
    written: dict[str, list[Path]] = {}
    for kind, files in _KINDS.items():
        for name, data in files() if kind in kinds else ():
            path = folder / kind / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            written.setdefault(kind, []).append(path)
    return written


def _samples(channels: int, dtype: type = np.uint8) -> NDArray[Any]:
    """Return a ramp with noise, ``[H, W, C]``."""
    rng = np.random.default_rng(channels)
    ramp = np.linspace(20, 200, _WIDTH)[None, :, None] + rng.normal(0, 9, (_HEIGHT, 1, channels))
    values = ramp + rng.normal(0, 5, (_HEIGHT, _WIDTH, channels))
    scale = np.iinfo(dtype).max / 255 if np.issubdtype(dtype, np.integer) else 1 / 255
    return (values.clip(0, 255) * scale).astype(dtype)


def _picture(channels: int = 3, *, bit_depth: int = 8, alpha: bool = False) -> Picture:
    """Return a picture with all its metadata."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", 6
    details = exif.get_ifd(0x8769)
    details[0x8827], details[0x829A], details[0x927C] = 6400, (1, 50), b"\x01\x02maker note"
    exif.get_ifd(0x8825).update({1: "N", 2: (46.0, 30.0, 12.5)})
    is_float = bit_depth == 32
    metadata: dict[str, Any] = {
        "exif": exif.tobytes().removeprefix(b"Exif\x00\x00"),
        "xmp": _XMP,
        "orientation": 6,
        "icc": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    }
    pixels = _samples(channels, np.float32).transpose(2, 0, 1)
    return Picture(
        pixels=np.ascontiguousarray(pixels),
        alpha=pixels[0].copy() if alpha else None,
        bit_depth=bit_depth,
        is_float=is_float,
        transfer=Transfer.LINEAR if is_float else Transfer.SRGB,
        **({} if is_float else metadata),
    )


def _pictures() -> _Files:
    yield "gray.png", encode(_picture(1), ImageFormat.PNG)
    yield "deep.png", encode(_picture(3, bit_depth=16, alpha=True), ImageFormat.PNG)
    yield "palette.png", _by_pillow("PNG", mode="P")
    yield "photo.jpg", encode(_picture(), ImageFormat.JPEG)
    yield "gray.jpg", encode(_picture(1), ImageFormat.JPEG)
    yield "progressive.jpg", _by_pillow("JPEG", progressive=True, quality=80)
    yield "lossy.webp", encode(_picture(), ImageFormat.WEBP, quality=80)
    yield "lossless.webp", encode(_picture(alpha=True), ImageFormat.WEBP, quality=100)
    yield "photo.avif", encode(_picture(), ImageFormat.AVIF)
    yield "photo.heic", encode(_picture(), ImageFormat.HEIC)
    yield "deep.heic", encode(_picture(bit_depth=10, alpha=True), ImageFormat.HEIC)
    yield "lossy.jxl", encode(_picture(), ImageFormat.JXL, quality=80)
    yield "deep.jxl", encode(_picture(bit_depth=16, alpha=True), ImageFormat.JXL)
    yield "float.jxl", encode(_picture(bit_depth=32), ImageFormat.JXL)
    yield "deep.jp2", imagecodecs.jpeg2k_encode(_samples(3, np.uint16), codecformat="jp2")
    yield "photo.j2k", imagecodecs.jpeg2k_encode(_samples(3, np.uint8), codecformat="j2k", level=30)
    yield "photo.bmp", _by_pillow("BMP")
    yield "palette.bmp", _by_pillow("BMP", mode="P")
    yield "photo.ppm", encode(_picture(), ImageFormat.PPM)
    yield "deep.pgm", encode(_picture(1, bit_depth=16), ImageFormat.PPM)
    yield "plain.ppm", _plain_ppm()
    yield "half.exr", encode(_picture(bit_depth=32), ImageFormat.EXR, bit_depth=16)
    yield "float.exr", encode(_picture(bit_depth=32, alpha=True), ImageFormat.EXR, bit_depth=32)
    yield "light.hdr", encode(_picture(bit_depth=32), ImageFormat.HDR)
    yield "photo.tif", encode(_picture(), ImageFormat.TIFF)
    yield "deep.tif", encode(_picture(bit_depth=16, alpha=True), ImageFormat.TIFF)
    yield "float.tif", encode(_picture(bit_depth=32), ImageFormat.TIFF)
    yield from _tiffs()


def _by_pillow(name: str, *, mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(_samples(3)).convert(mode).save(buffer, name, **options)
    return buffer.getvalue()


def _plain_ppm() -> bytes:
    numbers = " ".join(map(str, _samples(3)[:4, :4].ravel()))
    return f"P3\n# plain\n4 4\n255\n{numbers}\n".encode()


def _tiffs() -> _Files:
    colour: dict[str, Any] = {"photometric": "rgb", "rowsperstrip": 8}
    for name, samples, options in (
        ("lzw.tif", _samples(3), colour | {"compression": "lzw", "predictor": True}),
        ("zstd.tif", _samples(3, np.uint16), colour | {"compression": "zstd"}),
        ("packbits.tif", _samples(3), colour | {"compression": "packbits"}),
        ("tiles.tif", _samples(3), colour | {"tile": (16, 16), "compression": "deflate"}),
        ("jpeg.tif", _samples(3), colour | {"compression": "jpeg"}),
        ("big.tif", _samples(3, np.uint16), colour | {"bigtiff": True, "byteorder": ">"}),
        ("half.tif", _samples(1, np.float16)[..., 0], {"compression": "deflate", "predictor": 3}),
        (
            "planes.tif",
            _samples(3).transpose(2, 0, 1).copy(),
            {"planarconfig": "separate"} | colour,
        ),
    ):
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, samples, **options)
        yield name, buffer.getvalue()
    fax = io.BytesIO()
    Image.fromarray(_samples(1)[..., 0] > 99).save(fax, "TIFF", compression="group4")
    yield "group4.tif", fax.getvalue()


def _raws() -> _Files:
    rng = np.random.default_rng(0)
    raw = RawPicture(
        mosaic=rng.uniform(512, 9000, (96, 132)).astype(np.uint16),
        cfa=np.array([[0, 1], [3, 2]], dtype=np.uint8),
        black_level=(512.0, 512.0, 512.0, 512.0),
        white_level=15512.0,
        white_balance=(2.1, 1.0, 1.6),
        xyz_to_camera=np.array([[0.8, -0.2, -0.1], [-0.5, 1.3, 0.2], [-0.1, 0.2, 0.7]], np.float32),
    )
    yield "mosaic.dng", write_cfa_dng(raw)
    opcode = struct.pack(">IIIII", 1, 9, 0x01030000, 0, 4) + b"gain"
    said = {
        DngTag.COLOR_MATRIX[0]: entry_of(
            10, [0.8, -0.2, -0.1, -0.5, 1.3, 0.2, -0.1, 0.2, 0.7], "<"
        ),
        DngTag.BASELINE_EXPOSURE: entry_of(10, [0.35], "<"),
        DngTag.ACTIVE_AREA: entry_of(4, [4, 6, 100, 138], "<"),
        DngTag.OPCODE_LISTS[0]: entry_of(7, opcode, "<"),
        DngTag.NOISE_PROFILE: entry_of(12, [1e-4, 1e-7], "<"),
    }
    exif = _picture().exif
    converted = replace(
        raw, default_crop=(4, 6, 80, 120), exif=exif, xmp=_XMP, dng=DngMetadata(tags=said)
    )
    yield "converted.dng", write_cfa_dng(converted)
    yield "monochrome.dng", write_cfa_dng(replace(raw, cfa=np.array([[1]], dtype=np.uint8)))
    yield "lossless.dng", _lossless_dng(raw)


def _linears() -> _Files:
    linear = np.random.default_rng(0).uniform(0, 2, (3, 48, 64)).astype(np.float32)
    raw = RawPicture(
        mosaic=np.zeros((48, 64), np.uint16),
        cfa=np.array([[0, 1], [3, 2]], dtype=np.uint8),
        black_level=(512.0, 512.0, 512.0, 512.0),
        white_level=15512.0,
        exif=_picture().exif,
    )
    yield "linear.dng", write_linear_dng(linear, raw)
    yield "floats.dng", write_linear_dng(linear, raw, as_float=True)


def _lossless_dng(raw: RawPicture) -> bytes:
    """Return a DNG whose mosaic is compressed as cameras do it, as lossless JPEG."""
    stored = imagecodecs.ljpeg_encode(raw.mosaic, bitspersample=16)
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        iter([stored]),
        shape=raw.mosaic.shape,
        dtype=np.uint16,
        photometric=32803,
        compression=7,
        extratags=[
            (33421, 3, 2, (2, 2), True),
            (33422, 1, 4, bytes((0, 1, 1, 2)), True),
            (50706, 1, 4, bytes((1, 4, 0, 0)), True),
            (50708, 2, 0, "Camera", True),
        ],
    )
    return buffer.getvalue()


def _weights() -> _Files:
    from networks import write_detector, write_network

    with TemporaryDirectory() as folder:
        for name, write in (("denoiser", write_network), ("detector", write_detector)):
            path = Path(folder, f"{name}.safetensors")
            write(path)
            yield path.name, path.read_bytes()


def _foreign() -> _Files:
    """Checkpoints of others: KAIR, old and new formats of PyTorch; Metzler; MatConvNet."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    stack = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 1, 3))
    state = {f"model.{key}": tensor for key, tensor in stack.state_dict().items()}
    for name, is_zip in (("kair.pth", True), ("old.pth", False)):
        buffer = io.BytesIO()
        torch.save(state, buffer, _use_new_zipfile_serialization=is_zip)
        yield name, buffer.getvalue()
    yield "metzler.npz", _metzler()
    yield "matconvnet.mat", _matconvnet()


def _metzler() -> bytes:
    """Return a network as Metzler et al. publish theirs: 60 arrays without names."""
    from restore.models.hdr_unet import HdrUNet, HdrUNetConfig

    state = HdrUNet(HdrUNetConfig(width=1)).state_dict()
    convolution, norm = ("weight", "bias"), ("bias", "weight", "running_mean", "running_var")
    layers = [(f"encoder.{n}.{layer}", convolution) for n in range(5) for layer in (0, 2)]
    for n in range(4):
        layers += [(f"up.{n}.0", convolution), (f"up.{n}.1", norm), (f"fuse.{n}", convolution)]
    layers += [("tail.0", convolution), ("tail.1", norm), ("last", convolution)]
    arrays = [state[f"{layer}.{part}"].numpy() for layer, parts in layers for part in parts]
    values = np.empty(len(arrays), dtype=object)
    values[:] = [a.transpose(2, 3, 1, 0).copy() if a.ndim == 4 else a for a in arrays]
    buffer = io.BytesIO()
    np.savez(buffer, params=values)
    return buffer.getvalue()


def _matconvnet() -> bytes:
    from scipy.io import savemat

    def cell(values: list[Any]) -> NDArray[np.object_]:
        made = np.empty((1, len(values)), dtype=object)
        made[0] = values
        return made

    def convolution(inputs: int, outputs: int) -> dict[str, Any]:
        kernel = rng.normal(0, 0.3, (3, 3, inputs, outputs)).astype(np.float32)
        bias = np.zeros((1, outputs), np.float32)
        weights = cell([kernel[..., 0] if outputs == 1 else kernel, bias])
        return {"type": "conv", "weights": weights, "pad": 1.0, "stride": 1.0}

    rng = np.random.default_rng(0)
    layers = [convolution(1, 4), {"type": "relu"}, convolution(4, 1)]
    buffer = io.BytesIO()
    savemat(buffer, {"net": {"layers": cell(layers)}})
    return buffer.getvalue()


def _psfs() -> _Files:
    axis = np.arange(-4, 5)
    light = np.exp(-(axis[:, None] ** 2 + axis**2) / 4.0).astype(np.float32)
    for name, arrays in (
        ("metzler.npz", {"psf_val": np.repeat(light[..., None, None], 3, axis=3)}),
        ("one.npz", {"psf": light}),
    ):
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        yield name, buffer.getvalue()
    plain = io.BytesIO()
    np.save(plain, light)
    yield "plain.npy", plain.getvalue()


_KINDS: dict[str, Callable[[], _Files]] = {
    "picture": _pictures,
    "raw": _raws,
    "linear": _linears,
    "weights": _weights,
    "verified": _weights,
    "foreign": _foreign,
    "psf": _psfs,
}
