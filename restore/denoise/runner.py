"""Denoising: a noisy picture in, a clean one out."""

import time
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Literal

from restore.batch.out_of_core import OutOfCoreResult
from restore.checks import checked_number
from restore.denoise.domain import AS_STORED, Presented, domain_of, domain_out_of_core
from restore.denoise.low_frequencies import LowFrequencies
from restore.denoise.out_of_core import denoise_out_of_core, sigma_out_of_core
from restore.denoise.pixels import (
    Tile,
    decoded,
    encoded_for_network,
    finish,
    only_known,
)
from restore.denoise.task import TASK
from restore.engine.placement import Placement
from restore.engine.runner import Runner
from restore.image.codec import AS_IT_CAME, WriteOptions
from restore.image.codecs import ImageFormat
from restore.image.coerce import ImageLike, as_picture
from restore.image.encode import encode_as
from restore.image.picture import Picture
from restore.image.tiff_regions import OutOfCorePicture
from restore.noise.estimate import estimate_sigma_chw
from restore.reopen import Reopened
from restore.weights.file import shipped, stored_list

__all__ = ["Denoised", "Denoiser"]

Sigma = float | Literal["auto"]

_AUTO = "auto"
_KINDS = {1: "gray", 3: "color"}
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
            strength, detail, megapixels, seconds; where it is so, that it is gray stored as RGB,
            its tone curve, and the scale of its samples with a remark. Plain values, ready for
            JSON.

    >>> import numpy as np
    >>> import restore
    >>> denoised = restore.Denoiser("dncnn-gray")(np.full((32, 32), 128, np.uint8), sigma=10)
    >>> denoised.picture.pixels.shape, denoised.record["model"], denoised.record["sigma"]
    ((1, 32, 32), 'dncnn-gray', 10.0)
    """

    picture: Picture
    record: dict[str, object]

    def encoded(self, image_format: ImageFormat, options: WriteOptions = AS_IT_CAME) -> bytes:
        """Return the bytes of a file, as ``encode`` does."""
        return encode_as(self.picture, image_format, options)


class Denoiser(Reopened):
    """Denoises pictures with one network for gray and one for colour.

    Args:
        model: ``auto``, a shipped name, or a weight file. Auto takes ``photo``, made for the noise
            of cameras, scans and film, or, where the noise level is given, ``resunet-color`` and
            ``resunet-gray``. A shipped name with a twin for the other kind of
            picture (``dncnn-gray`` and ``dncnn-color``), or the bare family name (``dncnn``), sends
            each picture through the network of its kind. With a single file, a gray network takes
            the channels of a colour picture one by one, and a colour network sees a gray picture
            as three equal channels.
        device: as for ``Placement``.
        precision: as for ``Placement``.
        tile: as for ``Placement``.

    Raises:
        WeightsError: the weights are missing, damaged or for another task.
        UsageError: an option is invalid.
        DeviceError: the device is not on this machine.

    It may be called from several threads, and pickled: another process opens the networks anew.

    >>> import numpy as np
    >>> import restore
    >>> denoiser = restore.Denoiser("resunet", device="cpu")
    >>> noisy = np.random.default_rng(0).normal(128, 25, (48, 64, 3)).clip(0, 255).astype(np.uint8)
    >>> [denoiser(image, sigma=25).picture.channels for image in (noisy, noisy[..., 0])]
    [3, 1]
    """

    def __init__(
        self,
        model: str | Path = "auto",
        *,
        device: str = "auto",
        precision: str = "auto",
        tile: str | int = "auto",
    ) -> None:
        self._names = _names_by_channels(model)
        self._names_with_sigma = _DEFAULTS_WITH_SIGMA if str(model) == _AUTO else self._names
        self._placement = Placement(device=device, precision=precision, tile=tile)
        self._networks: dict[str, _Network] = {}
        self._opening = Lock()
        for name in set(self._names.values()):
            self._network(name)

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
        detail: float = 0.0,
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
            detail: share of the finest luminance texture that is put back, 0 to 1.

        Raises:
            UsageError: sigma, strength or detail out of range.
            InputError: the image is of an unsupported type, or cannot be read.
        """
        sigma, strength, detail = _checked(sigma, strength, detail)
        original = as_picture(image)
        started = time.perf_counter()
        domain = domain_of(original) if strength > 0 else AS_STORED
        picture = domain.entered(original)
        network = self._network_for(picture, sigma)
        level = 0.0
        if strength > 0:
            encoded, known = encoded_for_network(picture)
            level = (
                min(255 * estimate_sigma_chw(only_known(encoded, known)), 255.0)
                if sigma == "auto"
                else float(sigma)
            )
            restored = network.runner.tiled(encoded, network.tile(level / 255))
            if network.keeps_low_frequencies:
                low_frequencies = LowFrequencies(*encoded.shape)
                low_frequencies.add(
                    (slice(0, picture.height), slice(0, picture.width)), encoded, restored
                )
                low_frequencies.give_back(restored)
            finish(restored, encoded, strength=strength, detail=detail)
            picture = decoded(picture, restored, known)
        elif sigma != "auto":
            level = float(sigma)
        record = _record(network.runner, picture, started, level, sigma, strength, detail)
        picture = domain.left(picture, original)
        return Denoised(picture=picture, record=record | domain.record)

    def out_of_core(
        self,
        source: OutOfCorePicture,
        *,
        sigma: Sigma = "auto",
        strength: float = 1.0,
        detail: float = 0.0,
    ) -> OutOfCoreResult:
        """Denoise a picture that does not fit into memory, to the same result.

        Args:
            source: picture to denoise; its ``workplace`` holds an unnamed temporary file meanwhile.
            sigma: as for calling.
            strength: as for calling.
            detail: as for calling.

        Raises:
            UsageError: as for calling.
            InputError: the file is damaged.
            OutputError: there is no room for the working file.
        """
        sigma, strength, detail = _checked(sigma, strength, detail)
        started = time.perf_counter()
        domain = domain_out_of_core(source) if strength > 0 else AS_STORED
        presented = Presented.of(source, domain)
        network = self._network_for(presented.like, sigma)
        level = 0.0 if sigma == "auto" else float(sigma)
        if strength > 0 and sigma == "auto":
            level = min(255 * sigma_out_of_core(presented), 255.0)
        opened = denoise_out_of_core(
            presented,
            network.runner,
            network.tile(level / 255),
            keeps_low_frequencies=network.keeps_low_frequencies,
            strength=strength,
            detail=detail,
        )
        record = _record(network.runner, source, started, level, sigma, strength, detail)
        return OutOfCoreResult(
            picture=source.like,
            height=source.height,
            record=record | domain.record,
            opened=presented.left(opened),
        )

    def _network_for(self, picture: Picture, sigma: Sigma) -> "_Network":
        names = self._names if sigma == "auto" else self._names_with_sigma
        return self._network(names[picture.channels])

    def _network(self, name: str) -> "_Network":
        with self._opening:
            if name not in self._networks:
                self._networks[name] = _Network.opened(name, self._placement)
            return self._networks[name]


@dataclass(frozen=True)
class _Network:
    """A network, and how its training requires it to be used.

    Attributes:
        runner: runner of the network.
        keeps_low_frequencies: whether to give them back, since training on camera noise shifts
            colours.
    """

    runner: Runner
    keeps_low_frequencies: bool

    @classmethod
    def opened(cls, name: str, placement: Placement) -> "_Network":
        model = TASK.open(name)
        noise = stored_list(model.name, model.provenance, "recipe", "noise", str) or []
        return cls(Runner(model, placement), "camera" in noise)

    def tile(self, sigma: float) -> Tile:
        return Tile(sigma, self.runner.traits.channels)


def _record(
    runner: Runner,
    source: Picture | OutOfCorePicture,
    started: float,
    level: float,
    sigma: Sigma,
    strength: float,
    detail: float,
) -> dict[str, object]:
    return {
        **runner.record(),
        "sigma": round(level, 3),
        "sigma_estimated": sigma == "auto",
        "strength": strength,
        "detail": detail,
        "megapixels": round(source.width * source.height / 1e6, 6),
        "seconds": round(time.perf_counter() - started, 4),
    }


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


def _checked(sigma: Sigma, strength: float, detail: float) -> tuple[Sigma, float, float]:
    if not (isinstance(sigma, str) and sigma == "auto"):
        sigma = checked_number("sigma", sigma, 0, 255, "a noise level from 0 to 255, or auto")
    strength = checked_number("strength", strength, 0, 1, "a number from 0 to 1")
    return sigma, strength, checked_number("detail", detail, 0, 1, "a number from 0 to 1")
