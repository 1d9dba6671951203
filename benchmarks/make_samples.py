"""Make samples/: small CC0 photographs with the noise a camera makes.

Each clean picture is taken back to linear light and divided by white-balance gains; every pixel
then gets the signal-dependent noise of a sensor (variance = shot * signal + read, the model of
Brooks et al., CVPR 2019), and the picture is developed again. One pixel of a sample stands for one
2x2 Bayer quad, as in a half-size development, so the noise is not correlated between neighbours.

    python benchmarks/make_samples.py ../shared/data samples
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from restore.image.codecs import WRITTEN, ImageFormat
from restore.image.colour import linear_to_srgb, srgb_to_linear
from restore.image.decode import decode
from restore.image.encode import encode
from restore.image.picture import Picture

RED_GAIN, BLUE_GAIN = 2.0, 1.7


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One sample.

    Attributes:
        source: clean picture below the data folder.
        box: left, top, right, lower in fractions of the clean picture.
        width: of the sample in pixels.
        shot, read: noise parameters, variances for signals in [0, 1].
        image_format, bit_depth, gray: what the sample is stored as.
    """

    source: str
    box: tuple[float, float, float, float]
    width: int
    shot: float
    read: float
    image_format: ImageFormat = ImageFormat.JPEG
    bit_depth: int = 8
    gray: bool = False


WALLPAPERS, PANORAMAS = "denoise/train/wallpapers", "hdr/panoramas/train"
SAMPLES = {
    "otters": Sample(
        source=f"{WALLPAPERS}/budgie_oakland-zoo-otters.jpg", box=(0.1, 0, 1, 1), width=640,
        shot=0.004, read=2e-5,
    ),
    "osprey": Sample(
        source=f"{WALLPAPERS}/budgie_perched-osprey.jpg", box=(0.1, 0, 0.9, 1), width=640,
        shot=0.008, read=6e-5,
    ),
    "spices": Sample(
        source=f"{WALLPAPERS}/budgie_the-spices-of-life.jpg", box=(0, 0, 1, 1), width=640,
        shot=0.012, read=1e-4,
    ),
    "city": Sample(
        source=f"{WALLPAPERS}/budgie_singaporean-cityscape.jpg", box=(0, 0.2, 0.7, 0.9), width=512,
        shot=0.006, read=4e-5, image_format=ImageFormat.PNG,
    ),
    "market": Sample(
        source=f"{PANORAMAS}/leadenhall_market_1k.exr", box=(0.3, 0.25, 0.7, 0.75), width=400,
        shot=0.008, read=1e-4, image_format=ImageFormat.PNG, bit_depth=16,
    ),
    "lake": Sample(
        source=f"{WALLPAPERS}/budgie_lake-sherburne.jpg", box=(0, 0, 0.8, 1), width=512,
        shot=0.010, read=1e-4, image_format=ImageFormat.TIFF, bit_depth=16, gray=True,
    ),
}  # fmt: skip


def main(data: Path, out: Path) -> None:
    """Write every sample."""
    out.mkdir(parents=True, exist_ok=True)
    for seed, (name, sample) in enumerate(SAMPLES.items()):
        linear = _noisy(_clean(data / sample.source, sample), sample, seed)
        if sample.gray:
            linear = np.tensordot(np.float32([0.2126, 0.7152, 0.0722]), linear, axes=1)[None]
        picture = Picture(
            pixels=linear_to_srgb(linear).astype(np.float32),
            bit_depth=sample.bit_depth,
            exif=_exif(sample),
        )
        path = out / f"{name}{WRITTEN[sample.image_format]}"
        path.write_bytes(encode(picture, sample.image_format))
        print(path, f"{path.stat().st_size / 1024:.0f} KiB")


def _clean(path: Path, sample: Sample) -> NDArray[np.float32]:
    """Return the cropped and scaled picture as linear RGB [3, H, W] in [0, 1]."""
    picture = decode(path)
    pixels = picture.pixels
    if not picture.is_float:
        pixels = srgb_to_linear(pixels)
    height, width = pixels.shape[1:]
    left, top, right, lower = (
        int(share * size)
        for share, size in zip(sample.box, (width, height, width, height), strict=True)
    )
    crop = pixels[:, top:lower, left:right]
    if picture.is_float:  # radiance has no white: expose for the brighter parts
        crop = (crop / np.quantile(crop, 0.9)).clip(0, 1)
    size = (sample.width, round(sample.width * crop.shape[1] / crop.shape[2]))
    planes = [Image.fromarray(plane).resize(size, Image.Resampling.BOX) for plane in crop]
    return np.stack([np.asarray(plane) for plane in planes]).clip(0, 1)


def _noisy(linear: NDArray[np.float32], sample: Sample, seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    gains = np.float32([RED_GAIN, 1.0, BLUE_GAIN])[:, None, None]
    raw = linear / gains
    deviation = np.sqrt(sample.shot * raw + sample.read)
    return ((raw + deviation * rng.standard_normal(raw.shape)) * gains).clip(0, 1)


def _exif(sample: Sample) -> bytes:
    """Return the EXIF block of a camera that shot at the ISO this noise suggests."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "imrestore", "sample camera"
    exif[0x010E] = f"CC0; camera noise added to {Path(sample.source).name}"
    details = exif.get_ifd(0x8769)
    details[0x8827] = round(sample.shot * 1.6e6 / 100) * 100
    return exif.tobytes().removeprefix(b"Exif\x00\x00")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
