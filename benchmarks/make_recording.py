"""Record a short session in a terminal as an animated SVG.

    python benchmarks/make_recording.py docs/pictures/terminal.svg

The commands run as they stand, in an empty folder with a copy of samples/; what they print is cut
to the width of the terminal. Lines appear one after the other, by CSS alone.
"""

import html
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
COMMANDS = (
    "imrestore denoise samples -o clean --report clean.html -v",
    "imrestore denoise samples/otters.jpg -o clean --json --overwrite",
    "imrestore weights list",
)
COLUMNS, ROW_PX, COLUMN_PX = 100, 18, 8.4
COMMAND_S, LINE_S, PAUSE_S = 1.2, 0.15, 5.0


def session(folder: Path) -> list[tuple[str, bool]]:
    """Run the commands in ``folder``; return lines, and whether each was typed."""
    shutil.copytree(PROJECT / "samples", folder / "samples")
    paths = os.pathsep.join([str(PROJECT), str(PROJECT / "cmd")])
    lines = []
    for command in COMMANDS:
        words = [sys.executable, "-m", *command.split()]
        done = subprocess.run(
            words,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": paths},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=True,
        )
        lines.append((f"$ {command}", True))
        lines += [(line, False) for line in done.stdout.splitlines()]
    return [
        (line if len(line) <= COLUMNS else line[: COLUMNS - 1] + "…", typed)
        for line, typed in lines
    ]


def animated(lines: list[tuple[str, bool]]) -> str:
    """Return the session as an SVG whose lines appear in turn."""
    times, now = [], 0.5
    for _, typed in lines:
        now += COMMAND_S if typed else LINE_S
        times.append(now)
    total = now + PAUSE_S
    height = ROW_PX * (len(lines) + 2)
    width = round(COLUMN_PX * (COLUMNS + 4))
    rules = "".join(
        f"@keyframes l{index}{{0%,{100 * at / total:.2f}%{{opacity:0}}"
        f"{100 * at / total + 0.01:.2f}%,100%{{opacity:1}}}}"
        f"#l{index}{{animation:l{index} {total:.1f}s infinite}}"
        for index, at in enumerate(times)
    )
    texts = "".join(
        f'<text id="l{index}" x="{2 * COLUMN_PX:.0f}" y="{ROW_PX * (index + 2)}"'
        f'{" class=" + chr(34) + "typed" + chr(34) if typed else ""} xml:space="preserve">'
        f"{html.escape(line)}</text>"
        for index, (line, typed) in enumerate(lines)
    )
    style = (
        "text{font:14px ui-monospace,Menlo,Consolas,monospace;fill:#d8dee9}"
        ".typed{fill:#a3be8c}@media(prefers-reduced-motion){text{animation:none!important}}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="A session in a terminal"><style>{style}{rules}</style>'
        f'<rect width="100%" height="100%" rx="8" fill="#232831"/>{texts}</svg>\n'
    )


def main(output: Path) -> None:
    """Write the recording."""
    with tempfile.TemporaryDirectory() as folder:
        lines = session(Path(folder))
    output.write_text(animated(lines))
    print(output)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
