"""Files of any corpus: what they are read as, and the command on folders of them."""

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from restore.image.codecs import PICTURE_SUFFIXES
from restore.image.raw import RAW_SUFFIXES
from table import Result, Verdict

__all__ = ["corpus_files", "kinds_of", "run_on"]

_MOST_SECONDS = 900
_KINDS = {
    ".safetensors": ("weights", "verified"),
    ".pth": ("foreign",),
    ".pt": ("foreign",),
    ".ckp": ("foreign",),
    ".mat": ("foreign",),
    ".npz": ("foreign", "psf"),
    ".npy": ("psf",),
}


def corpus_files(folders: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Return all files of all folders, each with the name of its folder."""
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                yield path, folder.resolve().name


def kinds_of(path: Path) -> tuple[str, ...]:
    """Return what a file is to be read as, in the words of ``judge.py``."""
    suffix = path.suffix.lower()
    if suffix in RAW_SUFFIXES:
        return ("raw", "picture")
    return _KINDS.get(suffix, ("picture",))


def run_on(
    files: Sequence[tuple[str, bytes]], weights: Path, scratch: Path, memory_mb: int
) -> Result:
    """Return what the whole command makes of a folder of pictures.

    Every file must have its record, and messages must be lines of this program.

    Args:
        files: suffix and content of each.
        weights: weights to run.
        scratch: empty folder.
        memory_mb: most MB of address space.
    """
    folder, output = scratch / "pictures", scratch / "restored"
    folder.mkdir(parents=True)
    for number, (suffix, data) in enumerate(files):
        (folder / f"{number}{suffix}").write_bytes(data)
    planned = sum(suffix.lower() in PICTURE_SUFFIXES for suffix, _ in files)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "imrestore", "denoise", folder, "-o", output, "--json",
             "--model", weights],
            env=os.environ | {"OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(scratch / "cache")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_MOST_SECONDS,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, 2 * (memory_mb << 20,)),
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Result(verdict=Verdict.SLOW, why=f"no end in {_MOST_SECONDS} s")
    finally:
        shutil.rmtree(output, ignore_errors=True)
    messages = ended.stderr.decode(errors="replace").splitlines()
    if ended.returncode < 0:
        return Result(verdict=Verdict.CRASH, why=f"ended with {ended.returncode}")
    if ended.returncode not in (0, 1):
        last = messages[-1] if messages else ""
        verdict = Verdict.TRACEBACK if ended.returncode == 70 else Verdict.WRONG
        return Result(verdict=verdict, why=f"exit code {ended.returncode}: {last}")
    for line in messages:
        if not line.startswith("imrestore: ") or not line.isprintable():
            return Result(verdict=Verdict.WRONG, why=f"printed {line[:200]!r} to standard error")
    records = ended.stdout.decode(errors="replace").splitlines()
    for line in records:
        try:
            json.loads(line)
        except ValueError:
            return Result(verdict=Verdict.WRONG, why=f"printed {line[:200]!r} among the records")
    if len(records) != planned:
        return Result(verdict=Verdict.WRONG, why=f"{len(records)} records of {planned} pictures")
    return Result(verdict=Verdict.ACCEPTED)
