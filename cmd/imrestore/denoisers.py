"""The networks of `imrestore denoise`: one for finished pictures, one for RAW files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from imrestore.batch import Work
from imrestore.options import NetworkOptions
from restore.batch.plan import BatchPlan
from restore.denoise.runner import Denoiser
from restore.denoise.stack import denoise_stack
from restore.denoise.task import TASK as PICTURE_TASK
from restore.errors import UnsupportedImage, UsageError
from restore.image.codec import WriteOptions
from restore.image.codecs import ImageFormat, suffix_of
from restore.image.photosites import filled
from restore.image.picture import Picture
from restore.image.raw import RAW_SUFFIXES
from restore.image.raw_picture import RawPicture
from restore.image.stack import Stack
from restore.image.tiff_regions import OutOfCorePicture
from restore.mosaic.runner import DenoisedMosaic, MosaicDenoiser
from restore.mosaic.task import TASK as RAW_TASK
from restore.noise.poisson_gaussian import NoiseProfile
from restore.weights.file import is_ours_or_none, read_weight_file, shipped

if TYPE_CHECKING:
    from restore.noise.measured_camera import MeasuredCamera  # it needs PyTorch

__all__ = ["Denoising", "Expected", "Networks", "Settings", "is_model_for_raw", "work_on"]

_AUTO = "auto"
_NOT_FOR_RAW = "is for finished pictures"
_Done = TypeVar("_Done", bound=Any)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How pictures and RAW files are denoised; see the options of the same names.

    Attributes:
        for_pictures: Options that were given and do nothing for RAW files.
        for_mosaics: Options that were given and do nothing for finished pictures.
        sheet_only: Whether contact sheets take the place of results.
        upright: Whether error maps are turned upright, as results are.
    """

    sigma: float | Literal["auto"]
    strength: float
    chroma: float | None
    detail: float
    keep_stripes: bool
    profile: "NoiseProfile | MeasuredCamera | None"
    repair: bool
    preview: bool
    sheet_only: bool
    error_map: bool
    upright: bool
    for_pictures: tuple[str, ...]
    for_mosaics: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What may be among the inputs.

    Attributes:
        raw: Whether RAW files may.
        pictures: Whether finished pictures may.
    """

    raw: bool
    pictures: bool

    @classmethod
    def of(cls, plan: BatchPlan) -> "Expected":
        """Return what is among the inputs of a plan; standard input may be either."""
        sources = (each.source for each in plan.texts() if not each.skip)
        kinds = {suffix_of(source).lower() in RAW_SUFFIXES for source in sources if source}
        return cls(raw=True in kinds, pictures=False in kinds)


def work_on(expected: Expected, network: NetworkOptions, settings: Settings) -> Work:
    """Open the networks that the inputs need, and return what is done to each of these.

    Raises:
        UsageError: the model suits none of the inputs, or the strength not all.
        RestoreError: as ``Denoiser`` and ``MosaicDenoiser``.
    """
    has_raw, has_pictures = expected.raw, expected.pictures
    if settings.strength > 1 and has_pictures:
        raise UsageError(
            f"--strength {settings.strength:g}: finished pictures take 0 to 1, RAW files up to 2"
        )
    if settings.error_map and has_raw and not has_pictures:
        raise UsageError(f"--error-map {_NOT_FOR_RAW}, and these are RAW files")
    notes = []
    is_for_raw = is_model_for_raw(network.model)
    if is_for_raw is False and has_raw:
        if not has_pictures:
            raise UsageError(
                f"--model {network.model} is for finished pictures, and these are RAW files; leave "
                "it out, or give weights of `imrestore train denoise --raw`"
            )
        notes.append(f"--model {network.model} is for finished pictures; RAW files take auto")
    if is_for_raw is True and has_pictures:
        if not has_raw:
            raise UsageError(f"--model {network.model} is for RAW files, and there are none")
        notes.append(f"--model {network.model} is for RAW files; finished pictures take auto")
    if settings.for_pictures and has_raw:
        given = " and ".join(settings.for_pictures)
        does = "does" if len(settings.for_pictures) == 1 else "do"
        notes.append(f"{given} {does} nothing for RAW files, which take --strength")
    if settings.profile and has_pictures:
        notes.append("--noise-profile does nothing for finished pictures, which take --sigma")
    if settings.repair and has_pictures:
        notes.append("--fill-hot-pixels does nothing for finished pictures")
    networks = Networks(network, is_for_raw, settings.sigma)
    opened = [networks.of_pictures.lanes] if has_pictures else []
    opened += [networks.of_mosaics.lanes] if has_raw else []
    return Work(Denoising(networks, settings), max(opened, default=1), tuple(notes))


def is_model_for_raw(model: str) -> bool | None:
    """Return which inputs weights are for; None for auto, which has some for each.

    Raises:
        WeightsError: there are no such weights, or for another task.
    """
    if model == _AUTO:
        return None
    if f"{model}-color" in shipped() and not Path(model).is_file():
        return False  # a family, with networks for gray and for colours
    if not is_ours_or_none(model):
        return False  # a network of another project for finished pictures, or nothing of use
    file = read_weight_file(model)
    if file.task == RAW_TASK.name:
        return True
    PICTURE_TASK.check(file)
    return False


class _WithSheet(Protocol):
    """A denoised picture or mosaic of which a contact sheet was asked for."""

    @property
    def picture(self) -> Picture: ...

    @property
    def record(self) -> Mapping[str, object]: ...

    def beside(self, kind: str) -> bytes: ...


@dataclass(frozen=True)
class _Sheet:
    """A contact sheet in place of a result."""

    of: _WithSheet

    @property
    def picture(self) -> Picture:
        return self.of.picture

    @property
    def record(self) -> Mapping[str, object]:
        return self.of.record

    def encoded(self, _image_format: ImageFormat, _options: WriteOptions) -> bytes:
        return self.of.beside("preview")


@dataclass(frozen=True)
class Networks:
    """The networks for whatever is read; each is opened when it is first needed.

    Attributes:
        options: Which ones, and how they run.
        is_for_raw: Which inputs the named weights are for; None for auto.
        sigma: What settings will mostly say of the noise level.
    """

    options: NetworkOptions
    is_for_raw: bool | None
    sigma: float | Literal["auto"] = "auto"

    @cached_property
    def of_pictures(self) -> Denoiser:
        """The network for finished pictures."""
        model = _AUTO if self.is_for_raw else self.options.model
        return Denoiser(model, sigma=self.sigma, **self.options.placement)

    @cached_property
    def of_mosaics(self) -> MosaicDenoiser:
        """The network for RAW files."""
        model = _AUTO if self.is_for_raw is False else self.options.model
        return MosaicDenoiser(model, **self.options.placement)


@dataclass(frozen=True)
class Denoising:
    """Denoises whatever was read, with some settings."""

    networks: Networks
    settings: Settings

    def __call__(self, source: Picture | OutOfCorePicture | RawPicture | Stack) -> Any:
        """Return what became of it: a ``Denoised``, or one of its like, or a sheet of one."""
        if isinstance(source, Stack):
            for option in ("preview", "error_map"):
                if getattr(self.settings, option):
                    name = option.replace("_", "-")
                    raise UnsupportedImage(f"has several planes; --{name} is for single pictures")
            return denoise_stack(self._of, source)
        result = self._of_raw(source) if isinstance(source, RawPicture) else self._of(source)
        is_whole = not isinstance(source, OutOfCorePicture)
        return _Sheet(result) if self.settings.sheet_only and is_whole else result

    def _of(self, source: Picture | OutOfCorePicture) -> Any:
        given = self.settings
        shares: Mapping[str, Any] = {
            "sigma": given.sigma,
            "strength": given.strength,
            "chroma": given.chroma,
            "detail": given.detail,
            "keep_stripes": given.keep_stripes,
        }
        if isinstance(source, OutOfCorePicture):
            done: Any = self.networks.of_pictures.out_of_core(source, **shares)
        else:
            done = self.networks.of_pictures(
                source, **shares, preview=given.preview, error_map=given.error_map
            )
            if done.errors is not None and given.upright:
                done = replace(done, errors=replace(done.errors, is_upright=True))
        return _without_effect(done, given.for_mosaics)

    def _of_raw(self, source: RawPicture) -> DenoisedMosaic:
        given = self.settings
        if given.error_map:
            raise UnsupportedImage(f"is a RAW file; --error-map {_NOT_FOR_RAW}")
        profile = given.profile
        extra: dict[str, object] = {}
        if profile is not None and not isinstance(profile, NoiseProfile):
            source, extra = _without_hot(source, profile)
            profile = profile.profile(source.iso)
        done = self.networks.of_mosaics(
            source,
            profile=profile,
            strength=given.strength,
            repair=given.repair,
            preview=given.preview,
        )
        done = replace(done, record={**done.record, **extra}) if extra else done
        return _without_effect(done, given.for_pictures)


def _without_effect(done: _Done, options: Sequence[str]) -> _Done:
    """Return a result whose record names the options that were given and did nothing."""
    if not options:
        return done
    return replace(done, record={**done.record, "without_effect": list(options)})


def _without_hot(raw: RawPicture, camera: "MeasuredCamera") -> tuple[RawPicture, dict[str, object]]:
    """Return a RAW picture without the camera's defective photosites, and what a record says.

    Raises:
        UnsupportedImage: it is from another camera.
    """
    theirs, ours = (raw.make, raw.model), (camera.make, camera.model)
    if all(theirs) and all(ours) and theirs != ours:
        raise UnsupportedImage(
            f"is from a {' '.join(theirs)}, and --noise-profile is of a {camera.name}"
        )
    where = camera.hot_photosites(raw)
    if where is None:
        remark = "its size is not that of the camera's files; defective photosites stay"
        return raw, {"noise_of": camera.name, "remarks": [remark]}
    return filled(raw, where), {"noise_of": camera.name, "hot_filled": len(camera.hot)}
