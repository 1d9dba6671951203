"""What of a picture's metadata another file does not hold, or would state wrongly."""

from dataclasses import replace

from restore.image.codecs import ImageFormat
from restore.image.density import density_of, says_resolution
from restore.image.exr_attributes import geometry_of_notes, names_of_attributes
from restore.image.jpeg_metadata import extends_xmp, names_of_notes, video_of
from restore.image.losses import in_words, note_loss, note_remark
from restore.image.picture import Picture
from restore.image.tiff_tags import lost_tags, names_of_tags, tags_of_notes
from restore.image.xmp import Claims, claims_of, without_claims

__all__ = ["note_reading", "stripped_notes", "with_true_metadata"]

_GAIN_MAP = "HDR gain map"

_HOLD_DENSITY = (ImageFormat.PNG, ImageFormat.JPEG, ImageFormat.TIFF)
_MEANINGLESS = (72, 72)
"""Pixels per inch that cameras and software state for want of any."""


def with_true_metadata(
    picture: Picture, image_format: ImageFormat, *, holds_blocks: bool, strip: bool = False
) -> Picture:
    """Return a picture whose XMP claims nothing that a file does not hold; note what is lost.

    Args:
        picture: Picture to be written.
        image_format: Container.
        holds_blocks: Whether the file is given EXIF and XMP.
        strip: Whether the user wants no metadata, which then is no loss.
    """
    is_same = picture.format is image_format
    lost: list[str] = []
    if not strip:
        if not holds_blocks:
            blocks = {"EXIF": picture.exif, "XMP": picture.xmp}
            lost += [name for name, block in blocks.items() if block]
        lost += _lost_notes(picture, is_same=is_same)
        lost += _lost_density(picture, image_format, holds_blocks=holds_blocks)
    claims = claims_of(picture.xmp) if picture.xmp else Claims()
    notes = picture.notes if is_same and image_format is ImageFormat.JPEG else b""
    untrue = Claims(
        video=claims.video and not video_of(notes),
        gain_map=claims.gain_map,
        extension=claims.extension and not extends_xmp(notes),
    )
    if untrue.gain_map and f"its {_GAIN_MAP}" not in picture.left_out:
        lost.append(_GAIN_MAP)
    if not strip:
        lost += ["motion video"] if untrue.video else []
        lost += ["extended XMP"] if untrue.extension else []
    note_reading(picture)
    if lost:
        note_loss(f"its {in_words(list(dict.fromkeys(lost)))}")
    if not picture.xmp or untrue == Claims():
        return picture
    return replace(picture, xmp=without_claims(picture.xmp, untrue))


def note_reading(picture: Picture) -> None:
    """Note what reading a picture left out, guessed or changed."""
    for part in picture.left_out:
        note_loss(part)
    for sentence in picture.remarks:
        note_remark(sentence)


def stripped_notes(picture: Picture) -> bytes:
    """Return the notes of a picture that has to go without metadata."""
    return geometry_of_notes(picture.notes) if picture.format is ImageFormat.EXR else b""


def _lost_density(picture: Picture, image_format: ImageFormat, *, holds_blocks: bool) -> list[str]:
    density = density_of(picture)
    is_held = image_format in _HOLD_DENSITY or (holds_blocks and says_resolution(picture.exif))
    if is_held or density is None or density == _MEANINGLESS:
        return []
    return [f"resolution of {density[0]:g} dpi"]


def _lost_notes(picture: Picture, *, is_same: bool) -> list[str]:
    """Return what of a picture's notes is not written, in words for the user."""
    notes = picture.notes
    if not notes:
        return []
    match picture.format:
        case ImageFormat.TIFF:
            tags, _ = tags_of_notes(notes)
            return lost_tags(tags) if is_same else names_of_tags(tags)
        case ImageFormat.EXR:
            return names_of_attributes(notes, in_exr=is_same)
        case ImageFormat.JPEG if not is_same:
            return names_of_notes(notes)
        case ImageFormat.PNG if not is_same:
            return ["texts"]
    return []
