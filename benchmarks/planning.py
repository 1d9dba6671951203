"""How long a run over very many inputs is planned, and how much memory that takes.

    python benchmarks/planning.py --count 1000000

A listing of so many keys is planned as in a first run with a manifest; as in the next one if that
was killed after the last result, before it noted any; and as in a run after that, which finds all
of them noted as done. Nothing is read or written but the manifest. Seconds are those of a processor
core.
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from restore.batch.kinds import PICTURES_AND_RAW
from restore.batch.manifest import Manifest
from restore.batch.plan import PlanRequest, make_plan
from restore.batch.resume import Resumption
from restore.batch.twins import Twins
from restore.remote.mount import Mount
from restore.remote.store import Entry
from restore.remote.url_paths import UrlPaths, url_paths


class Listing:
    """A store that lists ``count`` pictures, a thousand a folder, and holds nothing."""

    has_results = False

    def __init__(self, count: int) -> None:
        self._count = count

    def look(self, _key: str) -> Entry | None:
        return None

    def entries(self, folder: str, *, recursive: bool) -> Iterator[tuple[str, Entry]]:
        assert recursive
        done = folder.endswith("out")
        for index in range(0 if done and not self.has_results else self._count):
            key = f"{folder}/camera-{index // 1000:05}/IMG_{index:08}.jpg"
            yield key, Entry(4_000_000 + index, f"{index:032x}")

    def fetch(self, key: str, entry: Entry, path: Path) -> None:
        raise NotImplementedError

    def push(self, path: Path, key: str, *, overwrite: bool) -> None:
        raise NotImplementedError

    def check_writable(self, _folder: str) -> None:
        return


def mounted(paths: UrlPaths, store: Listing) -> tuple[str, str]:
    root = paths._folder() / "s3-"
    paths.mounts["s3"] = mount = Mount(root, "s3://", store, paths._free())
    for folder in ("bucket/in", "bucket/out"):
        mount.make_folder(folder)
        mount.survey(folder, recursive=True, only_names=folder.endswith("out"))
    return str(root / "bucket/in"), str(root / "bucket/out")


def plan(count: int, path: Path, case: str, is_again: bool) -> None:
    store = Listing(count)
    store.has_results = is_again
    print(f"{case}: {peak():.0f} MB at the start", end="", flush=True)
    started = time.process_time()
    with url_paths() as paths, Manifest(path, "settings") as manifest:
        source, target = mounted(paths, store)
        past = Resumption(manifest, "auto")
        made = make_plan(
            PlanRequest(
                inputs=[source],
                output=target,
                kind=PICTURES_AND_RAW,
                recursive=True,
                twins=Twins.RAW,
                is_done=None if past.is_new else past.is_done,
            )
        )
        print(f", planned after {time.process_time() - started:.1f} s", end="")
        failed = {} if past.is_new else past.failed_before(made)
        assert len(made.items) == count
        assert made.is_done == is_again
        assert not failed
        past.begin(made)
        manifest._has_more_lines_than_rows = False
    print(f", begun after {time.process_time() - started:.1f} s, {peak():.0f} MB", flush=True)


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    count = parser.parse_args().count
    processes = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.jsonl"
        for case, is_again in (("first run", False), ("after a kill", True), ("again", True)):
            run = processes.Process(target=plan, args=(count, path, case, is_again))
            run.start()
            run.join()
