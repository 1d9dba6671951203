"""Telling a lack of memory from other errors."""

__all__ = ["is_out_of_memory"]

_SIGNS = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "STATUS_ALLOC_FAILED",
    "CUFFT_ALLOC_FAILED",
    # PyTorch, once none of cuDNN's ways to compute a convolution found room.
    "unable to find an engine to execute",
)
"""PyTorch's allocators, pinned memory, CUDA, its libraries and MPS each have their own words."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether a device, or the machine, had no memory left."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)
