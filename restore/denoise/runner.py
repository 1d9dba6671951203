"""Denoising: a noisy picture in, a clean one out."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from restore.batch.out_of_core import OutOfCoreResult
from restore.denoise.domain import AS_STORED, Presented, domain_of, domain_out_of_core
from restore.denoise.error_map import BOUND, EXPECTED, ErrorMap, ErrorMapper
from restore.denoise.low_frequencies import LowFrequencies
from restore.denoise.out_of_core import denoise_out_of_core, noise_out_of_core
from restore.denoise.pixels import (
    Change,
    Tile,
    decoded,
    encoded_for_network,
    finish,
    only_known,
)
from restore.denoise.preview import Preview, preview_of
from restore.denoise.record import Noise, record_of
from restore.denoise.sample_range import SampleRange, method_of_noisy
from restore.denoise.settings import Sigma, checked_settings
from restore.denoise.task import ERRORS, TASK
from restore.engine.placement import Placement
from restore.engine.runner import Runner
from restore.errors import WeightsError
from restore.image.codec import AS_IT_CAME, WriteOptions
from restore.image.codecs import ImageFormat
from restore.image.coerce import ImageLike, as_picture
from restore.image.encode import encode_as
from restore.image.linear_dng import encoded_linear_dng
from restore.image.picture import Picture
from restore.image.tiff_regions import OutOfCorePicture
from restore.noise.level import estimate_noise
from restore.reopen import Reopened
from restore.weights.file import is_ours_or_none, shipped, stored_list
from restore.weights.task import StoredModel

if TYPE_CHECKING:
    from torch import nn

    from restore.weights.foreign import ForeignModel
    from restore.weights.store import Weights

__all__ = ["Denoised", "Denoiser"]

_AUTO = "auto"
_COLOUR = 3
_KINDS = {1: "gray", _COLOUR: "color"}
_DEFAULTS = {channels: TASK.default_weights[kind] for channels, kind in _KINDS.items()}
_DEFAULTS_WITH_SIGMA = {
    channels: TASK.default_weights[f"{kind}, sigma given"] for channels, kind in _KINDS.items()
}


@dataclass(frozen=True, kw_only=True)
class Denoised:
    """A denoised picture, and the record of how it was made.

    Attributes:
        picture: the denoised picture; only its pixels differ from the input.
        record: model, device, engine, precision, tile, sigma (0..255), whether it was estimated,
            strength, chroma, detail, megapixels, seconds. Where the level was estimated, the kind
            of noise (white or correlated), the level that the network was told (0..255), whether
            the picture is unchanged (by less than 0.1 of 255 on average) although there is noise,
            with a remark. Where it is so, that it is gray stored as RGB, its tone curve, and the
            scale of its samples with a remark; of weights that were trained on noisy pictures
            alone, by which method (``trained_on_noisy``). Plain values, ready for JSON.
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
        self._models: dict[str, StoredModel | ForeignModel | Weights]
        if isinstance(model, str | PathLike):
            self._names = _names_by_channels(model)
            self._names_with_sigma = _DEFAULTS_WITH_SIGMA if str(model) == _AUTO else self._names
            names = {*self._names.values(), *self._names_with_sigma.values()}
            self._models = {name: _opened(name) for name in names}
        else:
            from restore.weights.own import as_weights

            weights = as_weights(model, TASK)
            self._names = self._names_with_sigma = dict.fromkeys(_KINDS, weights.name)
            self._models = {weights.name: weights}
        ranges = {SampleRange.stored(name, each.provenance) for name, each in self._models.items()}
        self._trained = ranges.pop() if len(ranges) == 1 else None
        self._placement = Placement(device=device, precision=precision, tile=tile)
        self._networks: dict[str, _Network] = {}
        self._errors: ErrorMapper | None = None
        self._opening = Lock()
        is_named = str(model) in self._names.values()
        self._network(str(model) if is_named else self._name(_COLOUR, sigma))

    @property
    def lanes(self) -> int:
        """Number of pictures processed at once when it is called from several threads."""
        return max(network.runner.lanes for network in self._networks.values())

    def __call__(
        self,
        image: ImageLike,
        *,
        sigma: Sigma = "auto",
        strength: float = 1.0,
        chroma: float | None = None,
        detail: float = 0.0,
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
        domain = domain_of(original, self._trained) if changes else AS_STORED
        picture = domain.entered(original)
        shares = shares.of(picture)
        network = self._network(self._name(picture.channels, sigma))
        noise, change = Noise.given(sigma), Change()
        previewed = errors = None
        if changes:
            encoded, known = encoded_for_network(picture)
            if sigma == "auto":
                noise = Noise.found(estimate_noise(only_known(encoded, known)))
            restored = network.runner.tiled(encoded, network.tile(noise.told))
            change.add(encoded, restored)
            if network.keeps_low_frequencies:
                low_frequencies = LowFrequencies(*encoded.shape)
                low_frequencies.add(
                    (slice(0, picture.height), slice(0, picture.width)), encoded, restored
                )
                low_frequencies.give_back(restored)
            if preview:
                channels = original.channels
                previewed = preview_of(picture, encoded, restored, known, channels=channels)
            result = restored.copy() if error_map and shares.alters else restored
            finish(restored, encoded, **asdict(shares))
            if error_map:
                errors = self._mapper(
                    encoded, result, restored, known, original, denoiser=network.runner.name
                )
            picture = decoded(picture, restored, known)
        record = record_of(network.runner, picture, started, noise, change, domain, shares)
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
    ) -> OutOfCoreResult:
        """Denoise a picture that does not fit into memory, to the same result.

        Args:
            source: picture to denoise; its ``workplace`` holds an unnamed temporary file meanwhile.
            sigma: as for calling.
            strength: as for calling.
            chroma: as for calling.
            detail: as for calling.

        Raises:
            UsageError: as for calling.
            InputError: the file is damaged.
            OutputError: there is no room for the working file.
        """
        sigma, shares = checked_settings(sigma, strength, chroma, detail)
        started = time.perf_counter()
        domain = domain_out_of_core(source, self._trained) if shares.changes else AS_STORED
        presented = Presented.of(source, domain)
        shares = shares.of(presented.like)
        network = self._network(self._name(presented.like.channels, sigma))
        if not shares.changes:  # as where the colour noise of a gray picture is to be removed
            presented = Presented.of(source, AS_STORED)
        noise = Noise.given(sigma)
        if shares.changes and sigma == "auto":
            noise = Noise.found(noise_out_of_core(presented))
        opened, change = denoise_out_of_core(
            presented,
            network.runner,
            network.tile(noise.told),
            keeps_low_frequencies=network.keeps_low_frequencies,
            **asdict(shares),
        )
        record = record_of(network.runner, source, started, noise, change, domain, shares)
        record |= network.remarks
        return OutOfCoreResult(
            picture=source.like,
            height=source.height,
            record=record,
            opened=presented.left(opened),
        )

    def _name(self, channels: int, sigma: Sigma) -> str:
        return (self._names if sigma == "auto" else self._names_with_sigma)[channels]

    @property
    def _mapper(self) -> ErrorMapper:
        with self._opening:
            if self._errors is None:
                self._errors = ErrorMapper(ERRORS.default_weights["any"], self._placement)
            return self._errors

    def _network(self, name: str) -> "_Network":
        with self._opening:
            if name not in self._networks:
                self._networks[name] = _Network.opened(self._models[name], self._placement)
            return self._networks[name]


@dataclass(frozen=True)
class _Network:
    """A network, and how its training requires it to be used.

    Attributes:
        runner: runner of the network.
        keeps_low_frequencies: whether to give them back, since training on camera noise shifts
            colours.
        remarks: what records say of it.
    """

    runner: Runner
    keeps_low_frequencies: bool
    remarks: Mapping[str, object]

    @classmethod
    def opened(
        cls, model: "StoredModel | ForeignModel | Weights", placement: Placement
    ) -> "_Network":
        if not isinstance(model, StoredModel):
            # PyTorch has been imported by now.
            from restore.weights.foreign import ForeignModel

            if isinstance(model, ForeignModel):
                model.check_precision(placement.precision)
                return cls(Runner(model, placement, auto_tile=model.auto_tile), False, {})
        noise = stored_list(model.name, model.provenance, "recipe", "noise", str) or []
        method = method_of_noisy(model.provenance)
        remarks = {"trained_on_noisy": method} if method else {}
        return cls(Runner(model, placement), "camera" in noise, remarks)

    def tile(self, sigma: float) -> Tile:
        return Tile(sigma, self.runner.traits.channels)


def _opened(name: str | Path) -> "StoredModel | ForeignModel":
    """Return weights of ours, or a network of another project that spandrel runs."""
    try:
        return TASK.open(name)
    except WeightsError:
        if is_ours_or_none(name):
            raise
        from restore.weights.foreign import foreign_model

        if (foreign := foreign_model(Path(name))) is None:
            raise
        return foreign


def _names_by_channels(model: str | Path) -> dict[int, str]:
    """Return the weights for gray (1) and colour (3) pictures of unknown noise level."""
    if str(model) == _AUTO:
        return _DEFAULTS
    name = str(model)
    known = set(shipped())
    own = next((kind for kind in _KINDS.values() if name.endswith(f"-{kind}")), "")
    family = name.removesuffix(f"-{own}")
    twins = {channels: f"{family}-{kind}" for channels, kind in _KINDS.items()}
    if not Path(name).is_file() and known.issuperset(twins.values()):
        return twins
    return dict.fromkeys(_KINDS, name)
