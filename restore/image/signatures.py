"""What the first bytes of a file say of its format."""

from collections.abc import Callable

__all__ = ["begins_with", "has_raw_head", "is_avif", "is_heif", "is_pnm", "is_webp"]

_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"mif2")
_RAW_MAGIC = (
    *(b"\x00MRM", b"FUJIFILMCCD-RAW", b"FOVb", b"II\x1a\x00\x00\x00HEAPCCDR"),
    *(b"IIRO", b"IIRS", b"MMOR", b"IIU\x00"),
)


def begins_with(*magic: bytes) -> Callable[[bytes], bool]:
    """Return a function that tells whether a file begins with one of some signatures."""
    return lambda head: head.startswith(magic)


def is_webp(head: bytes) -> bool:
    """Return whether ``head`` begins a WebP file."""
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


def is_avif(head: bytes) -> bool:
    """Return whether ``head`` begins an AVIF file."""
    return not {b"avif", b"avis"}.isdisjoint(_brands(head))


def is_heif(head: bytes) -> bool:
    """Return whether ``head`` begins an HEIF file that is not AVIF."""
    return _brands(head)[:1] != () and _brands(head)[0] in _HEIF_BRANDS and not is_avif(head)


def _brands(head: bytes) -> tuple[bytes, ...]:
    """Return the brands of an ISO base media file, the first the major one."""
    if head[4:8] != b"ftyp":
        return ()
    box = head[8 : min(len(head), int.from_bytes(head[:4], "big"))]
    return tuple(box[i : i + 4] for i in range(0, len(box), 4))


def is_pnm(head: bytes) -> bool:
    """Return whether ``head`` begins a PGM or PPM file."""
    return head[:1] == b"P" and head[1:2] in (b"2", b"3", b"5", b"6") and head[2:3].isspace()


def has_raw_head(head: bytes) -> bool:
    """Return whether ``head`` has a signature that only camera RAW files have.

    Most RAW files are TIFF files and share the signature of TIFF pictures.
    """
    return head.startswith(_RAW_MAGIC) or head[4:12] == b"ftypcrx "
