"""`imrestore denoise`: noisy pictures in, clean ones out."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from imrestore import batch
from imrestore.expansion import with_decoding_options, with_options
from imrestore.options import OUTPUT_HELP, FileOptions, NetworkOptions, without_effect
from restore.errors import UsageError

if TYPE_CHECKING:
    from restore.batch.out_of_core import OutOfCoreResult
    from restore.batch.page import PageText
    from restore.batch.plan import BatchPlan
    from restore.denoise.preview import ContactSheet
    from restore.denoise.runner import Denoised
    from restore.image.picture import Picture

__all__ = ["denoise"]


_TONES = {
    "pq": "denoised as PQ",
    "hlg": "denoised as HLG",
    "profile": "denoised as sRGB in place of its profile's curve",
}


def _sigma(value: str) -> str:
    try:
        valid = value == "auto" or 0 <= float(value) <= 255
    except ValueError:
        valid = False
    if not valid:
        raise typer.BadParameter(f"{value}: give a noise level from 0 to 255, or auto")
    return value


def _share(value: float | None) -> float | None:
    if value is not None and not 0 <= value <= 1:  # also where it is not a number
        raise typer.BadParameter(f"{value}: give a number from 0 to 1")
    return value


@dataclass(frozen=True, kw_only=True)
class DenoisingFileOptions(FileOptions):
    """The options of files, of which a contact sheet needs no output."""

    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            metavar="OUT",
            help=f"{OUTPUT_HELP} May be left out with --preview.",
            show_default=False,
        ),
    ] = ""


@with_decoding_options
@with_options
def denoise(
    files: DenoisingFileOptions,
    network: NetworkOptions,
    *,
    sigma: Annotated[
        str,
        typer.Option(
            metavar="auto|N",
            help="Standard deviation of the noise, 0 to 255 where white is 255; auto estimates "
            "it for each picture. With a number, --model auto takes resunet-color in place of "
            "photo. Blind networks ignore it.",
            callback=_sigma,
        ),
    ] = "auto",
    strength: Annotated[
        float,
        typer.Option(
            metavar="0..1",
            help="Blend of input and result: 0 keeps the input's pixels, 1 the full result.",
            callback=_share,
        ),
    ] = 1.0,
    chroma: Annotated[
        float | None,
        typer.Option(
            metavar="0..1",
            help="The same for colour noise alone: --strength 0.6 --chroma 1 keeps grain and "
            "removes its colour.",
            show_default="as --strength",
            callback=_share,
        ),
    ] = None,
    detail: Annotated[
        float,
        typer.Option(
            metavar="0..1",
            help="How much of the finest luminance texture to put back: grain without colour and "
            "without blotches.",
            callback=_share,
        ),
    ] = 0.0,
    preview: Annotated[
        bool,
        typer.Option(
            "--preview",
            help="Also write NAME_preview.png, a contact sheet to choose from: places of the "
            "picture at 1:1 with --strength 0.4 to 1 and --detail 0 and 0.3. Without -o only that, "
            "of one picture, into the working folder.",
        ),
    ] = False,
) -> None:
    """Remove noise from photographs.

    Results keep the container, bit depth, colour profile, metadata and transparency of their
    inputs. No input is ever overwritten, and no result without --overwrite. dncnn and resunet
    come as a gray and a color network; each picture gets the one that fits.

    \b
    Examples:
      imrestore denoise photo.jpg -o clean.jpg
      imrestore denoise photo.jpg --preview                      (settings to choose from)
      imrestore denoise photos/ -r -o clean/ --compare
      imrestore denoise *.tif -o clean/ --sigma 15 --strength 0.8
      imrestore denoise photos/ -o clean/ --strength 0.6 --chroma 1
      imrestore denoise photos/ -o clean/ --detail 0.3           (keeps a little grain)
      imrestore denoise photos/ -r -o clean/ --skip-existing     (goes on after Ctrl-C)
      imrestore denoise photos/ -o clean/ --shard 1/4 --json     (on the first of 4 machines)
      curl -s URL | imrestore denoise - -o - --format png > clean.png
    """  # noqa: D301 (the escape is Typer's mark for lines to be kept)
    is_sheet_only = preview and not files.output
    if is_sheet_only:
        files = _with_name_of_sheet(files)
    elif not files.output:
        raise UsageError("give -o OUT, where the results go; only --preview does without")

    def prepare(_plan: "BatchPlan") -> batch.Work:
        from restore.denoise.preview import ContactSheet
        from restore.denoise.runner import Denoiser
        from restore.image.tiff_regions import OutOfCorePicture

        level: float | Literal["auto"] = "auto" if sigma == "auto" else float(sigma)
        denoiser = Denoiser(
            network.model,
            device=network.device,
            precision=network.precision,
            tile=network.tile,
            sigma=level,
        )

        def restore(
            picture: "Picture | OutOfCorePicture",
        ) -> "ContactSheet | Denoised | OutOfCoreResult":
            if isinstance(picture, OutOfCorePicture):
                return denoiser.out_of_core(
                    picture, sigma=level, strength=strength, chroma=chroma, detail=detail
                )
            denoised = denoiser(
                picture,
                sigma=level,
                strength=strength,
                chroma=chroma,
                detail=detail,
                preview=preview,
            )
            if is_sheet_only and denoised.preview:
                return ContactSheet(denoised.preview, denoised.picture, denoised.record)
            return denoised

        return batch.Work(restore, denoiser.lanes)

    beside = {"preview": "preview.png"} if preview and not is_sheet_only else {}
    batch.run(files, prepare, describe=_describe, page=_page, beside=beside)


def _with_name_of_sheet(files: DenoisingFileOptions) -> DenoisingFileOptions:
    """Return the options for a contact sheet of one picture and nothing else.

    Raises:
        UsageError: there are several inputs, or options for a result.
    """
    reason = "a contact sheet alone is a PNG; give -o OUT to write the result too"
    options = ("recursive", "format", "bit_depth", "quality", "strip_metadata", "compare", "report")
    without_effect(**{name: getattr(files, name) and reason for name in options})
    if len(files.inputs) > 1 or not os.path.isfile(files.inputs[0]):
        raise UsageError("--preview without -o takes one file; give -o OUT for more")
    return replace(files, output=f"{Path(files.inputs[0]).stem}_preview.png")


def _page() -> "PageText":
    from restore.batch.page import PageText

    return PageText(
        title="imrestore denoise",
        explanation="Before is the picture as it came, after is the result.",
        difference="Removed \u00d78",
    )


def _describe(record: Mapping[str, object]) -> str:
    megapixels, seconds = record.get("megapixels"), record.get("seconds")
    speed = ""
    if isinstance(megapixels, float) and isinstance(seconds, float) and seconds > 0:
        speed = f", {megapixels / seconds:.3g} megapixels/s"
    line = "{model} on {device}, {precision}, tile {tile}, sigma {sigma}".format_map(record)
    kind = f" ({record['noise']} noise)" if "noise" in record else ""
    gray = ", gray stored as RGB" if record.get("gray_stored_as_rgb") else ""
    tone = f", {_TONES[str(record['tone_curve'])]}" if record.get("tone_curve") else ""
    return line + kind + gray + tone + speed
