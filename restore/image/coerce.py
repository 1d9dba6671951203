"""Converting whatever a caller passes as an image to a Picture, and results back to its type.

PyTorch and Pillow are imported only if the caller passes one of their objects.
"""

import sys
from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from restore.errors import CorruptImage, UnsupportedImage
from restore.image.picture import Picture
from restore.image.samples import planes, stored_samples

if TYPE_CHECKING:
    import torch
    from PIL import Image

__all__ = ["ImageLike", "as_picture", "as_pictures", "like"]

ImageLike: TypeAlias = "Picture | str | PathLike[str] | Image.Image | NDArray[Any] | torch.Tensor"
"""What every public function takes as an image.

- ``Picture``
- str or path: a file that ``decode`` reads
- PIL image of mode 1, L, LA, P, RGB, RGBA, I;16 or F (floats in [0, 1])
- array ``[H, W]``, ``[H, W, 1]`` or ``[H, W, 3]`` of uint8, uint16 or floats in [0, 1]
- float tensor ``(1 or 3, H, W)`` or ``(B, 1 or 3, H, W)`` in [0, 1]

Arrays, tensors and PIL images are taken to be sRGB-encoded.
"""

_KINDS = "give a Picture, a path, a PIL image, a numpy array or a torch tensor"
_ARRAYS = "give uint8, uint16 or floats in [0, 1], [H, W] or [H, W, C] with 1 or 3 channels"
_TENSORS = "give floats in [0, 1], (C, H, W) or (B, C, H, W) with 1 or 3 channels"
_PIL_DEPTHS = {"1": 8, "L": 8, "LA": 8, "P": 8, "RGB": 8, "RGBA": 8, "I;16": 16, "F": 32}

_MEANS = (-0.5, 1.5)
_MOST = 16.0
"""Largest value accepted for noisy floats in [0, 1]; floats in 0..255 exceed it unless black."""


def as_picture(image: ImageLike, name: str = "image") -> Picture:
    """Return ``image`` as a single picture.

    Args:
        image: Image of any supported type, see ``ImageLike``; a batch must hold one picture.
        name: Name of the image in error messages.

    Raises:
        UnsupportedImage: the type, shape, dtype or range is not supported, or there are no pixels.
        InputError: the file cannot be read; see ``decode``.
    """
    pictures = as_pictures(image, name)
    if len(pictures) > 1:
        raise UnsupportedImage(f"{name}: a batch of {len(pictures)} pictures: give one at a time")
    return pictures[0]


def as_pictures(image: ImageLike, name: str = "image") -> list[Picture]:
    """Return the pictures of ``image``: one, or those of a batch.

    Raises:
        UnsupportedImage, InputError: as ``as_picture``.
    """
    if isinstance(image, Picture):
        if not image.pixels.size:
            raise UnsupportedImage(f"{name}: a Picture without pixels")
        return [image]
    if isinstance(image, np.ndarray):
        return [_from_array(image, name)]
    if _is_tensor(image):
        return _from_tensor(cast("torch.Tensor", image), name)
    if _is_pil(image):
        return [_from_pil(cast("Image.Image", image), name)]
    if isinstance(image, str | PathLike) and isinstance(path := fspath(image), str):
        # Readers of files are imported with the first file.
        from restore.image.decode import decode

        return [decode(Path(path))]
    advice = "decode them with restore.decode, or " if isinstance(image, bytes) else ""
    raise UnsupportedImage(f"{name}: is {_described(image)}; {advice}{_KINDS}")


def like(image: ImageLike, results: Sequence[Picture]) -> Any:
    """Return ``results``, made from ``as_pictures(image)``, in the type of ``image``.

    Integer samples are rounded and clipped, floats of arrays and tensors clipped to [0, 1]; NaN
    stays where it was. Tensors come back on their device. A path gives a ``Picture``. PIL images
    keep their ``info``; those of mode 1 come back as L, those of mode P as RGB or RGBA.
    """
    if isinstance(image, np.ndarray):
        return _to_array(image, results[0])
    if _is_tensor(image):
        return _to_tensor(cast("torch.Tensor", image), results)
    if _is_pil(image):
        return _to_pil(cast("Image.Image", image), results[0])
    return results[0]


def _from_array(image: NDArray[Any], name: str) -> Picture:
    values = np.asarray(image)
    channelled = values[..., None] if values.ndim == 2 else values
    integer = values.dtype.kind == "u" and values.dtype.itemsize <= 2
    if (
        channelled.ndim != 3
        or channelled.shape[2] not in (1, 3)
        or not (integer or values.dtype.kind == "f")
        or not values.size
    ):
        raise UnsupportedImage(
            f"{name}: a {values.dtype} array of shape {list(values.shape)}{_hint(values)}; "
            f"{_ARRAYS}"
        )
    if not integer:
        _check_floats(values, name)
    peak = np.float32(np.iinfo(values.dtype).max if integer else 1)
    pixels = np.ascontiguousarray(channelled.transpose(2, 0, 1), dtype=np.float32) / peak
    depth = 8 * values.dtype.itemsize if integer else 32
    return Picture(pixels=pixels, bit_depth=depth, is_float=not integer)


def _to_array(image: NDArray[Any], result: Picture) -> NDArray[Any]:
    samples = result.pixels.transpose(1, 2, 0).clip(0, 1)
    if image.dtype.kind == "u":
        samples = np.rint(samples * np.float32(np.iinfo(image.dtype).max))
    return samples.reshape(image.shape).astype(image.dtype)


def _hint(values: NDArray[Any]) -> str:
    if values.ndim == 3 and values.shape[0] in (1, 3) and values.shape[2] not in (1, 3):
        return ", which looks like [C, H, W]: give array.transpose(1, 2, 0)"
    if values.ndim == 3 and values.shape[2] == 4:
        return ", which looks like RGBA: give array[..., :3]"
    return ", which looks like a batch: give one at a time" if values.ndim == 4 else ""


def _from_tensor(image: "torch.Tensor", name: str) -> list[Picture]:
    shape = list(image.shape)
    is_picture = len(shape) in (3, 4) and shape[-3] in (1, 3) and image.numel()
    is_dense = str(image.layout) == "torch.strided" and image.device.type != "meta"
    if not is_picture or not image.is_floating_point() or not is_dense:
        what = str(image.dtype).removeprefix("torch.")
        hint = ""
        if len(shape) in (3, 4) and shape[-1] in (1, 3) and shape[-3] not in (1, 3):
            hint = ", which looks like (H, W, C): move the channels to the front"
        elif not image.is_floating_point():
            hint = ", not of floats: divide by the largest code"
        raise UnsupportedImage(f"{name}: a {what} tensor of shape {shape}{hint}; {_TENSORS}")
    # To float32 first: NumPy has no bfloat16.
    pixels: NDArray[np.float32] = image.detach().to("cpu").float().numpy()
    _check_floats(pixels, name)
    batch = pixels if pixels.ndim == 4 else pixels[None]
    return [Picture(pixels=one, bit_depth=32, is_float=True) for one in batch]


def _to_tensor(image: "torch.Tensor", results: Sequence[Picture]) -> "torch.Tensor":
    import torch

    restored = [torch.from_numpy(result.pixels.clip(0, 1)) for result in results]
    return (torch.stack(restored) if image.ndim == 4 else restored[0]).to(image)


def _from_pil(image: "Image.Image", name: str) -> Picture:
    from restore.image.icc import other_primaries
    from restore.image.metadata import bare_exif, orientation_of

    depth = _PIL_DEPTHS.get(image.mode)
    if depth is None or not min(image.size):
        raise UnsupportedImage(
            f"{name}: a PIL image of mode {image.mode} and size {list(image.size)}; "
            "give pixels of mode L, RGB, RGBA, I;16 or F, for example image.convert('RGB')"
        )
    try:
        samples = np.asarray(_without_palette(image))
    except Exception as error:
        # Pillow decodes only now, and its decoders may raise anything on damaged data.
        raise CorruptImage(f"{name}: a PIL image that cannot be decoded ({error})") from error
    is_float = depth == 32
    if is_float:
        _check_floats(samples, name)
    pixels, alpha = planes(samples, 1 if is_float else 2**depth - 1)
    blocks = {key: block for key, block in image.info.items() if isinstance(block, bytes)}
    exif, icc = bare_exif(blocks.get("exif")), blocks.get("icc_profile") or None
    return Picture(
        pixels=pixels,
        alpha=alpha,
        bit_depth=depth,
        is_float=is_float,
        icc=icc,
        primaries=other_primaries(icc),
        exif=exif,
        xmp=blocks.get("xmp") or None,
        orientation=orientation_of(exif),
    )


def _without_palette(image: "Image.Image") -> "Image.Image":
    if image.mode == "1":
        return image.convert("L")
    if image.mode == "P":
        return image.convert("RGBA" if "transparency" in image.info else "RGB")
    return image


def _to_pil(image: "Image.Image", result: Picture) -> "Image.Image":
    from PIL import Image

    if image.mode == "F":
        result = result.with_pixels(result.pixels.clip(0, 1))
    dtypes: dict[str, type[np.generic]] = {"F": np.float32, "I;16": np.uint16}
    samples = stored_samples(result, dtypes.get(image.mode, np.uint8))
    restored = Image.fromarray(samples)
    # A palette's transparency has become alpha.
    restored.info = {key: value for key, value in image.info.items() if key != "transparency"}
    return restored


def _check_floats(values: NDArray[Any], name: str) -> None:
    """Refuse floats that are clearly not in [0, 1]: clipping would turn them white."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return
    mean, most = float(finite.mean(dtype=np.float64)), float(finite.max())
    if not _MEANS[0] <= mean <= _MEANS[1] or most > _MOST:
        raise UnsupportedImage(
            f"{name}: floats with a mean of {mean:.3g} and a largest value of {most:.3g}; "
            "give them in [0, 1]"
        )


def _is_tensor(image: object) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(image, torch.Tensor)


def _is_pil(image: object) -> bool:
    pil = sys.modules.get("PIL.Image")
    return pil is not None and isinstance(image, pil.Image)


def _described(image: object) -> str:
    return "None" if image is None else f"of type {type(image).__name__}"
