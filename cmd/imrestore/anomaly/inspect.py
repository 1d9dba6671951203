"""`imrestore anomaly`: pictures of parts in, a report of their defects out."""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imrestore import batch
from imrestore.anomaly.arrivals import inspect_as_they_come
from imrestore.anomaly.cluster import check_cluster, inspecting_on_cluster
from imrestore.anomaly.line import LineOptions, Noted
from imrestore.anomaly.options import InspectingNetwork, InspectionOptions, VerdictOptions
from imrestore.checks import exclusive, without_effect
from imrestore.exits import ExitCode
from imrestore.expansion import with_decoding_options, with_options
from imrestore.options import NetworkOptions
from imrestore.output import say
from imrestore.planning import existing_of, shard_of
from imrestore.report import print_plan
from imrestore.view import ViewOptions
from imrestore.watching import check_watch
from restore.checks import LARGEST_SEED
from restore.words import counted

if TYPE_CHECKING:
    from restore.anomaly.aside import Aside
    from restore.anomaly.follow import Followers
    from restore.anomaly.records import Record
    from restore.anomaly.results import Results
    from restore.anomaly.runner import Detector
    from restore.anomaly.stages import InspectionStages
    from restore.batch.plan import BatchPlan, Item
    from restore.batch.shards import Shard

__all__ = ["anomaly", "named"]


@with_decoding_options
@with_options
def anomaly(
    files: InspectionOptions,
    network: InspectingNetwork,
    *,
    verdict: VerdictOptions,
    view: ViewOptions,
    line: LineOptions,
    fail_on_anomaly: Annotated[
        bool,
        typer.Option(
            "--fail-on-anomaly", help="Exit with code 3 if a part is defective or unfamiliar."
        ),
    ] = False,
    sample: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=1000,
            help="Inspect nothing; draw N pictures from the latent space of a vae into REPORT.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, max=LARGEST_SEED, help="Seed of --sample.")
    ] = 0,
) -> None:
    """Inspect parts with a detector that was trained on good ones.

    Every picture gets a score, a score map (float TIFF), a mask of the defects, an overlay and
    the network's reconstruction. report.html shows all of them, the highest scores first.

    Exit codes: 0 all inspected; 1 some pictures failed, the others are inspected; 2 wrong usage;
    3 a part is defective or unfamiliar and none failed, with --fail-on-anomaly.

    \b
    Examples:
      imrestore anomaly parts/ --model part.safetensors -o report
      imrestore anomaly parts/ -r --model part.safetensors -o report --fpr 0.02 --fail-on-anomaly
      imrestore anomaly parts/ --model part.safetensors -o report --skip-existing
      imrestore anomaly parts/ --model part.safetensors -o report --roi 40,20,200,160 --min-area 9
      imrestore anomaly --watch camera/ --model part.safetensors -o report --move-defective bad/
      imrestore anomaly parts/ -r --model part.safetensors -o report --cluster auto
      imrestore anomaly --model vae.safetensors -o drawn --sample 16
    """  # noqa: D301 (the escape is Typer's mark for lines to be kept)
    if sample is not None:
        options = vars(line) | {"cluster": files.cluster}
        given = {name: value for name, value in options.items() if value is not None}
        without_effect(**dict.fromkeys(given, "--sample inspects nothing"))
        _draw(files, network, sample, seed)
        return
    check_watch(line, files, files.inputs)
    check_cluster(files, line)
    _inspect(files, network, verdict, view, line, fail_on_anomaly=fail_on_anomaly)


def _inspect(
    files: InspectionOptions,
    network: NetworkOptions,
    verdict: VerdictOptions,
    view: ViewOptions,
    line: LineOptions,
    *,
    fail_on_anomaly: bool,
) -> None:
    exclusive(files, ("overwrite", "skip_existing"))
    exclusive(files, ("quiet", "verbose"))
    from restore.anomaly.results import Results
    from restore.errors import UsageError

    inputs = files.inputs or ([str(line.watch)] if line.watch else [])
    if not inputs:
        raise UsageError("give pictures or folders to inspect (see imrestore anomaly --help)")
    _check_output(files.output)
    followers = line.followers()
    aside = line.aside(inputs, recursive=files.recursive, report=files.output)
    shard = shard_of(files)
    with closing(Results(files.output, shard)) as results:
        note = Noted(results, followers, aside)
        _inspect_into(note, inputs, shard, files, network, verdict, view, line, fail_on_anomaly)


def _inspect_into(
    note: Noted,
    inputs: "Sequence[str]",
    shard: "Shard | None",
    files: InspectionOptions,
    network: NetworkOptions,
    verdict: VerdictOptions,
    view: ViewOptions,
    line: LineOptions,
    fail_on_anomaly: bool,
) -> None:
    from restore.anomaly.files import inspection_plan, prepare_result_folders
    from restore.anomaly.verdict import REJECTED
    from restore.batch.plan import Existing

    results, followers, aside = note.results, note.followers, note.aside
    existing = Existing.SKIP if line.watch else existing_of(files)
    results.refuse_to_replace(existing)
    kept = results.recorded() if existing is Existing.SKIP else []
    if line.watch and not files.dry_run:
        detector = _opened(network, verdict, view, files, kept)
        stages = _stages(files, detector, followers, overwrite=True)
        prepare_result_folders((), files.output)
        results.begin(kept)
        _resume(aside, kept)
        inspect_as_they_come(files, line, stages, note, _describe)
    plan = inspection_plan(
        inputs,
        files.output,
        recursive=files.recursive,
        existing=existing,
        shard=shard,
        done={record.source for record in kept if not record.error},
    )
    with batch.report_on(plan, files, _describe) as report:
        if files.dry_run:
            print_plan(plan, as_json=files.json, beside=_moves(aside))
            raise typer.Exit(report.exit_code)
        with inspecting_on_cluster(plan, inputs, files, network, verdict, view, report) as work:
            # This machine tells what was found, and need not have the GPU of those that inspect.
            here = replace(network, device="cpu", precision="auto") if work else network
            detector = _opened(here, verdict, view, files, kept)
            prepare_result_folders(plan.items, files.output)
            results.begin(kept, {item.source_name for item in plan.items})
            _resume(aside, kept)
            if work:
                work(note)
            else:
                overwrite = existing is not Existing.REFUSE
                batch.work_through(
                    plan.items,
                    _stages(files, detector, followers, overwrite=overwrite),
                    report,
                    jobs=files.jobs,
                    lanes=detector.network.runner.lanes,
                    note=note,
                )
        failure = _finish(plan, detector, results)
        report.summarize()
    if failure:
        say(failure)
        raise typer.Exit(max(report.exit_code, ExitCode.SOME_FAILED))
    if not files.quiet:
        for sentence in results.warnings.values():
            say(sentence)
        others = f"; {results.others} more of earlier runs" if results.others else ""
        is_vain = report.exit_code and not results.inspected
        counts = f"{_counted(results)} of {results.inspected}"
        say(f"{'no part was inspected' if is_vain else counts}{others}; {results.page}")
    rejected = results.count(*REJECTED)
    if report.exit_code == ExitCode.DONE and fail_on_anomaly and rejected:
        raise typer.Exit(ExitCode.ANOMALIES_FOUND)
    raise typer.Exit(report.exit_code)


def _unchecked(detector: "Detector", verdict: VerdictOptions) -> str:
    """Return a sentence if unfamiliar pictures are not noticed though they should be."""
    if detector.familiarity or not verdict.unfamiliar_fpr:
        return ""
    return (
        f"{detector.weights.name} does not say how good parts look, so that a picture without a "
        "part may be called good; add it with `imrestore anomaly calibrate`"
    )


def _counted(results: "Results") -> str:
    """Return how many parts are defective, and how many have rarer verdicts if any."""
    from restore.anomaly.verdict import Verdict

    rare = {Verdict.UNFAMILIAR: "unfamiliar", Verdict.REVIEW: "for review"}
    counts = [f"{results.count(Verdict.DEFECTIVE)} defective"]
    counts += [f"{count} {word}" for each, word in rare.items() if (count := results.count(each))]
    return ", ".join(counts)


def _moves(aside: "Aside | None") -> "Callable[[Item], Mapping[str, str]]":
    """Return what a dry run tells of moves."""

    def move(item: "Item") -> Mapping[str, str]:
        place = aside.place_of(item) if aside and not item.skip else None
        return {"moved_to_if_defective": str(place)} if place else {}

    return move


def _resume(aside: "Aside | None", kept: "Sequence[Record]") -> None:
    """End the moves that an earlier run was stopped in."""
    for message in aside.resume(kept) if aside else ():
        say(message)


def _opened(
    network: NetworkOptions,
    verdict: VerdictOptions,
    view: ViewOptions,
    files: InspectionOptions,
    kept: "list[Record]",
) -> "Detector":
    """Return the detector, by which all that is kept must have been made."""
    detector = verdict.detector(named(network), view)
    _check_kept(files.output, kept, detector)
    if not files.quiet:
        for sentence in (
            detector.shortfall,
            *detector.departures,
            _unchecked(detector, verdict),
        ):
            if sentence:
                say(sentence)
    return detector


def _stages(
    files: InspectionOptions, detector: "Detector", followers: "Followers", *, overwrite: bool
) -> "InspectionStages":
    from restore.anomaly.stages import InspectionStages

    return InspectionStages(
        detector=detector,
        report=files.output,
        overwrite=overwrite,
        standard_input=sys.stdin.buffer,
        follow=followers,
    )


def _finish(plan: "BatchPlan", detector: "Detector", results: "Results") -> str:
    """Write tables and page; return a sentence if they cannot be, as where the disk is full."""
    from restore.errors import OutputError

    try:
        results.finish(plan.items, detector)
    except OutputError as error:
        return str(error)
    return ""


def _draw(files: InspectionOptions, network: NetworkOptions, count: int, seed: int) -> None:
    """Write ``count`` pictures from a latent space."""
    from restore.anomaly.runner import draw_samples
    from restore.anomaly.stages import reconstruction_bytes
    from restore.errors import OutputExists, UsageError
    from restore.files import write_atomically

    if files.inputs:
        raise UsageError("--sample draws pictures and inspects none; leave the inputs out")
    _check_output(files.output)
    pictures = draw_samples(named(network).model, count, seed=seed)
    suffix = ".png" if pictures.shape[1] in (1, 3) else ".tiff"
    paths = [files.output / f"sample-{index:04d}{suffix}" for index in range(1, count + 1)]
    there = [path for path in paths if path.exists()]
    if there and not files.overwrite:
        raise OutputExists(f"{there[0]}: exists already; --overwrite replaces it")
    if files.dry_run:
        for path in paths:
            print(path)
        return
    files.output.mkdir(parents=True, exist_ok=True)
    for path, picture in zip(paths, pictures, strict=True):
        write_atomically(path, reconstruction_bytes(picture, 8), overwrite=files.overwrite)
    if not files.quiet:
        say(f"{counted(count, 'picture')} drawn into {files.output}")


def _check_kept(report: Path, kept: "list[Record]", detector: "Detector") -> None:
    """Refuse to mix the verdicts of two detectors in one report."""
    from restore.errors import UsageError

    if not all(record.was_made_by(detector) for record in kept):
        raise UsageError(
            f"{report}: was made with other weights or another threshold; use --overwrite or "
            "another folder"
        )


def named(network: NetworkOptions) -> NetworkOptions:
    """Return ``network``, which must name its weights: no detector fits all parts."""
    from restore.errors import UsageError

    if network.model == "auto":
        raise UsageError(
            "give --model FILE, trained with `imrestore train anomaly --good DIR -o FILE --time 2h`"
        )
    return network


def _check_output(report: Path) -> None:
    from restore.errors import UsageError

    if str(report) == "-":
        raise UsageError("a report is a folder of files; it cannot go to standard output")
    if report.exists() and not report.is_dir():
        raise UsageError(f"{report}: is a file; a report needs a folder")


def _describe(record: Mapping[str, object]) -> str:
    reason = f" ({record['reason']})" if record.get("reason") else ""
    line = (
        f"{record['verdict']}{reason}, "
        "score {score}, threshold {threshold}, {region_count} places, "
        "{model} on {device}, {precision}, {seconds} s"
    ).format_map(record)
    return line + (", gray stored as RGB" if record.get("gray_stored_as_rgb") else "")
