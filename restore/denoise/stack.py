"""Denoising a file of many planes, plane by plane."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from restore.denoise.runner import Denoised
from restore.image.codec import AS_IT_CAME, WriteOptions
from restore.image.codecs import ImageFormat
from restore.image.picture import Picture
from restore.image.stack import Stack, encoded_stack

__all__ = ["DenoisedStack", "denoise_stack"]


@dataclass(frozen=True, kw_only=True)
class DenoisedStack:
    """A denoised stack, and the record of how it was made.

    Attributes:
        stack: the denoised stack.
        record: as that of ``Denoised``, with the number of ``planes`` and the mean ``sigma``, which
            ``sigmas`` lists for each plane.
    """

    stack: Stack
    record: dict[str, object]

    @property
    def picture(self) -> Picture:
        """The plane in the middle."""
        return self.stack.shown

    def encoded(self, image_format: ImageFormat, options: WriteOptions = AS_IT_CAME) -> bytes:
        """Return the bytes of a file, see ``encoded_stack``."""
        return encoded_stack(self.stack, image_format, options)


def denoise_stack(denoise: Callable[[Picture], Denoised], stack: Stack) -> DenoisedStack:
    """Denoise every plane by itself.

    Args:
        denoise: denoises one plane.
        stack: the planes.
    """
    started = time.perf_counter()
    done = [denoise(plane) for plane in stack.planes]
    sigmas = [float(str(each.record["sigma"])) for each in done]
    remarks = dict.fromkeys(
        remark for each in done for remark in _listed(each.record.get("remarks"))
    )
    record = {
        **done[0].record,
        "planes": len(done),
        "sigma": round(sum(sigmas) / len(sigmas), 3),
        "sigmas": sigmas,
        "megapixels": round(stack.width * stack.height / 1e6, 6),
        "seconds": round(time.perf_counter() - started, 4),
    }
    record.pop("remarks", None)
    if remarks:
        record["remarks"] = list(remarks)
    planes = tuple(each.picture for each in done)
    return DenoisedStack(stack=replace(stack, planes=planes), record=record)


def _listed(remarks: object) -> list[str]:
    return [str(each) for each in remarks] if isinstance(remarks, list) else []
