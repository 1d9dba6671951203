import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from restore.errors import UsageError, WeightsError
from restore.hdr.optics.psf import load_psf
from restore.models.optical_element import psf_of
from restore.weights.convert.convert import as_laid_out as convert


def _archive(path: Path, content: list[object]) -> Path:
    values = np.empty(len(content), dtype=object)
    values[:] = content
    np.savez(path, params=values)
    return path


def test_the_published_network_decodes_a_real_capture(shared_data: Path) -> None:
    folder = shared_data / "hdr" / "metzler"
    converted = convert(folder / "model_real_psf.npz")
    assert "Metzler" in converted.layout
    assert converted.weights.task == "hdr"
    capture = np.asarray(Image.open(folder / "captures/david/wPSF_0_stop.png")) / np.float32(255)
    crop = torch.from_numpy(capture[240:432, 256:448].transpose(2, 0, 1).copy())[None]
    with torch.inference_mode():
        radiance = converted.weights.build()(crop)
    lit = crop.amax(dim=1)[0] >= 1
    assert lit.float().mean() > 0.05
    # The filament is stops brighter than what the sensor cut at 1; the glow around it is not.
    assert radiance[0, 0][lit].quantile(0.9) > 2
    assert radiance[0, 0][lit].quantile(0.1) < 1.2
    shown = (crop[0].amax(dim=0) < 0.5) & (crop[0].amin(dim=0) > 0.1)
    assert radiance[0, 1][shown].median() < 0.5


def test_a_psf_travels_with_the_converted_network(shared_data: Path) -> None:
    folder = shared_data / "hdr" / "metzler"
    psf = load_psf(folder / "measured_psf.npz")
    carried = psf_of(convert(folder / "model_real_psf.npz", psf=psf).weights.tensors)
    assert carried is not None
    torch.testing.assert_close(carried, psf, rtol=1e-4, atol=1e-8)


def test_a_psf_for_a_denoiser_is_refused(shared_data: Path) -> None:
    with pytest.raises(UsageError, match="PSF"):
        convert(shared_data / "reference" / "kair_dncnn_25.pth", psf=torch.ones(3, 3, 3) / 9)


class _Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, ("__import__('pathlib').Path('owned').touch()",)


def test_a_hostile_archive_is_refused_and_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = _archive(tmp_path / "hostile.npz", [np.ones(3, np.float32), _Hostile()])
    with pytest.raises(WeightsError, match=r"hostile\.npz: .*code in a checkpoint is never run"):
        convert(path)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "content",
    [
        [np.ones((3, 3, 3, 8), np.float32)],
        ["text"] * 60,
        [np.ones((3, 3, 3, 8), np.float32)] * 60,
        [np.full((3, 3, 3, 8), np.nan, np.float32)] * 60,
        [np.ones((3, 3, 3, 8), np.int64)] * 60,
    ],
)
def test_other_lists_are_refused_in_one_line(tmp_path: Path, content: list[object]) -> None:
    with pytest.raises(WeightsError, match=r"other\.npz: ") as caught:
        convert(_archive(tmp_path / "other.npz", content))
    assert "\n" not in str(caught.value)


def test_plain_and_damaged_archives_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "plain.npz", values=np.ones(4))
    with pytest.raises(WeightsError, match=r"plain\.npz: .*list of arrays"):
        convert(tmp_path / "plain.npz")
    whole = _archive(tmp_path / "cut.npz", [np.ones(4, np.float32)]).read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole.replace(pickle.PROTO, b"\x00", 1))
    with pytest.raises(WeightsError, match=r"cut\.npz"):
        convert(tmp_path / "cut.npz")
