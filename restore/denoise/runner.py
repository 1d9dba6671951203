"""Denoising: a noisy picture in, a clean one out."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from restore.batch.out_of_core import OutOfCoreResult
from restore.denoise.domain import AS_STORED, Presented, domain_of, domain_out_of_core
from restore.denoise.error_map import BOUND, EXPECTED, ErrorMap
from restore.denoise.low_frequencies import LowFrequencies
from restore.denoise.networks import Networks
from restore.denoise.out_of_core import denoise_out_of_core, noise_out_of_core
from restore.denoise.pixels import (
    Change,
    decoded,
    encoded_for_network,
    finish,
    only_known,
)
from restore.denoise.preview import Preview, preview_of
from restore.denoise.record import Noise, record_of
from restore.denoise.settings import Sigma, checked_settings
from restore.denoise.stripes import stripes_of, stripes_out_of_core, without_stripes
from restore.engine.placement import Placement
from restore.image.codec import AS_IT_CAME, WriteOptions
from restore.image.codecs import ImageFormat
from restore.image.coerce import ImageLike, as_picture
from restore.image.encode import encode_as
from restore.image.linear_dng import encoded_linear_dng
from restore.image.picture import Picture
from restore.image.tiff_regions import OutOfCorePicture
from restore.noise.level import estimate_noise
from restore.reopen import Reopened

if TYPE_CHECKING:
    from torch import nn

    from restore.weights.store import Weights

__all__ = ["Denoised", "Denoiser"]


@dataclass(frozen=True, kw_only=True)
class Denoised:
    """A denoised picture, and the record of how it was made.

    Attributes:
        picture: the denoised picture; only its pixels differ from the input.
        record: model, device, engine, precision, tile, sigma (0..255), whether it was estimated,
            strength, chroma, detail, megapixels, seconds. Where the level was estimated, the kind
            of noise (white or correlated), the level that the network was told (0..255), whether
            the picture is unchanged (by less than 0.1 of 255 on average) although there is noise,
            with a remark. Where stripes were taken away, their levels along rows and columns
            (``stripes_rows``, ``stripes_columns``; 0..255), with a remark. Where it is so, that it
            is gray stored as RGB, its tone curve, and the scale of its samples with a remark; of
            weights that were trained on noisy pictures alone, by which method
            (``trained_on_noisy``). Plain values, ready for JSON.
        preview: what a contact sheet of other settings is made from, if it was asked for.
        errors: how wrong the result is likely to be, if that was asked for; the record then has
            ``expected_psnr`` in dB, and the means of the two maps.

    >>> import numpy as np
    >>> import restore
    >>> denoised = restore.Denoiser("dncnn-gray")(np.full((32, 32), 128, np.uint8), sigma=10)
    >>> denoised.picture.pixels.shape, denoised.record["model"], denoised.record["sigma"]
    ((1, 32, 32), 'dncnn-gray', 10.0)
    """

    picture: Picture
    record: dict[str, object]
    preview: Preview | None = None
    errors: ErrorMap | None = None

    def beside(self, kind: str) -> bytes:
        """Return the contact sheet of the preview, a PNG, or an error map, a TIFF."""
        if kind in (EXPECTED, BOUND):
            if self.errors is None:
                raise ValueError("no error map was asked for")
            return self.errors.tiff(kind)
        if self.preview is None:
            raise ValueError("no preview was asked for")
        return self.preview.png()

    def encoded(self, image_format: ImageFormat, options: WriteOptions = AS_IT_CAME) -> bytes:
        """Return the bytes of a file, as ``encode`` does; DNG where the picture came from one."""
        is_dng = image_format in (ImageFormat.DNG, ImageFormat.DNG_LINEAR)
        if is_dng and self.picture.format is ImageFormat.DNG_LINEAR:
            return encoded_linear_dng(self.picture, options)
        return encode_as(self.picture, image_format, options)


class Denoiser(Reopened):
    """Denoises pictures with one network for gray and one for colour.

    Args:
        model: ``auto``, a shipped name, a weight file, a checkpoint of another architecture that
            the package spandrel knows, ``Weights``, or a network of your own, of which the present
            weights are taken (see ``restore.weights.own.checked_network``). Auto takes ``photo``,
            made for the noise of cameras, scans and film, or, where the noise level is given,
            ``resunet-color`` and ``resunet-gray``. A shipped name with a twin for the other kind of
            picture (``dncnn-gray`` and ``dncnn-color``), or the bare family name (``dncnn``), sends
            each picture through the network of its kind. With a single file, a gray network takes
            the channels of a colour picture one by one, and a colour network sees a gray picture
            as three equal channels.
        device: as for ``Placement``.
        precision: as for ``Placement``.
        tile: as for ``Placement``.
        sigma: what calls will mostly give as ``sigma``. The network that is named, or else the one
            for colour pictures of such a level, is opened at once, others when first needed.

    Raises:
        WeightsError: the weights are missing, damaged or for another task.
        UsageError: an option is invalid.
        DeviceError: the device is not on this machine.

    It may be called from several threads, and pickled: another process opens the networks anew.
    After a fork, make one of its own.

    >>> import numpy as np
    >>> import restore
    >>> denoiser = restore.Denoiser("resunet", device="cpu")
    >>> noisy = np.random.default_rng(0).normal(128, 25, (48, 64, 3)).clip(0, 255).astype(np.uint8)
    >>> [denoiser(image, sigma=25).picture.channels for image in (noisy, noisy[..., 0])]
    [3, 1]
    """

    def __init__(
        self,
        model: "str | Path | Weights | nn.Module" = "auto",
        *,
        device: str = "auto",
        precision: str = "auto",
        tile: str | int = "auto",
        sigma: Sigma = "auto",
    ) -> None:
        placement = Placement(device=device, precision=precision, tile=tile)
        self._networks = Networks(model, placement, sigma)

    @property
    def lanes(self) -> int:
        """Number of pictures processed at once when it is called from several threads."""
        return self._networks.lanes

    def __call__(
        self,
        image: ImageLike,
        *,
        sigma: Sigma = "auto",
        strength: float = 1.0,
        chroma: float | None = None,
        detail: float = 0.0,
        keep_stripes: bool = False,
        preview: bool = False,
        error_map: bool = False,
    ) -> Denoised:
        """Denoise one image.

        Args:
            image: ``Picture``, path, PIL image, array or tensor of one picture of any size; see
                ``restore.denoise``. Linear pictures, and those of a profile with another curve,
                are denoised as sRGB-encoded values, but for PQ and HLG; what lies outside [0, 1]
                keeps its distance to that range. Three equal channels are denoised as gray.
                Pixels that are transparent or not finite stay as they are.
            sigma: noise level in 0..255, or auto to estimate it.
            strength: 0 returns the picture bit for bit, 1 the full result, between is a blend.
            chroma: the same for colour noise, that is for the differences of the channels from
                luma, while ``strength`` counts for luma; None for the same as ``strength``. Gray
                pictures have no colour noise.
            detail: share of the finest luminance texture that is put back, 0 to 1.
            keep_stripes: whether to leave offsets of whole rows and columns in the picture, which
                no network here takes away.
            preview: whether to keep what a contact sheet of other settings is made from.
            error_map: whether to estimate how wrong the result is; ``ErrorMap`` says in which
                units.

        Raises:
            UsageError: sigma, strength, chroma or detail out of range.
            InputError: the image is of an unsupported type, or cannot be read.
            WeightsError: there is no network for error maps.
        """
        sigma, shares = checked_settings(sigma, strength, chroma, detail)
        original = as_picture(image)
        started = time.perf_counter()
        changes = shares.changes or preview or error_map
        domain = domain_of(original, self._networks.trained) if changes else AS_STORED
        picture = domain.entered(original)
        shares = shares.of(picture)
        network = self._networks.of(picture.channels, sigma)
        noise, change = Noise.given(sigma), Change()
        previewed = errors = stripes = None
        if changes:
            encoded, known = encoded_for_network(picture)
            whole = (slice(0, picture.height), slice(0, picture.width))
            stripes = None if keep_stripes else stripes_of(encoded, known)
            even = without_stripes(encoded, stripes, whole)
            if sigma == "auto":
                noise = Noise.found(estimate_noise(only_known(even, known)))
            restored = network.runner.tiled(even, network.tile(noise.told))
            change.add(even, restored)
            if network.keeps_low_frequencies:
                low_frequencies = LowFrequencies(*even.shape)
                low_frequencies.add(whole, even, restored)
                low_frequencies.give_back(restored)
            if preview:
                channels = original.channels
                previewed = preview_of(picture, encoded, even, restored, known, channels=channels)
            result = restored.copy() if error_map and shares.alters else restored
            finish(restored, encoded, **asdict(shares), even=even)
            if error_map:
                errors = self._networks.errors(
                    even,
                    result,
                    restored,
                    known,
                    original,
                    denoiser=network.runner.name,
                    left=0.0 if stripes is None else stripes.sigma_left,
                )
            picture = decoded(picture, restored, known)
        record = record_of(network.runner, picture, started, noise, change, domain, shares, stripes)
        record |= network.remarks
        if errors is not None:
            record |= errors.record_beside(record)
        left = domain.left(picture, original) if shares.changes else original
        return Denoised(picture=left, record=record, preview=previewed, errors=errors)

    def out_of_core(
        self,
        source: OutOfCorePicture,
        *,
        sigma: Sigma = "auto",
        strength: float = 1.0,
        chroma: float | None = None,
        detail: float = 0.0,
        keep_stripes: bool = False,
    ) -> OutOfCoreResult:
        """Denoise a picture that does not fit into memory, to the same result.

        Args:
            source: picture to denoise; its ``workplace`` holds an unnamed temporary file meanwhile.
            sigma: as for calling.
            strength: as for calling.
            chroma: as for calling.
            detail: as for calling.
            keep_stripes: as for calling.

        Raises:
            UsageError: as for calling.
            InputError: the file is damaged.
            OutputError: there is no room for the working file.
        """
        sigma, shares = checked_settings(sigma, strength, chroma, detail)
        started = time.perf_counter()
        domain = domain_out_of_core(source, self._networks.trained) if shares.changes else AS_STORED
        presented = Presented.of(source, domain)
        shares = shares.of(presented.like)
        network = self._networks.of(presented.like.channels, sigma)
        if not shares.changes:  # as where the colour noise of a gray picture is to be removed
            presented = Presented.of(source, AS_STORED)
        noise, stripes = Noise.given(sigma), None
        if shares.changes and not keep_stripes:
            stripes = stripes_out_of_core(presented)
        if shares.changes and sigma == "auto":
            noise = Noise.found(noise_out_of_core(presented, stripes))
        opened, change = denoise_out_of_core(
            presented,
            network.runner,
            network.tile(noise.told),
            stripes=stripes,
            keeps_low_frequencies=network.keeps_low_frequencies,
            **asdict(shares),
        )
        record = record_of(network.runner, source, started, noise, change, domain, shares, stripes)
        record |= network.remarks
        return OutOfCoreResult(
            picture=source.like,
            height=source.height,
            record=record,
            opened=presented.left(opened),
        )
