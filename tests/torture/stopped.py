"""Writes what a stopped training and a stopped inspection leave, to be damaged."""

import os
import signal
import sys
from pathlib import Path

from imrestore.__main__ import run
from restore.training.history import History
from restore.training.schedule import Progress
from runs import RUNS

__all__: list[str] = []

_STOPPED_AT = 12


def main(place: Path) -> None:
    """Write ``stopped/train`` and ``stopped/anomaly`` in ``place``, where the inputs are."""
    os.chdir(place)
    note = History.__call__

    def note_and_stop(history: History, progress: Progress) -> None:
        note(history, progress)
        if progress.step == _STOPPED_AT:
            os.kill(os.getpid(), signal.SIGTERM)

    History.__call__ = note_and_stop  # type: ignore[method-assign]
    for name, code in (("train", 128 + signal.SIGTERM), ("anomaly", 0)):
        folder = Path("stopped", name)
        folder.mkdir(parents=True)
        arguments = [each.replace("out", str(folder)) for each in RUNS[name].arguments]
        assert run([*arguments, "-q"]) == code


if __name__ == "__main__":
    main(Path(sys.argv[1]))
