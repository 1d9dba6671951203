"""What waits for what while a folder of photographs is restored.

    python benchmarks/timeline.py [--count 12] [--megapixels 2] [--format jpeg|png] [--model NAME]
        [--device auto] [--jobs N] [-o docs/pictures/timeline.png]

Runs the command in this process and notes when each of its threads decodes, has a picture in work
(cuts it, waits for lanes, puts it together) and encodes, and when each lane has a tile. Draws a
row for each, and prints for how much of the time, from the first picture read to the last one
written, it was busy. In a gap of a lane the network waits for files or for the host.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from folder_throughput import make_folder
from imrestore.__main__ import run
from pictures import CLEAN, SIGMA
from tables import table

COLOURS = {
    "decode": "tab:blue",
    "picture": "tab:gray",
    "lane": "tab:orange",
    "encode": "tab:green",
}

Spans = dict[tuple[str, object], list[tuple[float, float]]]
"""Of every thread or lane, by what it does: the seconds at which it began, and how many it took."""


@contextmanager
def noting(spans: Spans) -> Iterator[None]:
    """Note what the stages of pictures and the lanes of networks do."""
    from restore.engine.openvino_runner import OpenVinoRunner
    from restore.engine.torch_lane import TorchLane

    from restore.batch.stages import PictureStages

    def noted(does: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(self: Any, *arguments: Any) -> Any:
            who = id(self) if does == "lane" else threading.get_ident()
            started = time.perf_counter()
            try:
                return call(self, *arguments)
            finally:
                spans[does, who].append((started, time.perf_counter() - started))

        return timed

    watched = (
        ("decode", PictureStages, "load"),
        ("picture", PictureStages, "process"),
        ("encode", PictureStages, "save"),
        ("lane", OpenVinoRunner, "__call__"),
        ("lane", TorchLane, "__call__"),
    )
    with ExitStack() as patches:
        for does, owner, method in watched:
            timed = noted(does, getattr(owner, method))
            patches.enter_context(patch.object(owner, method, timed))
        yield


def ordered(spans: Spans) -> Iterator[tuple[str, str, list[tuple[float, float]]]]:
    """Yield what each thread and lane does, its name, and its times, in the order of the work."""
    for does in COLOURS:
        same = sorted(times for (what, _), times in spans.items() if what == does)
        for number, times in enumerate(same, 1):
            yield does, f"{does} {number}", times


def draw(spans: Spans, start: float, title: str, output: Path) -> None:
    """Draw a row for each thread and lane."""
    rows = list(ordered(spans))
    sheet = Figure(figsize=(10, 1 + 0.3 * len(rows)), layout="constrained")
    FigureCanvasAgg(sheet)
    axes = sheet.add_subplot(title=title, xlabel="seconds")
    for place, (does, _, times) in enumerate(rows):
        bars = [(began - start, took) for began, took in times]
        axes.broken_barh(bars, (place - 0.4, 0.8), color=COLOURS[does], edgecolor="white")
    axes.set_yticks(range(len(rows)), [name for _, name, _ in rows])
    axes.invert_yaxis()
    sheet.savefig(output, dpi=100)


def main() -> None:
    """Print and draw a row for each thread and lane."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--megapixels", type=float, default=2.0)
    parser.add_argument("--format", choices=("jpeg", "png"), default="jpeg")
    parser.add_argument("--model", default="resunet-color")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--jobs", type=int, help="as for the command")
    parser.add_argument("-o", "--output", type=Path, default=Path("timeline.png"))
    options = parser.parse_args()
    spans: Spans = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="imrestore-bench-") as name:
        first, folder = Path(name) / "first", Path(name) / "folder"
        make_folder(CLEAN, first, 1, 0.01, options.format)
        make_folder(CLEAN, folder, options.count, options.megapixels, options.format)
        told = ["--model", options.model, "--sigma", f"{SIGMA:g}", "--device", options.device]
        told += ["--jobs", str(options.jobs)] if options.jobs else []
        # So that nobody waits for the first export of a network.
        if restore(first, told):
            sys.exit("failed")
        with noting(spans):
            if restore(folder, told):
                sys.exit("failed")
    start = min(began for times in spans.values() for began, _ in times)
    whole = max(began + took for times in spans.values() for began, took in times) - start
    megapixels = options.count * options.megapixels
    title = f"{options.count} pictures of {options.megapixels:g} megapixels, {options.model}"
    draw(spans, start, title, options.output)
    rows = (
        (who, str(len(times)), f"{sum(took for _, took in times) / whole:.1%}")
        for _, who, times in ordered(spans)
    )
    print(f"{title}: {whole:.1f} s, {megapixels / whole:.2f} megapixels/s\n")
    print(table(("thread or lane", "pictures or tiles", "busy"), rows))


def restore(folder: Path, options: list[str]) -> int:
    """Run the command in this process, and return its exit code."""
    return run(["denoise", str(folder / "noisy"), "-o", str(folder / "out"), "-q", *options])


if __name__ == "__main__":
    main()
