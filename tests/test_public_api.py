import subprocess
import sys

import restore

PUBLIC = [
    "DarkEnhancer",
    "Denoised",
    "Denoiser",
    "Detector",
    "Enhanced",
    "HdrReconstructor",
    "ImageFormat",
    "Inspection",
    "Part",
    "Picture",
    "Radiance",
    "RawPicture",
    "RestoreError",
    "Transfer",
    "Weights",
    "build",
    "decode",
    "denoise",
    "encode",
    "estimate_sigma",
    "load",
    "psnr",
    "read_part",
    "read_raw",
    "shipped",
    "ssim",
]


def test_exported_names_are_pinned() -> None:
    assert restore.__all__ == PUBLIC


def test_every_exported_name_exists_and_is_documented() -> None:
    for name in restore.__all__:
        assert getattr(restore, name).__doc__, name


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
