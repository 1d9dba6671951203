"""Has one file read as its kind is read, and says what came of it."""

import os
import resource
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Self

import numpy as np

from imrestore.__main__ import run
from imrestore.exits import ExitCode
from restore.errors import RestoreError
from restore.image.codecs import WRITTEN, ImageFormat
from restore.image.decode import decode
from restore.image.dng import write_cfa_dng
from restore.image.encode import encode
from restore.image.linear_dng import read_linear_dng
from restore.image.picture import Picture
from restore.image.raw import read_raw
from restore.image.tiff_regions import open_out_of_core
from table import SLOW_SECONDS, Result, Verdict

__all__ = ["Judge"]

_MOST_MEGABYTES = 300
_MOST_BYTES_PER_PIXEL = 12
_MOST_PIXELS_OF_MORE = 1_000_000
_LONGEST_LINE = 400


class _Wrong(Exception):
    """Something happened that must not."""


@dataclass(frozen=True)
class Judge:
    """Judges files in one folder, as one worker has it.

    Attributes:
        folder: folder for what is written.
        place: folder with the inputs of the runs of ``runs.py`` and, in ``stopped/``, what they
            leave when they are stopped.
    """

    folder: Path
    place: Path

    def __call__(self, kind: str, path: Path) -> Result:
        """Return what becomes of a file.

        Args:
            kind: picture, raw, linear (DNG), weights, verified (weights), foreign (checkpoint),
                psf, checkpoint, history (both of a training) or results (of an inspection).
            path: the file.
        """
        with _Printed(self.folder) as printed:
            cost = _Cost()
            pixels, megabytes = 0, 0.0
            verdict, why = Verdict.ACCEPTED, ""
            try:
                if kind == "picture":
                    picture = _decoded(path)
                    pixels = 0 if picture is None else picture.height * picture.width
                    megabytes = cost.megabytes()
                    if picture is not None and pixels <= _MOST_PIXELS_OF_MORE:
                        _write(path, picture, self.folder)
                elif kind == "raw":
                    raw = read_raw(path)
                    pixels = raw.mosaic.size
                    megabytes = cost.megabytes()
                    if pixels <= _MOST_PIXELS_OF_MORE:
                        write_cfa_dng(raw)
                elif kind == "linear":
                    light = read_linear_dng(path)
                    pixels = light.height * light.width
                elif kind == "foreign":
                    resolve_name("restore.weights.convert.convert:convert")(path)
                elif kind == "psf":
                    resolve_name("restore.hdr.optics.psf:load_psf")(path)
                else:
                    verdict, why = self._of_command(kind, path, printed)
            except RestoreError as error:
                why = str(error)
                verdict = Verdict.REFUSED if why.isprintable() else Verdict.WRONG
            except _Wrong as error:
                verdict, why = Verdict.WRONG, str(error)
            except Exception as error:
                verdict, why = Verdict.TRACEBACK, f"{type(error).__name__}: {error}"
            megabytes = megabytes or cost.megabytes()
            seconds = cost.seconds()
            if seconds > SLOW_SECONDS:
                verdict, why = Verdict.SLOW, f"{seconds:.0f} s: {why}"
        if verdict in (Verdict.ACCEPTED, Verdict.REFUSED):
            most = _MOST_MEGABYTES + _MOST_BYTES_PER_PIXEL * pixels / 2**20
            if megabytes > most:
                verdict, why = Verdict.WRONG, f"took {megabytes:.0f} MB, {verdict}: {why}"
            elif len(why) > _LONGEST_LINE + len(str(path)):
                verdict, why = Verdict.WRONG, f"a line of {len(why)} characters: {why[:200]}"
        return Result(verdict=verdict, why=why[:400], megabytes=round(megabytes, 1))

    def _of_command(self, kind: str, path: Path, printed: "_Printed") -> tuple[Verdict, str]:
        """Run the command that reads such a file, in this process."""
        code = run(_COMMANDS[kind](self, path))
        _, errors = printed.texts()
        lines = errors.splitlines()
        if code == ExitCode.BUG or "Traceback" in errors:
            return Verdict.TRACEBACK, errors
        if code not in (ExitCode.DONE, ExitCode.SOME_FAILED, ExitCode.USAGE):
            return Verdict.WRONG, f"exit code {code}: {errors}"
        if code and not any(printed.texts()):
            return Verdict.WRONG, f"exit code {code} without a word"
        for line in lines:
            if not line.startswith("imrestore: ") or not line.isprintable():
                return Verdict.WRONG, f"printed {line!r:.200}"
        return (Verdict.REFUSED if code else Verdict.ACCEPTED), max(lines, key=len, default="")

    def _weights(self, path: Path) -> list[str]:
        picture = self.place / "in" / "pictures" / "a.png"
        options = ["--device", "cpu", "--overwrite", "-q"]
        output = str(self.folder / "o.png")
        return ["denoise", str(picture), "-o", output, "--model", str(path), *options]

    def _checkpoint(self, path: Path) -> list[str]:
        return self._training({"mine.checkpoint": path})

    def _history(self, path: Path) -> list[str]:
        return self._training({"mine.history.csv": path})

    def _training(self, damaged: dict[str, Path]) -> list[str]:
        from runs import RUNS

        out = self._stopped("train", damaged)
        arguments = [a.replace("out/", f"{out}/") for a in RUNS["train"].arguments]
        arguments[2] = str(self.place / "in" / "parts")
        return [*arguments, "--resume", "-q"]

    def _results(self, path: Path) -> list[str]:
        out = self._stopped("anomaly", {"results.jsonl": path})
        arguments = ["anomaly", "in/parts", "-o", str(out), "--model", "in/detector.safetensors"]
        return [*arguments, "--skip-existing", "-q"]

    def _stopped(self, name: str, damaged: dict[str, Path]) -> Path:
        """Lay out what a stopped run left, with a damaged file in it."""
        out = self.folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(self.place / "stopped" / name, out)
        for to, path in damaged.items():
            shutil.copyfile(path, out / to)
        return out


_COMMANDS: dict[str, Callable[[Judge, Path], list[str]]] = {
    "weights": Judge._weights,
    "verified": lambda _judge, path: ["weights", "verify", str(path)],
    "checkpoint": Judge._checkpoint,
    "history": Judge._history,
    "results": Judge._results,
}


def _decoded(path: Path) -> Picture:
    """Read a picture as a whole and, if it is a TIFF, in parts: both must say the same."""
    whole: Picture | RestoreError
    try:
        whole = decode(path)
    except RestoreError as error:
        whole = error
    if path.suffix == ".tif":
        parts = None
        with suppress(RestoreError):
            parts = _in_parts(path)
        if parts is not None and (
            isinstance(whole, RestoreError)
            or not np.array_equal(parts.pixels, whole.pixels, equal_nan=True)
        ):
            raise _Wrong(f"read in parts it is another picture ({whole!s:.200})")
    if isinstance(whole, RestoreError):
        raise whole
    return whole


def _in_parts(path: Path) -> Picture | None:
    opened = open_out_of_core(path, workplace=path.parent, budget_bytes=1)
    if opened is None or opened.height * opened.width > _MOST_PIXELS_OF_MORE:
        return None
    with opened.opened() as read:
        return read((slice(0, opened.height), slice(0, opened.width)))


def _write(path: Path, picture: Picture, folder: Path) -> None:
    """Write a picture as it came; what was written must be readable."""
    image_format = picture.format if picture.format in WRITTEN else ImageFormat.PNG
    written = encode(picture, image_format)
    try:
        decode(written)
    except RestoreError as error:
        (folder / "written").write_bytes(written)
        raise _Wrong(f"{path}: its {image_format} cannot be read again: {error}") from error


class _Printed:
    """What this program and the libraries under it print meanwhile to the standard streams."""

    def __init__(self, folder: Path) -> None:
        self._paths = folder / "printed-1", folder / "printed-2"
        self._kept: list[int] = []

    def __enter__(self) -> Self:
        _flush()
        self._kept = [os.dup(1), os.dup(2)]
        for number, path in enumerate(self._paths, 1):
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
            os.dup2(file, number)
            os.close(file)
        return self

    def texts(self) -> tuple[str, str]:
        """Return what has been printed so far to standard output and to standard error."""
        _flush()
        out, err = (path.read_text(errors="replace") for path in self._paths)
        return out, err

    def __exit__(self, *_: object) -> None:
        _flush()
        for number, kept in enumerate(self._kept, 1):
            os.dup2(kept, number)
            os.close(kept)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


class _Cost:
    """Processor time and memory of this process and its children from now on.

    Memory is exact on Linux; elsewhere only what exceeds the peak of all files before shows.
    """

    def __init__(self) -> None:
        self._processes = [os.getpid(), *_children()]
        self._before = {process: self._reset(process) for process in self._processes}
        self._peak_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self._seconds_before = _processor_seconds()

    def seconds(self) -> float:
        """Return the processor time since then."""
        return _processor_seconds() - self._seconds_before

    def megabytes(self) -> float:
        """Return the most memory taken at once, beyond what was taken at the start."""
        if not os.path.exists("/proc/self/clear_refs"):
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            return (peak - self._peak_before) / 1024
        kilobytes = 0
        for process in {*self._processes, *_children()}:
            kilobytes += max(0, _status(process, "VmHWM") - self._before.get(process, 30_000))
        return kilobytes / 1024

    def _reset(self, process: int) -> int:
        with suppress(OSError), open(f"/proc/{process}/clear_refs", "w") as file:
            file.write("5")
        return _status(process, "VmRSS")


def _children() -> list[int]:
    with suppress(OSError, ValueError):
        path = f"/proc/self/task/{os.getpid()}/children"
        return [int(word) for word in Path(path).read_text().split()]
    return []


def _processor_seconds() -> float:
    """Return the processor time of this process and of its children, ended or not."""
    times = os.times()
    ticks = 0
    for process in _children():
        with suppress(OSError):
            words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            ticks += int(words[11]) + int(words[12])
    return sum(times[:4]) + ticks / os.sysconf("SC_CLK_TCK")


def _status(process: int, name: str) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
    return 0
