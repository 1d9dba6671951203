"""What a run will do: the plan that its options ask for."""

import os
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from imrestore.options import FileOptions, RunOptions
from imrestore.output import say

if TYPE_CHECKING:
    from pathlib import Path

    from restore.batch.kinds import FileKind
    from restore.batch.plan import BatchPlan, Existing, PlanRequest
    from restore.batch.resume import Resumption
    from restore.batch.shards import Shard

__all__ = ["existing_of", "planned", "request_of", "shard_of"]


def request_of(
    options: FileOptions,
    kind: "FileKind[Any, Any]",
    beside: Mapping[str, str],
    twins: str,
    only: "Collection[Path] | None",
    also_read: "Mapping[Path, Sequence[Path]] | None",
) -> "PlanRequest":
    """Return what is to be planned; see ``batch.run``.

    Raises:
        UsageError: an image and something else would share standard output, or no such shard.
    """
    from restore.batch.inputs import STANDARD_STREAM
    from restore.batch.plan import PlanRequest
    from restore.batch.twins import Twins
    from restore.errors import UsageError
    from restore.image.codecs import ImageFormat

    if options.output == STANDARD_STREAM and not options.dry_run:
        if options.json:
            raise UsageError(
                "an image and --json records cannot share standard output; give -o FILE"
            )
        if sys.stdout.isatty():
            raise UsageError("standard output is a terminal; send the image to a file or a pipe")
    return PlanRequest(
        inputs=options.inputs,
        output=options.output,
        kind=kind,
        recursive=options.recursive,
        format=ImageFormat(options.format) if options.format else None,
        compare=options.compare,
        beside=beside,
        existing=existing_of(options),
        shard=shard_of(options),
        twins=Twins(twins),
        only=only,
        also_read=also_read or {},
    )


def planned(
    options: FileOptions, request: "PlanRequest", past: "Resumption | None" = None
) -> "BatchPlan":
    """Return the plan, of which ``past`` says what is done.

    Raises:
        UsageError: it cannot be done; see ``make_plan``.
    """
    from restore.batch.plan import make_plan

    plan = make_plan(
        request if past is None or past.is_new else replace(request, is_done=past.is_done)
    )
    if past and past.changed and options.skip_existing and not options.quiet:
        say(f"{past.changed} inputs changed; results of theirs that exist are kept, as you wish")
    if options.bit_depth:
        from restore.image.encode import check_depth

        # Where the inputs do not decide it, it is known before the work what will be written.
        written_as = {item.format for item in plan.texts()} | {request.format}
        for written in filter(None, written_as | {request.kind.default_format}):
            check_depth(written, options.bit_depth, is_light=request.kind.is_light)
    if options.report:
        from restore.batch.page import check_page

        check_page(options.report, plan, existing_of(options))
    return plan


def shard_of(options: RunOptions) -> "Shard | None":
    """Return which part of the work is done; None for all of it."""
    from restore.batch.shards import FROM_ENVIRONMENT, parse_shard, shard_of_environment

    if options.shard != FROM_ENVIRONMENT:
        return parse_shard(options.shard) if options.shard else None
    shard, variable = shard_of_environment(os.environ)
    if not options.quiet:
        say(f"shard {shard.index}/{shard.count}, as {variable} says")
    return shard


def existing_of(options: RunOptions) -> "Existing":
    """Return what becomes of results that are there already."""
    from restore.batch.plan import Existing

    if options.overwrite:
        return Existing.OVERWRITE
    return Existing.SKIP if options.skip_existing else Existing.REFUSE
