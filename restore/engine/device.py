"""Selection of PyTorch devices, and the precisions that each of them runs fast."""

import logging
import platform
from collections.abc import Mapping
from functools import cache

import torch

from restore.arguments import argument
from restore.errors import DeviceError, UsageError

__all__ = [
    "ALL_GPUS",
    "PRECISIONS",
    "fast_precisions",
    "has_fast_bf16",
    "resolve_device",
    "resolve_devices",
    "training_dtype",
]

log = logging.getLogger("restore")

ALL_GPUS = "cuda:all"
"""Device name that stands for all GPUs of this machine."""

PRECISIONS: Mapping[str, torch.dtype] = {
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
}


def resolve_device(name: str = "auto", *, others: str = "") -> torch.device:
    """Return the device called ``name``: auto, cpu, cuda, cuda:N or mps.

    Args:
        name: Name of the device.
        others: What else the caller takes, for the message about a name that it does not.

    Raises:
        UsageError: no such kind of device.
        DeviceError: the device is not on this machine, or cannot compute.
    """
    if name == "auto":
        if torch.cuda.is_available():
            fault = _fault(torch.device("cuda"))
            if fault is None:
                return torch.device("cuda")
            log.warning("the GPU cannot be used (%s); going on with the processor", fault)
            return torch.device("cpu")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        device = None
    if device is None or device.type not in ("cpu", "cuda", "mps"):
        names = ", ".join(filter(None, ("auto", "cpu", "cuda", "cuda:N", others)))
        raise UsageError(f"device {name!r}: use {names} or mps")
    if device.type == "cuda":
        if (device.index or 0) >= torch.cuda.device_count():
            raise DeviceError(
                f"device {name}: this machine has {torch.cuda.device_count()} CUDA devices "
                f"that this build of PyTorch can use; {_on_cpu()}"
            )
        fault = _fault(device)
        if fault is not None:
            raise DeviceError(f"device {device}: cannot be used ({fault}); {_on_cpu()}")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError(f"device mps: not available on this machine; {_on_cpu()}")
    return device


def _on_cpu() -> str:
    return f"try {argument('device', 'cpu')}"


def resolve_devices(name: str) -> tuple[torch.device, ...]:
    """Return the devices called ``name``: all GPUs for cuda:all, else the one of that name.

    Raises:
        UsageError: no such kind of device.
        DeviceError: the device is not on this machine, or cannot compute.
    """
    if name != ALL_GPUS:
        return (resolve_device(name, others=ALL_GPUS),)
    count = torch.cuda.device_count()
    if count == 0:
        raise DeviceError(
            f"device {ALL_GPUS}: this machine has no CUDA device that this build of PyTorch can "
            f"use; {_on_cpu()}"
        )
    return tuple(resolve_device(f"cuda:{index}") for index in range(count))


@cache
def _fault(device: torch.device) -> str | None:
    """Return why a GPU cannot compute, or None: it may be too old for this build, or in use."""
    try:
        torch.ones(1, device=device).add_(1).item()
    except RuntimeError as error:
        return str(error).strip().partition("\n")[0].removeprefix("CUDA error: ")
    return None


@cache
def has_fast_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware; without it bf16 is far slower."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return False
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()


def fast_precisions(device: torch.device) -> tuple[str, ...]:
    """Return the precisions of ``device`` that beat float32, fastest and most exact first."""
    if device.type == "cuda":
        return ("fp16", "bf16") if _has_bf16_units(device) else ("fp16",)
    if device.type == "mps":
        return ("fp16",)
    return ("bf16",) if has_fast_bf16() else ()


def training_dtype(name: str, device: torch.device) -> torch.dtype:
    """Return the autocast dtype for training: ``name``; auto is bf16 where it is fast, else fp32.

    Raises:
        UsageError: ``name`` is not a precision for training.
    """
    if name == "auto":
        on_gpu = device.type == "cuda" and _has_bf16_units(device)
        fast = on_gpu or (device.type == "cpu" and has_fast_bf16())
        return torch.bfloat16 if fast else torch.float32
    if name not in ("fp32", "bf16"):
        raise UsageError(f"training precision {name!r}: use auto, fp32 or bf16")
    return PRECISIONS[name]


def _has_bf16_units(gpu: torch.device) -> bool:
    """Whether a GPU multiplies bfloat16 in hardware; PyTorch's own check also counts emulation."""
    return torch.version.hip is not None or torch.cuda.get_device_capability(gpu) >= (8, 0)
