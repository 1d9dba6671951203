"""The history of a run: a table, a curve, and TensorBoard files where it is installed."""

import csv
import importlib.util
import io
import logging
import math
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from restore.files import write_atomically
from restore.training.board import Board
from restore.training.curve import curve_of
from restore.training.schedule import PSNR, Figure, Progress

__all__ = ["History"]

log = logging.getLogger("restore")

_ROWS = 200
_LONGEST_TABLE = 1 << 20
_SECONDS_BETWEEN_CURVES = 30.0


class History:
    """Writes ``NAME.history.csv`` and its curve ``NAME.history.png`` beside a weight file.

    Drawing the curve takes longer than a step of a small network, so it is drawn after a validation
    at most every 30 seconds of training, and when the run ends.

    With the extra ``[tensorboard]`` the same numbers and a sheet of pictures go into the folder
    ``NAME.tensorboard`` too. A resumed run continues the same files: entries after the last
    checkpoint are replaced.

    Args:
        output: the weight file.
        resume: whether to keep the rows of the stopped run.
        figure: figure that validations measure.
        sheet: returns a contact sheet of pictures, ``(3, H, W)`` in [0, 1], or None.
    """

    def __init__(
        self,
        output: Path,
        *,
        resume: bool,
        figure: Figure = PSNR,
        sheet: Callable[[], Tensor | None] = lambda: None,
    ) -> None:
        self._figure = figure
        self._table = output.with_name(f"{output.stem}.history.csv")
        self._curve = self._table.with_suffix(".png")
        self._columns = ("step", "seconds", "loss", "learning_rate", figure.key)
        self._rows = self._earlier_rows() if resume and self._table.exists() else []
        self._last = -1
        self._drawn_at = 0.0
        self._sheet = sheet
        self._board: Board | None = None
        self._board_folder = output.with_name(f"{output.stem}.tensorboard")

    def __call__(self, progress: Progress) -> None:
        """Record a step: about 200 rows per run, plus one per validation."""
        due = int(progress.progress * _ROWS)
        if self._last < 0:
            self._begin(progress.step)
        if due == self._last and not progress.validated:
            return
        self._last = due
        numbers = {
            "loss": None if math.isnan(progress.loss) else progress.loss,
            "learning_rate": progress.learning_rate,
            self._figure.key: progress.validation if progress.validated else None,
        }
        values = {"step": progress.step, "seconds": round(progress.elapsed, 1), **numbers}
        self._rows.append({key: "" if v is None else f"{v:.8g}" for key, v in values.items()})
        self._write()
        for name, value in numbers.items():
            if self._board and value is not None:
                self._board.add_scalar(name, value, progress.step)
        if progress.validated:
            if progress.elapsed - self._drawn_at >= _SECONDS_BETWEEN_CURVES:
                self._drawn_at = progress.elapsed
                self._draw()
            sheet = self._sheet() if self._board else None
            if self._board and sheet is not None:
                self._board.add_image("noisy, restored, clean", sheet, progress.step)

    def close(self) -> None:
        """Draw the curve once more."""
        if self._rows:
            self._draw()

    def _earlier_rows(self) -> list[dict[str, str]]:
        """Return the rows of the stopped run; none, and a warning, if they are something else."""
        try:
            if self._table.stat().st_size > _LONGEST_TABLE:
                raise ValueError("it is too long")
            with self._table.open(newline="") as file:
                return [self._checked(row) for row in csv.DictReader(file)]
        except (OSError, ValueError, TypeError, KeyError, csv.Error):
            log.warning("%s: is no history of this run; it begins anew", self._table)
            return []

    def _checked(self, row: dict[str, str]) -> dict[str, str]:
        kept = {key: row[key] for key in self._columns}
        if int(kept["step"]) < 0:
            raise ValueError("steps are counted from 0")
        for number in filter(None, kept.values()):
            float(number)
        return kept

    def _begin(self, step: int) -> None:
        self._rows = [row for row in self._rows if int(row["step"]) < step]
        if importlib.util.find_spec("tensorboard"):
            self._board = Board(self._board_folder, step)

    def _write(self) -> None:
        table = io.StringIO(newline="")
        writer = csv.DictWriter(table, self._columns)
        writer.writeheader()
        writer.writerows(self._rows)
        write_atomically(self._table, table.getvalue().encode(), overwrite=True)

    def _draw(self) -> None:
        write_atomically(self._curve, curve_of(self._rows, self._figure), overwrite=True)
