"""What follows a verdict at once: a command, and a message to a server."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from restore.anomaly.verdict import Verdict
from restore.arguments import argument
from restore.errors import UsageError, one_line

__all__ = ["Command", "Followers", "Webhook"]

_COMMAND_S, _TIMEOUT_S = 60.0, 5.0
_PAUSES_S = (0.5, 1.0, 2.0)
_MOST_TOLD = 4096
_STANDARD_ERROR = 2
_RETRIED = (408, 425, 429)
_SERVER_ERROR, _REDIRECTED = 500, 300


@dataclass(frozen=True)
class Command:
    """A program that is run for each part that is not good, without a shell.

    It is given the file and the verdict as its last two arguments, and PART_FILE, PART_VERDICT,
    PART_SCORE and PART_RECORD (all of it, as JSON) in its environment. What it prints goes to this
    process's standard error, whose standard output may be records.

    Attributes:
        words: The program and its arguments.
    """

    words: tuple[str, ...]

    @classmethod
    def parsed(cls, text: str) -> "Command":
        """Return the command of a line, split as a shell splits it.

        Raises:
            UsageError: it is empty, its quotes do not end, or there is no such program.
        """
        try:
            words = tuple(shlex.split(text))
        except ValueError as error:
            raise UsageError(f"{argument('on_defect')} {text}: {error}") from error
        if not words or shutil.which(words[0]) is None:
            raise UsageError(
                f"{argument('on_defect')} {text}: there is no program {words[0] if words else ''!r}"
            )
        return cls(words)

    def run(self, record: Mapping[str, object], timeout_s: float = _COMMAND_S) -> str:
        """Run it; return what went wrong in a phrase, or ""."""
        source, verdict = str(record["source"]), str(record["verdict"])
        values = {
            "PART_FILE": source,
            "PART_VERDICT": verdict,
            "PART_SCORE": str(record.get("score", "")),
            "PART_RECORD": json.dumps(record),
        }
        with tempfile.TemporaryFile() as errors:
            try:
                process = subprocess.Popen(
                    [*self.words, source, verdict],
                    env=os.environ | values,
                    stdin=subprocess.DEVNULL,
                    stdout=_STANDARD_ERROR if _is_open(_STANDARD_ERROR) else subprocess.DEVNULL,
                    stderr=errors,
                    start_new_session=True,  # Ctrl-C is not for it; a time-out is for all of it
                )
            except OSError as error:
                return f"cannot be run: {error.strerror}"
            try:
                code = process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                _kill(process)
                return f"ended after {timeout_s:g} s without being done"
            said = _last_line(errors)
        return f"ended with {code}{f': {said}' if said else ''}" if code else ""


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _kill(process: "subprocess.Popen[bytes]") -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (OSError, AttributeError):  # gone, or Windows
        process.kill()
    process.wait()


def _last_line(errors: Any) -> str:
    errors.seek(0, os.SEEK_END)
    errors.seek(max(0, errors.tell() - _MOST_TOLD))
    lines = errors.read().decode(errors="replace").split("\n")
    return one_line(next((line for line in reversed(lines) if line.strip()), ""))


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirected POST would become a GET without the record."""

    def redirect_request(self, *_: Any) -> None:
        """Return no request to follow with."""


class Webhook:
    """A server that is sent each record as JSON with POST.

    A message that fails is tried four times, with pauses of 0.5, 1 and 2 s. While a server does
    not answer, those that follow are tried once, so that it does not hold up the line.

    Args:
        url: Its address, with http or https.
        pauses_s: Pauses before the second and later tries.
        timeout_s: How long one try may take.

    Raises:
        UsageError: no such address.
    """

    def __init__(
        self, url: str, *, pauses_s: tuple[float, ...] = _PAUSES_S, timeout_s: float = _TIMEOUT_S
    ) -> None:
        try:
            parts = urlsplit(url)
            is_address = parts.scheme in ("http", "https") and bool(parts.hostname)
            self._name = f"{parts.scheme}://{parts.hostname}" + (
                f":{parts.port}" * bool(parts.port)
            )
        except ValueError:
            is_address = False
        if not is_address:
            raise UsageError(
                f"{argument('webhook')} {url}: give an address with http:// or https://"
            )
        self._url, self._pauses_s, self._timeout_s = url, pauses_s, timeout_s
        self._is_down = False
        self._lock = threading.Lock()
        self._opener = urllib.request.build_opener(_NoRedirects)

    def send(self, record: Mapping[str, object], should_stop: Callable[[], bool]) -> str:
        """Send a record; return what went wrong in a phrase, or ""."""
        with self._lock:
            pauses = () if self._is_down else self._pauses_s
        reason = self._tried(record)
        for pause in pauses:
            if not reason or reason.is_final or should_stop():
                break
            time.sleep(pause)
            reason = self._tried(record)
        with self._lock:
            self._is_down = bool(reason and not reason.is_final)
        return f"{self._name}: {reason.text}" if reason else ""

    def _tried(self, record: Mapping[str, object]) -> "_Refusal | None":
        request = urllib.request.Request(
            self._url,
            data=json.dumps(record).encode(),
            headers={"Content-Type": "application/json", "User-Agent": "imrestore"},
        )
        try:
            with self._opener.open(request, timeout=self._timeout_s):
                return None
        except urllib.error.HTTPError as error:
            error.close()
            is_final = error.code < _SERVER_ERROR and error.code not in _RETRIED
            moved = " (redirects are not followed)" if _REDIRECTED <= error.code < 400 else ""
            return _Refusal(f"answered {error.code}{moved}", is_final)
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            return _Refusal(one_line(getattr(reason, "strerror", None) or str(reason)), False)
        except Exception as error:  # an answer that is no HTTP
            return _Refusal(one_line(f"{type(error).__name__}: {error}"), False)


@dataclass(frozen=True)
class _Refusal:
    """Why a message did not get through, and whether it never will."""

    text: str
    is_final: bool


@dataclass(frozen=True)
class Followers:
    """What is done about each part before its record is written.

    After a power cut it may be done twice for a part, and never not at all.

    Attributes:
        on_defect: Run for parts that are not good.
        webhook: Told about every part.
    """

    on_defect: Command | None = None
    webhook: Webhook | None = None

    def __call__(
        self, record: Mapping[str, object], should_stop: Callable[[], bool] = lambda: False
    ) -> list[str]:
        """Return what did not work, a sentence each."""
        failures = []
        if self.on_defect and record["verdict"] != Verdict.GOOD:
            reason = self.on_defect.run(record)
            failures += (
                [f"{argument('on_defect')} {shlex.join(self.on_defect.words)}: {reason}"]
                if reason
                else []
            )
        if self.webhook:
            reason = self.webhook.send(record, should_stop)
            failures += [f"{argument('webhook')} {reason}"] if reason else []
        return failures
