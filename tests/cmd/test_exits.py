"""How the program ends where a library comes between it and a signal."""

import subprocess
import sys

import pytest

from imrestore.__main__ import run
from imrestore.exits import ExitCode, Stopped


def test_what_a_library_makes_of_a_signal_is_still_the_signal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Libraries in C++ turn what is raised in a callback into an error of their own."""

    class Failing:
        def main(self, *_arguments: object, **_options: object) -> int:
            raise RuntimeError("Converting input model: Stopped: 15")

    monkeypatch.setattr("imrestore.__main__._command", Failing)
    assert run(["weights", "list"]) == ExitCode.BUG
    monkeypatch.setattr("imrestore.exits._process.stopped_by", 15)
    with pytest.raises(Stopped) as stopped:
        run(["weights", "list"])
    assert stopped.value.exit_code == 143


REMOVED = "class Removed:\n    def __del__(self): send()\nRemoved()"


@pytest.mark.skipif(sys.platform == "win32", reason="no signals")
@pytest.mark.parametrize("work", ["send()", REMOVED])
def test_a_signal_where_nothing_can_catch_it_ends_the_process_without_a_traceback(
    work: str,
) -> None:
    program = (
        "import os, signal\n"
        "from imrestore.exits import raise_on_signals\n"
        "raise_on_signals()\n"
        "def send():\n    os.kill(os.getpid(), signal.SIGTERM)\n    sum(range(1000))\n"
        f"{work}\nprint('went on')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (143, "", "")
