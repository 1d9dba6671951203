"""What the service does with a picture: the tasks of the command line, by the same code."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, BinaryIO, ClassVar, Protocol

from imrestore.dark_enhance import dark_enhance, enhancing, linear_files, raw_files
from imrestore.denoise import denoise
from imrestore.denoise_options import DenoisingOptions, settings_of
from imrestore.denoisers import Denoising, Networks
from imrestore.output import json_of
from imrestore.serve.parameters import Parameters, parameters_of
from imrestore.serve.refused import Refused
from imrestore.serve.work import Answer, Job
from restore.anomaly.part import read_part
from restore.anomaly.records import record_of
from restore.anomaly.runner import Detector
from restore.batch.kinds import PICTURES_AND_RAW, FileKind
from restore.batch.plan import Item
from restore.batch.stages import PictureStages
from restore.dark.runner import DarkEnhancer
from restore.errors import UsageError
from restore.image.codec import WriteOptions
from restore.image.codecs import (
    CODECS,
    WRITTEN,
    WRITTEN_OF_MOSAICS,
    ImageFormat,
    media_type_of,
)
from restore.image.damage import noting_damage
from restore.image.encode import check_depth
from restore.image.picture import Picture
from restore.image.raw_picture import RawPicture
from restore.image.reservation import Reservation
from restore.image.stack import Stack

__all__ = ["DarkTask", "DenoiseTask", "InspectionTask", "ServedTask"]

_WRITING = ("format", "bit-depth", "quality", "strip-metadata")
_DENOISING = ("sigma", "strength", "chroma", "detail", "keep-stripes", "noise-profile")
_ENHANCING = (
    "ratio",
    "ev",
    "wb",
    "output-color",
    "strength",
    "keep-hot-pixels",
    "fill-hot-pixels",
)
_PROFILE = (
    "a,b of Var(x) = a x + b, each from 0 to 1, or three such pairs for red, green and blue, as in "
    "1.2e-4,3e-7"
)
"""What a request may say of noise: numbers, as no files are read for it."""


class ServedTask(Protocol):
    """A task, and the path that it is reached by.

    Attributes:
        name: The path without its slash.
        summary: What it does, in a sentence.
        parameters: The options of its requests.
        media_types: Types of its answers.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    media_types: ClassVar[tuple[str, ...]]

    @property
    def parameters(self) -> Parameters: ...

    @property
    def model(self) -> str: ...

    @property
    def lanes(self) -> int: ...

    def job(self, body: BinaryIO, values: Mapping[str, Any]) -> Job: ...


def _types(formats: Mapping[ImageFormat, str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(media_type_of, formats)))


@dataclass(frozen=True)
class DenoiseTask:
    """Finished pictures and camera RAW files, denoised."""

    networks: Networks
    name: ClassVar[str] = "denoise"
    summary: ClassVar[str] = "Remove noise from a photograph or a camera RAW file."
    media_types: ClassVar[tuple[str, ...]] = _types(WRITTEN_OF_MOSAICS)

    @property
    def parameters(self) -> Parameters:
        """The options of requests."""
        names = (*_WRITING, *_DENOISING)
        return parameters_of(denoise, names, (("noise-profile", _PROFILE),))

    @property
    def model(self) -> str:
        """What `--model` named."""
        return self.networks.options.model

    @property
    def lanes(self) -> int:
        """How many pictures are worked on at once."""
        return max(self.networks.of_pictures.lanes, self.networks.of_mosaics.lanes)

    def job(self, body: BinaryIO, values: Mapping[str, Any]) -> Job:
        """Return the work on one picture."""
        profile = values["noise_profile"]
        if profile is not None and profile.endswith(".json"):
            raise self.parameters.refused("noise-profile", profile, "")
        given = {key: values[key] for key in (name.replace("-", "_") for name in _DENOISING)}
        settings = settings_of(DenoisingOptions(**given))
        return _PictureJob(body, PICTURES_AND_RAW, Denoising(self.networks, settings), values)


@dataclass(frozen=True)
class DarkTask:
    """Dark camera RAW files, developed."""

    enhancer: DarkEnhancer
    model: str
    name: ClassVar[str] = "dark-enhance"
    summary: ClassVar[str] = "Develop a dark camera RAW file into a photograph."
    media_types: ClassVar[tuple[str, ...]] = _types(raw_files().written)

    @property
    def parameters(self) -> Parameters:
        """The options of requests."""
        return parameters_of(dark_enhance, (*_WRITING, *_ENHANCING))

    @property
    def lanes(self) -> int:
        """How many pictures are worked on at once."""
        return self.enhancer.lanes

    def job(self, body: BinaryIO, values: Mapping[str, Any]) -> Job:
        """Return the work on one picture."""
        given = {key: values[key] for key in (name.replace("-", "_") for name in _ENHANCING)}
        kind = linear_files() if given["output_color"] == "linear" else raw_files()
        return _PictureJob(body, kind, enhancing(self.enhancer, **given), values)


@dataclass(frozen=True)
class InspectionTask:
    """Parts, inspected."""

    detector: Detector
    name: ClassVar[str] = "anomaly"
    summary: ClassVar[str] = "Inspect a part; the verdict is JSON."
    media_types: ClassVar[tuple[str, ...]] = ("application/json",)

    @property
    def parameters(self) -> Parameters:
        """The options of requests: none, since verdicts follow from the weights."""
        return Parameters(None, {}, {})

    @property
    def model(self) -> str:
        """Name of the weights."""
        return self.detector.weights.name

    @property
    def lanes(self) -> int:
        """How many parts are worked on at once."""
        return self.detector.network.runner.lanes

    def job(self, body: BinaryIO, values: Mapping[str, Any]) -> Job:
        """Return the work on one part."""
        del values
        return _InspectionJob(body, self.detector)


@dataclass
class _PictureJob:
    """Restores one picture in the stages of the command line."""

    body: BinaryIO
    kind: FileKind[Any, Any]
    restore: Callable[[Any], Any]
    values: Mapping[str, Any]
    memory: Reservation = field(default_factory=Reservation)
    out: io.BytesIO = field(default_factory=io.BytesIO)
    between: Any = None
    format: ImageFormat = ImageFormat.PNG
    megapixels: float = 0.0

    @cached_property
    def stages(self) -> PictureStages[Any, Any]:
        return PictureStages(
            kind=self.kind,
            restore=self.restore,
            options=WriteOptions(
                bit_depth=self.values["bit_depth"],
                quality=self.values["quality"],
                strip_metadata=self.values["strip_metadata"],
            ),
            standard_input=self.body,
            standard_output=self.out,
        )

    @property
    def item(self) -> Item:
        return Item(source=None, destination=None, format=self.format)

    def load(self) -> None:
        with self.memory.loading():
            loaded = self.stages.load(self.item)
        self.format = self._format_for(loaded.source)
        self._check_depth()
        self.megapixels = self.stages.megapixels(loaded)
        self.between = loaded

    def process(self) -> None:
        loaded, self.between = self.between, None
        with self.memory.working():
            self.between = self.stages.process(loaded)

    def save(self) -> Answer:
        result, self.between = self.between, None
        with self.memory.working():
            outcome = self.stages.save(self.item, result, lambda: False)
        return Answer(
            content=self.out.getvalue(),
            media_type=media_type_of(self.format),
            suffix=CODECS[self.format].suffixes[0],
            record=dict(outcome.record),
            megapixels=self.megapixels,
        )

    def release(self) -> None:
        self.between = None
        self.memory.release()
        self.body.close()

    def _check_depth(self) -> None:
        bit_depth = self.values["bit_depth"]
        try:
            check_depth(self.format, bit_depth, is_light=self.kind.is_light)
        except UsageError as error:
            raise Refused(422, f"bit-depth={bit_depth}: {error}") from error

    def _format_for(self, source: Picture | RawPicture | Stack) -> ImageFormat:
        """Return the format that the command gives the result of such a file."""
        own = ImageFormat.DNG if isinstance(source, RawPicture) else source.format
        stays_raw = own in (ImageFormat.DNG, ImageFormat.DNG_LINEAR)
        written = self.kind.written if stays_raw or self.kind.by_name is None else WRITTEN
        if self.values["format"] is not None:
            asked = ImageFormat(self.values["format"])
            if asked not in written:
                raise Refused(422, f"format={asked}: use one of {', '.join(written)}")
            return asked
        if self.kind.default_format is not None:
            return self.kind.default_format
        if stays_raw:
            return ImageFormat.DNG
        return own if own in WRITTEN else ImageFormat.PNG


@dataclass
class _InspectionJob:
    """Inspects one part."""

    body: BinaryIO
    detector: Detector
    memory: Reservation = field(default_factory=Reservation)
    part: Any = None
    inspection: Any = None
    damaged: dict[str, str] = field(default_factory=dict)

    def load(self) -> None:
        with self.memory.loading(), noting_damage() as damaged:
            self.part = read_part(self.body.read())
        self.damaged = damaged

    def process(self) -> None:
        with self.memory.working():
            self.inspection = self.detector(self.part, "-")

    def save(self) -> Answer:
        record = record_of("-", self.inspection, self.detector, {}).as_mapping()
        del record["source"]
        record |= {"damaged": "; ".join(self.damaged.values())} if self.damaged else {}
        height, width = self.inspection.scores.shape
        return Answer(
            content=json_of(record).encode(),
            media_type="application/json",
            suffix=".json",
            record={},
            megapixels=height * width / 1e6,
        )

    def release(self) -> None:
        self.part = self.inspection = None
        self.memory.release()
        self.body.close()
