"""FITS, the format of astronomy: pictures and cubes, by astropy.

Samples are physical values, BSCALE and BZERO applied. Rows are stored from the bottom up unless
ROWORDER says otherwise, which a picture has as its orientation.
"""

import io
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from restore.errors import CorruptImage, OutputError, SeveralPages, UnsupportedImage
from restore.image.codec import CheckSize, SampleEncoding
from restore.image.codecs import ImageFormat
from restore.image.picture import Picture, Transfer, upright_plane
from restore.image.samples import planes, quantised
from restore.image.stack import Stack

__all__ = ["read_fits", "read_fits_stack", "write_fits", "write_fits_stack"]

_INSTALL = "needs astropy: pip install 'imrestore[astronomy]'"
_MOST_PLANES = 65_536
_TOP_DOWN, _BOTTOM_UP = 1, 4
# What the writer states itself, and what no longer holds.
_STRUCTURE = (
    *("SIMPLE", "XTENSION", "BITPIX", "NAXIS", "EXTEND", "PCOUNT", "GCOUNT", "GROUPS"),
    *("BSCALE", "BZERO", "BLANK", "CHECKSUM", "DATASUM", "DATAMIN", "DATAMAX"),
)


def _astropy() -> Any:
    try:
        from astropy.io import fits
    except ImportError:
        return None
    return fits


def read_fits(file: BinaryIO, check_size: CheckSize) -> Picture:
    """Read the first picture of a FITS file: of two axes, or of three with CTYPE3 ``RGB``.

    Raises:
        SeveralPages: it is a cube.
        UnsupportedImage: there is no picture, or astropy is not installed.
        CorruptImage: the file is cut short.
        Exception: whatever astropy raises on damaged data.
    """
    samples, header, left_out = _read(file, check_size)
    if samples.ndim > 2 and not _is_rgb(header):
        count = math.prod(samples.shape[:-2])
        if count > 1:
            raise SeveralPages(f"has {count} planes; split it into single pictures first")
        samples = samples.reshape(samples.shape[-2:])
    if samples.ndim == 3:
        samples = np.moveaxis(samples, 0, -1)
    return _picture(samples, header, left_out)


def read_fits_stack(file: BinaryIO, check_size: CheckSize) -> Stack:
    """Read all planes of a cube.

    Raises:
        UnsupportedImage, CorruptImage, Exception: as ``read_fits``.
    """
    samples, header, left_out = _read(file, check_size)
    shape = samples.shape[:-2]
    each = samples.reshape(-1, *samples.shape[-2:])
    read = tuple(_picture(plane, header, left_out) for plane in each)
    return Stack(planes=read, header=header, shape=shape)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to itself what astropy says of headers that it can read all the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _read(file: BinaryIO, check_size: CheckSize) -> tuple[NDArray[Any], bytes, tuple[str, ...]]:
    """Return samples in the machine's byte order, the header, and what else is in the file."""
    fits = _astropy()
    if fits is None:
        raise UnsupportedImage(f"is FITS, which {_INSTALL}")
    file_size = file.seek(0, io.SEEK_END)
    file.seek(0)
    with _quiet(), fits.open(file, memmap=False, lazy_load_hdus=False) as units:
        pictures = [unit for unit in units if unit.is_image and unit.header.get("NAXIS", 0) >= 2]
        if not pictures:
            raise UnsupportedImage("is FITS without a picture: tables and spectra are not read")
        unit = pictures[0]
        axes = [int(unit.header[f"NAXIS{axis + 1}"]) for axis in range(unit.header["NAXIS"])]
        width, height, *others = axes
        if min(axes) < 1:
            raise CorruptImage("has no pixels")
        if math.prod(others) > _MOST_PLANES:
            raise UnsupportedImage(f"has more than {_MOST_PLANES:,} planes")
        check_size(width, height * math.prod(others), 1)
        stored = math.prod(axes) * abs(int(unit.header["BITPIX"])) // 8
        start = unit.fileinfo()["datLoc"]
        if not isinstance(unit, fits.CompImageHDU) and start + stored > file_size:
            raise CorruptImage("is cut short")
        data = np.asarray(unit.data)
        header = unit.header.tostring().encode("ascii", "replace")
    if data.dtype.kind == "u" and data.dtype.itemsize <= 2:
        samples = data.astype(data.dtype.newbyteorder("="))
    else:
        samples = data.astype(np.float32)
    left_out = (f"{len(units) - 1} other units of the file",) if len(units) > 1 else ()
    return samples, header, left_out


def _is_rgb(header: bytes) -> bool:
    found = _header(header)
    is_named = str(found.get("CTYPE3", "")).strip() == "RGB"
    return is_named and (found.get("NAXIS"), found.get("NAXIS3")) == (3, 3)


def _header(stored: bytes) -> Any:
    return _astropy().Header.fromstring(stored.decode("ascii"))


def _rows_orientation(header: Any) -> int:
    is_top_down = str(header.get("ROWORDER", "")).strip().upper() == "TOP-DOWN"
    return _TOP_DOWN if is_top_down else _BOTTOM_UP


def _picture(samples: NDArray[Any], header: bytes, left_out: tuple[str, ...]) -> Picture:
    is_float = samples.dtype.kind == "f"
    pixels, _ = planes(samples, 1.0 if is_float else float(np.iinfo(samples.dtype).max))
    return Picture(
        pixels=pixels,
        bit_depth=32 if is_float else 8 * samples.dtype.itemsize,
        is_float=is_float,
        transfer=Transfer.LINEAR if is_float else Transfer.SRGB,
        format=ImageFormat.FITS,
        orientation=_rows_orientation(_header(header)),
        notes=header,
        left_out=left_out,
    )


def write_fits(picture: Picture, encoding: SampleEncoding) -> bytes:
    """Encode a picture as FITS, with the header that it came with.

    Args:
        picture: samples in the values to be stored; colour becomes a cube with CTYPE3 ``RGB``.
        encoding: of 8 or 16 bits for integers, 32 for floats.

    Raises:
        OutputError: astropy is not installed.
    """
    data = np.stack([_stored(plane, encoding) for plane in _oriented(picture)])
    is_own = picture.format is ImageFormat.FITS
    is_colour = picture.channels == 3
    header = _kept(picture.notes if is_own else b"")
    if is_colour:
        header["CTYPE3"] = "RGB"
    return _written(data if is_colour else data[0], header)


def write_fits_stack(stack: Stack, strip: bool) -> bytes:
    """Encode a cube as FITS with the header that it came with.

    Args:
        stack: planes in the values to be stored, their rows in the order of the file.
        strip: leave out the header but for the order of rows.

    Raises:
        OutputError: astropy is not installed.
    """
    first = stack.planes[0]
    encoding = SampleEncoding(bit_depth=first.bit_depth, is_float=first.is_float)
    data = np.stack([_stored(plane.pixels[0], encoding) for plane in stack.planes])
    shape = (*stack.shape, first.height, first.width)
    header = _kept(stack.header)
    return _written(data.reshape(shape), _rows_alone(header) if strip else header)


def _oriented(picture: Picture) -> NDArray[np.float32]:
    """Return pixels with rows in the order of the file."""
    is_own = picture.format is ImageFormat.FITS and picture.notes
    order = _rows_orientation(_header(picture.notes)) if is_own else _BOTTOM_UP
    upright = upright_plane(picture.pixels, picture.orientation)
    return upright_plane(upright, order)


def _stored(plane: NDArray[np.float32], encoding: SampleEncoding) -> NDArray[Any]:
    if encoding.is_float:
        return plane
    return quantised(plane, 2**encoding.bit_depth - 1)


def _kept(stored: bytes) -> Any:
    """Return a header without what the writer states.

    Raises:
        OutputError: astropy is not installed.
    """
    fits = _astropy()
    if fits is None:
        raise OutputError(f"FITS {_INSTALL}")
    header = _header(stored) if stored else fits.Header()
    for key in _STRUCTURE:
        header.remove(key, ignore_missing=True, remove_all=True)
    return header


def _rows_alone(header: Any) -> Any:
    """Return a header that says nothing but the order of rows."""
    alone = _astropy().Header()
    if "ROWORDER" in header:
        alone["ROWORDER"] = header["ROWORDER"]
    return alone


def _written(data: NDArray[Any], header: Any) -> bytes:
    buffer = io.BytesIO()
    _astropy().PrimaryHDU(data, header=header).writeto(buffer, output_verify="silentfix")
    return buffer.getvalue()
