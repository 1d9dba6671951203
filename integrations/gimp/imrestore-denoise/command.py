"""The command that the plug-in runs; free of GIMP, so that it can be tested without."""

import subprocess
from pathlib import Path


def command_line(
    command: str, source: Path, result: Path, *, strength: float, detail: float, sigma: float
) -> list[str]:
    """Return the words of the command.

    Args:
        command: name or path of ``imrestore``.
        source: picture to denoise.
        result: file for the result.
        strength: share of the denoised result, 0 to 1.
        detail: share of the finest luminance texture that is put back, 0 to 1.
        sigma: noise level in 0..255; 0 lets the command find out.
    """
    level = f"{sigma:g}" if sigma > 0 else "auto"
    return [
        *(command, "denoise", "--quiet", "--output", str(result)),
        *("--sigma", level, "--strength", f"{strength:g}", "--detail", f"{detail:g}"),
        *("--", str(source)),
    ]


def run(words: list[str]) -> str | None:
    """Run the command; return what went wrong, in one line, or None."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"{words[0]} cannot be started: {error.strerror}"
    if done.returncode == 0:
        return None
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"{words[0]} ended with exit code {done.returncode}"
