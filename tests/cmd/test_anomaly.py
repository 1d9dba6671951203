"""`imrestore anomaly` on files and folders."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from restore.models.autoencoder import Autoencoder, AutoencoderConfig
from restore.models.draem import Draem, DraemConfig
from restore.weights.store import Weights, save_weights

Run = Callable[..., SimpleNamespace]
Part = Callable[..., Path]
Weigh = Callable[..., str]
Pixels = Callable[[str | Path], np.ndarray]
Records = Callable[..., list[dict[str, object]]]

pytestmark = pytest.mark.usefixtures("usual_engine")


def test_a_hole_is_found_where_it_is(run: Run, part: Part, model: str, records: Records) -> None:
    part("in/bad.png", hole=True)
    part("in/sub/good.png")
    ended = run("anomaly", "in", "-r", "--model", model, "-o", "report")
    assert (ended.code, ended.out) == (0, "")
    assert "1 defective of 2; report/report.html" in ended.err
    bad, good = records()
    assert (bad["source"], bad["verdict"]) == ("in/bad.png", "defective")
    assert (good["source"], good["verdict"], good["regions"]) == ("in/sub/good.png", "good", [])
    (region,) = bad["regions"]
    # The stand-in sees blocks of two pixels and averages over four.
    assert abs(region["left"] - 20) <= 2
    assert abs(region["top"] - 12) <= 2
    assert abs(region["width"] - 10) <= 4
    assert abs(region["height"] - 8) <= 4
    assert region["peak"] == pytest.approx(bad["score"])
    left, top = bad["peak_at"]
    assert 0 <= left - region["left"] < region["width"]
    assert 0 <= top - region["top"] < region["height"]
    assert bad["relative_score"] == pytest.approx(bad["score"] / bad["threshold"], rel=1e-4)
    assert bad["relative_score"] > 1 > good["relative_score"]


@pytest.mark.parametrize(("hole", "code"), [(True, 3), (False, 0)])
def test_fail_on_anomaly_says_so_by_exit_code(
    run: Run, part: Part, model: str, hole: bool, code: int
) -> None:
    part("in/a.png", hole=hole)
    assert run("anomaly", "in", "--model", model, "-o", "r", "--fail-on-anomaly").code == code
    again = run(
        "anomaly", "in", "--model", model, "-o", "r", "--fail-on-anomaly", "--skip-existing"
    )
    assert again.code == code, "earlier finds count"


def test_16_bit_and_float_pictures_are_inspected_as_they_are(
    run: Run, model: str, records: Records
) -> None:
    values = np.full((40, 40), 50_000, np.uint16)
    values[10:18, 10:18] = 0
    Path("in").mkdir()
    Image.fromarray(values).save("in/deep.png")
    tifffile.imwrite("in/float.tif", values.astype(np.float32) / 65535)
    run("anomaly", "in", "--model", model, "-o", "r")
    deep, real = records("r")
    assert deep["verdict"] == real["verdict"] == "defective"
    assert deep["score"] == pytest.approx(real["score"], rel=1e-5)


def test_the_threshold_follows_the_rate(run: Run, part: Part, model: str, records: Records) -> None:
    """39 good scores 0.01 .. 0.39: rank 40 (1 - rate)."""
    part("a.png")
    for option, expected in (([], 0.38), (["--fpr", "0.5"], 0.2), (["--threshold", "7"], 7.0)):
        run("anomaly", "a.png", "--model", model, "-o", "r", "--overwrite", *option)
        assert records("r")[0]["threshold"] == pytest.approx(expected)


def test_json_tells_of_every_picture(run: Run, part: Part, model: str) -> None:
    part("in/a.png", hole=True)
    Path("in/b.png").write_text("no")
    ended = run("anomaly", "in", "--model", model, "-o", "r", "--json", "-q")
    done, failed = [json.loads(line) for line in ended.out.splitlines()]
    assert done["verdict"] == "defective"
    assert len(done["regions"]) == 1
    assert (done["model"], done["device"], done["status"]) == ("dark", "cpu", "done")
    assert failed["status"] == "failed"


def test_a_scaled_detector_reports_in_the_pictures_own_pixels(
    run: Run, darkness_weights: Weigh, records: Records
) -> None:
    provenance = {"inspection": {"scale": 4}}
    coarse = darkness_weights("coarse", provenance=provenance)
    values = np.full((203, 301), 200, np.uint8)
    values[80:120, 160:200] = 0
    Image.fromarray(values).save("big.png")
    run("anomaly", "big.png", "--model", coarse, "-o", "r", "--threshold", "2")
    (record,) = records("r")
    (region,) = record["regions"]
    assert abs(region["left"] - 160) <= 12
    assert abs(region["left"] + region["width"] - 200) <= 12
    assert tifffile.imread("r/maps/big.tif").shape == (203, 301)


@pytest.mark.parametrize("scale", [1, 2, 8])
def test_a_part_is_good_exactly_if_its_mask_is_black(
    run: Run, part: Part, darkness_weights: Weigh, records: Records, pixels: Pixels, scale: int
) -> None:
    """At its score a part is good, just below it is defective, and the mask says the same."""
    coarse = darkness_weights("coarse", provenance={"inspection": {"scale": scale}})
    part("a.png", hole=True, width=61, height=47)
    run("anomaly", "a.png", "--model", coarse, "-o", "r", "--threshold", "2")
    score = tifffile.imread("r/maps/a.tif").max()
    assert records("r")[0]["score"] == pytest.approx(score, rel=1e-5)
    for threshold, places in ((score, 0), (np.nextafter(score, np.float32(0)), 1)):
        option = f"--threshold={float(threshold)!r}"
        run("anomaly", "a.png", "--model", coarse, "-o", "r", "--overwrite", option)
        (record,) = records("r")
        assert record["verdict"] == ("defective" if places else "good")
        assert len(record["regions"]) == places
        assert pixels("r/masks/a.png").any() == bool(places)


def test_a_threshold_between_two_scores_is_one_of_them(
    run: Run, part: Part, model: str, records: Records, pixels: Pixels
) -> None:
    """Its decimal digits lie between two float32 numbers: verdict and mask take the same one."""
    part("a.png", hole=True)
    run("anomaly", "a.png", "--model", model, "-o", "r")
    score = float(tifffile.imread("r/maps/a.tif").max())
    below = f"--threshold={score * (1 - 1e-9)!r}"
    run("anomaly", "a.png", "--model", model, "-o", "r", "--overwrite", below)
    assert (records("r")[0]["verdict"] == "defective") == pixels("r/masks/a.png").any()


def test_parts_of_many_channels_are_inspected(run: Run, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = DraemConfig(channels=5, reconstructor=(4,), discriminator=(4,))
    network = Draem(config)
    path = tmp_path / "five.safetensors"
    save_weights(
        Weights(
            name="five", network=Draem, config=config, task="anomaly",
            tensors=network.state_dict(),
        ),
        path,
    )  # fmt: skip
    values = np.random.default_rng(0).integers(0, 65535, (5, 30, 40), dtype=np.uint16)
    tifffile.imwrite("m.tif", values, photometric="minisblack", planarconfig="separate")
    ended = run("anomaly", "m.tif", "--model", str(path), "-o", "r", "--threshold", "9")
    assert ended.code == 0, ended.err
    assert tifffile.imread("r/reconstructions/m.tif").shape == (5, 30, 40)


def test_standard_input_is_inspected(
    spawn: Callable[..., "subprocess.Popen[bytes]"], part: Part, model: str, records: Records
) -> None:
    process = spawn("anomaly", "-", "--model", model, "-o", "r", stdin=subprocess.PIPE)
    _, messages = process.communicate(part("a.png", hole=True).read_bytes(), timeout=120)
    assert process.returncode == 0, messages.decode()
    (record,) = records("r")
    assert (record["source"], record["verdict"]) == ("-", "defective")
    assert record["map"] == "maps/stdin.tif"


@pytest.fixture
def vae(tmp_path: Path) -> str:
    torch.manual_seed(0)
    config = AutoencoderConfig(window=32, latent=4, loss="l2", variational=True)
    network = Autoencoder(config)
    path = tmp_path / "vae.safetensors"
    save_weights(
        Weights(
            name="vae", network=Autoencoder, config=config, task="anomaly",
            tensors=network.state_dict(),
        ),
        path,
    )  # fmt: skip
    return str(path)


def test_samples_are_drawn_from_the_latent_space(run: Run, vae: str, pixels: Pixels) -> None:
    assert run("anomaly", "--sample", "3", "--model", vae, "-o", "drawn").code == 0
    first = {path.name: pixels(path) for path in Path("drawn").iterdir()}
    assert sorted(first) == ["sample-0001.png", "sample-0002.png", "sample-0003.png"]
    assert all(picture.shape == (32, 32) for picture in first.values())
    assert (first["sample-0001.png"] != first["sample-0002.png"]).any()
    run("anomaly", "--sample", "3", "--model", vae, "-o", "again")
    run("anomaly", "--sample", "3", "--model", vae, "-o", "other", "--seed", "5")
    one, again, other = (
        pixels(f"{folder}/sample-0001.png") for folder in ("drawn", "again", "other")
    )
    assert (one == again).all()
    assert (one != other).any()
    refused = run("anomaly", "--sample", "3", "--model", vae, "-o", "drawn")
    assert refused.code == 2
    assert "exists already" in refused.err


def test_parts_between_two_thresholds_are_for_review(
    run: Run, part: Part, model: str, records: Records
) -> None:
    """Good parts score 0.01 to 0.39; a level of 73 scores 0.2."""
    for name, level in (("good", 200), ("odd", 73), ("bad", 0)):
        Image.fromarray(np.full((48, 64), level, np.uint8)).save(part(f"in/{name}.png"))
    ended = run("anomaly", "in", "--model", model, "-o", "r", "--review-fpr", "0.99")
    assert {record["source"]: record["verdict"] for record in records("r")} == {
        "in/bad.png": "defective", "in/good.png": "good", "in/odd.png": "review",
    }  # fmt: skip
    assert "1 defective, 1 for review of 3" in ended.err
    again = run("anomaly", "in", "--model", model, "-o", "r", "--skip-existing")
    assert again.code == 2
    assert "another threshold" in again.err


def test_reviews_take_a_larger_rate_than_defects(run: Run, part: Part, model: str) -> None:
    part("in/a.png")
    ended = run("anomaly", "in", "--model", model, "-o", "r", "--review-fpr", "0.01")
    assert ended.code == 2
    assert "give a larger rate than --fpr" in ended.err


def test_a_folder_called_like_a_command_is_inspected_by_its_path(
    run: Run, part: Part, model: str
) -> None:
    part("calibrate/a.png")
    assert run("anomaly", "./calibrate", "--model", model, "-o", "r").code == 0
