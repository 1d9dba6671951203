"""How the program ends where a library comes between it and a signal."""

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
