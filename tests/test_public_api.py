import doctest
import subprocess
import sys
from pathlib import Path

import pytest

import restore

PUBLIC = [
    "DarkEnhancer",
    "Denoised",
    "DenoisedMosaic",
    "Denoiser",
    "Detector",
    "Enhanced",
    "Evaluation",
    "HdrReconstructor",
    "ImageFormat",
    "Inspection",
    "MosaicDenoiser",
    "NoiseProfile",
    "Part",
    "Picture",
    "Radiance",
    "RawPicture",
    "RestoreError",
    "Transfer",
    "Weights",
    "convert",
    "decode",
    "denoise",
    "encode",
    "estimate_profile",
    "estimate_sigma",
    "evaluate",
    "export_onnx",
    "load",
    "psnr",
    "read_part",
    "read_raw",
    "shipped",
    "ssim",
    "train",
]


def test_exported_names_are_pinned() -> None:
    assert restore.__all__ == PUBLIC


def test_every_exported_name_exists_and_is_documented() -> None:
    for name in restore.__all__:
        assert getattr(restore, name).__doc__, name


@pytest.mark.parametrize("name", restore.__all__)
def test_every_exported_name_has_an_example_that_runs(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the project's root, as the examples say."""
    monkeypatch.chdir(Path(__file__).resolve().parents[1])
    # Where the package has taken the function's place, its docstring has none.
    monkeypatch.delattr(restore, "denoise", raising=False)
    public = getattr(restore, name)
    example = doctest.DocTestParser().get_doctest(public.__doc__, {}, name, None, None)
    assert example.examples
    failures: list[str] = []
    doctest.DocTestRunner(verbose=False).run(example, out=failures.append)
    assert not failures, "".join(failures)


def test_import_is_light() -> None:
    code = "import sys, restore; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_denoise_stays_a_function_once_its_package_was_imported() -> None:
    code = (
        "import numpy, restore, restore.denoise.runner as runner\n"
        "gray = numpy.full((16, 16), 0.5, numpy.float32)\n"
        "assert restore.denoise(gray, strength=0).shape == (16, 16)\n"
        "assert runner.Denoiser is restore.Denoiser\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
