"""`imrestore denoise`: noisy pictures in, clean ones out."""

import math
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imrestore import batch
from imrestore.checks import exclusive, without_effect
from imrestore.denoise_options import DenoisingFileOptions, DenoisingOptions, settings_of
from imrestore.expansion import with_decoding_options, with_options
from imrestore.options import NetworkOptions
from imrestore.report import filled_in_words
from imrestore.watching import WatchOptions
from restore.errors import UsageError

if TYPE_CHECKING:
    from restore.batch.kinds import FileKind
    from restore.batch.page import PageText
    from restore.batch.plan import BatchPlan

__all__ = ["denoise"]

_TONES = {
    "pq": "denoised as PQ",
    "hlg": "denoised as HLG",
    "profile": "denoised as sRGB in place of its profile's curve",
}


@with_decoding_options
@with_options
def denoise(
    files: DenoisingFileOptions,
    network: NetworkOptions,
    denoising: DenoisingOptions,
    watching: WatchOptions,
) -> None:
    """Remove noise from photographs and camera RAW files.

    Results keep the container, bit depth, colour profile, metadata and transparency of their
    inputs; RAW files become DNGs, which RAW converters develop. No input is ever overwritten, and
    no result without --overwrite. dncnn and resunet come as a gray and a color network; each
    picture gets the one that fits.

    \b
    Examples:
      imrestore denoise photo.jpg -o clean.jpg
      imrestore denoise photo.jpg --preview                      (settings to choose from)
      imrestore denoise photos/ -r -o clean/ --compare
      imrestore denoise *.tif -o clean/ --sigma 15 --strength 0.8
      imrestore denoise photos/ -o clean/ --strength 0.6 --chroma 1
      imrestore denoise *.NEF *.CR3 *.RAF -o clean/              (DNGs, still to be developed)
      imrestore denoise card/ -r -o clean/ --raw-only --format jpg
      imrestore denoise photos/ -o clean/ --detail 0.3           (keeps a little grain)
      imrestore denoise photos/ -r -o clean/ --skip-existing     (goes on after Ctrl-C)
      imrestore denoise photos/ -o clean/ --error-map --report clean/report.html
      imrestore denoise --watch tethered/ -o clean/              (pictures as they come)
      imrestore denoise photos/ -o clean/ --shard 1/4 --json     (on the first of 4 machines)
      curl -s URL | imrestore denoise - -o - --format png > clean.png
    """  # noqa: D301 (the escape is Typer's mark for lines to be kept)
    is_sheet_only = denoising.preview and not files.output and not watching.watch
    if is_sheet_only:
        reason = "a contact sheet alone is a PNG; give -o OUT"
        without_effect(error_map=denoising.error_map and reason)
        files = _with_name_of_sheet(files)
    elif not files.output and not watching.watch:
        raise UsageError("give -o OUT, where the results go; only --preview does without")

    def prepare(plan: "BatchPlan | None") -> batch.Work:
        from imrestore.denoisers import Expected, work_on

        settings = settings_of(denoising, sheet_only=is_sheet_only, upright=files.strip_metadata)
        expected = Expected.of(plan) if plan else Expected(raw=True, pictures=not files.raw_only)
        return work_on(expected, network, settings)

    exclusive(files, ("raw_only", "both"))
    beside = {"preview": "preview.png"} if denoising.preview and not is_sheet_only else {}
    if denoising.error_map:
        beside |= {"error-map": "error.tif", "error-bound": "error-90.tif"}
    batch.run(
        files,
        prepare,
        watching=watching,
        describe=_describe,
        page=_page,
        kind=_files,
        beside=beside,
        twins="both" if files.both else "raw-only" if files.raw_only else "raw",
    )


def _files() -> "FileKind[Any, Any]":
    from restore.batch.kinds import PICTURES_AND_RAW

    return PICTURES_AND_RAW


def _with_name_of_sheet(files: DenoisingFileOptions) -> DenoisingFileOptions:
    """Return the options for a contact sheet of one picture and nothing else.

    Raises:
        UsageError: there are several inputs, or options for a result.
    """
    reason = "a contact sheet alone is a PNG; give -o OUT to write the result too"
    options = ("recursive", "format", "bit_depth", "quality", "strip_metadata", "compare", "report")
    without_effect(**{name: getattr(files, name) and reason for name in options})
    if len(files.inputs) != 1 or not os.path.isfile(files.inputs[0]):
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
    line = "{model} on {device}, {precision}, tile {tile}, ".format_map(record)
    if "sensor" in record:
        a, b = (_of_colours(record[name]) for name in ("noise_a", "noise_b"))
        defects = f", {filled_in_words(record)}" if record.get("defects") else ""
        noise = f"noise {a} x + {b} ({record['noise_source']})"
        return f"{line}{record['sensor']}, {noise}{defects}{speed}"
    line += f"sigma {record['sigma']}"
    kind = f" ({record['noise']} noise)" if "noise" in record else ""
    gray = ", gray stored as RGB" if record.get("gray_stored_as_rgb") else ""
    tone = f", {_TONES[str(record['tone_curve'])]}" if record.get("tone_curve") else ""
    expected = record.get("expected_psnr")
    is_known = isinstance(expected, float) and not math.isnan(expected)
    psnr = f", expected PSNR {expected:.1f} dB" if is_known else ""
    return line + kind + gray + tone + psnr + speed


def _of_colours(values: Any) -> str:
    """Return one number where red, green and blue have the same, else all of them."""
    return "/".join(dict.fromkeys(f"{value:g}" for value in values))
