"""Noise2Void and N2V2 of CAREamics, for `noisy_training.py --careamics`.

    PYTHON careamics_trial.py n2v|n2v2 NOISY_DIR TEST_DIR OUT_DIR SECONDS

Run by an interpreter that has CAREamics, whose PyTorch may be another than ours: nothing of
imrestore is imported. Settings are those that CAREamics chooses by itself, save that the colours
are trained together, without which it knows less. It trains on the TIFF files of the first folder
for so many seconds of processor time, and writes what it makes of those of the second.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from careamics import CAREamist
from careamics.config import create_n2v_configuration
from pytorch_lightning.callbacks import Callback

PATCH, BATCH = 64, 16
NEVER = 1_000_000


class ProcessorTime(Callback):
    """Ends the training after so many seconds of processor time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.steps = 0

    def on_train_start(self, *_: Any) -> None:
        """Start the clock."""
        self.until = time.process_time() + self.seconds

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        """Look at the clock."""
        self.steps += 1
        trainer.should_stop = time.process_time() > self.until


def main(method: str, noisy: Path, test: Path, out: Path, seconds: float) -> None:
    """Train, restore the test pictures and print the number of steps."""
    torch.set_num_threads(1)
    configuration = create_n2v_configuration(
        method,
        "tiff",
        "YXC",
        [PATCH, PATCH],
        BATCH,
        NEVER,
        independent_channels=False,
        use_n2v2=method == "n2v2",
        n_channels=3,
    )
    clock = ProcessorTime(seconds)
    with tempfile.TemporaryDirectory() as work:
        trainer = CAREamist(configuration, work_dir=work, callbacks=[clock])
        trainer.train(train_source=noisy)
        for path in sorted(test.glob("*.tif")):
            pixels = tifffile.imread(path)
            (restored,) = np.asarray(trainer.predict(pixels, data_type="array", axes="YXC"))
            planes = restored.reshape(3, *pixels.shape[:2])
            tifffile.imwrite(out / path.name, planes.transpose(1, 2, 0).astype(np.float32))
    print(clock.steps)


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:5]), float(sys.argv[5]))
