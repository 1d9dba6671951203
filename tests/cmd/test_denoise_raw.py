"""`imrestore denoise` on camera RAW files, alone and among pictures."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from restore.image.decode import decode
from restore.image.dng import write_cfa_dng, write_linear_dng
from restore.image.linear_dng import read_linear_dng
from restore.image.raw import read_raw
from restore.image.raw_picture import RawPicture
from restore.mosaic.task import TASK as MOSAIC

Run = Callable[..., SimpleNamespace]
Sensor = Callable[..., RawPicture]

PROFILE = ("--noise-profile", "1e-4,1e-6")

pytestmark = pytest.mark.usefixtures("usual_engine")


@pytest.fixture(autouse=True)
def card(workplace: Path, sensor: Sensor) -> Path:
    """A folder with two RAW files, the JPEG of one of them, and another picture."""
    folder = workplace / "card"
    folder.mkdir()
    for name, fields in (("1.NEF", {"orientation": 6}), ("2.dng", {"pattern": "xtrans"})):
        (folder / name).write_bytes(write_cfa_dng(sensor(size=(48, 66), level=0.1, **fields)))
    noise = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    for name in ("1.JPG", "3.png"):
        Image.fromarray(noise).save(folder / name)
    return folder


@pytest.fixture
def denoise(run: Run, mosaic_model: Path) -> Run:
    """Denoise with a small network for RAW files, and fixed noise."""
    return lambda *words: run("denoise", *words, "--model", str(mosaic_model), *PROFILE)


def names(folder: str = "out") -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


@pytest.fixture
def small_default(mosaic_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let auto mean the small network."""
    monkeypatch.setitem(MOSAIC.default_weights, "raw", str(mosaic_model))


@pytest.mark.usefixtures("small_default")
def test_each_input_stays_what_it_is(run: Run, tiny_weights: str) -> None:
    ended = run("denoise", "card", "-o", "out", "--model", tiny_weights, "--json", *PROFILE)
    assert ended.code == 0
    assert names() == ["1.dng", "2.dng", "3.png"]
    assert "card/1.JPG has a RAW file of the same name, which is taken instead" in ended.err
    twin, *records = map(json.loads, ended.out.splitlines())
    assert (twin["source"], twin["twin_of"]) == ("card/1.JPG", "card/1.NEF")
    assert [record["noise_source"] for record in records[:2]] == ["given", "given"]
    assert [record.get("without_effect") for record in records] == [None, None, ["--noise-profile"]]
    assert records[0]["noise_a"] == [0.0001] * 3
    for source, result in (("1.NEF", "1.dng"), ("2.dng", "2.dng")):
        before, after = read_raw(Path("card", source)), read_raw(Path("out", result))
        np.testing.assert_array_equal(before.cfa, after.cfa)
        assert (before.black_level, before.white_level) == (after.black_level, after.white_level)
        assert before.orientation == after.orientation
        assert before.mosaic.shape == after.mosaic.shape
        assert (before.mosaic != after.mosaic).any()
    # Each network does what it is for, and says so.
    assert f"--model {tiny_weights} is for finished pictures; RAW files take auto" in ended.err
    assert records[2]["model"] == "tiny"
    assert "--noise-profile does nothing for finished pictures" in ended.err


def test_which_twins_are_taken_can_be_chosen(run: Run) -> None:
    arguments = ("denoise", "card", "-o", "out", "--dry-run")
    ended = run(*arguments)
    assert len(ended.out.splitlines()) == 3
    assert "; --both takes both" in ended.err
    assert len(run(*arguments, "--both").out.splitlines()) == 4
    ended = run(*arguments, "--raw-only")
    assert len(ended.out.splitlines()) == 2
    assert "1 file of another kind left out: .png 1" in ended.err
    assert "which is taken instead\n" in ended.err, "both options contradict each other"
    ended = run(*arguments, "--raw-only", "--both")
    assert (ended.code, ended.err) == (
        2,
        "imrestore: --raw-only and --both contradict each other\n",
    )


def test_without_strength_the_mosaic_stays(denoise: Run) -> None:
    assert denoise("card/1.NEF", "-o", "a.dng", "--strength", "0").code == 0
    before, after = read_raw(Path("card/1.NEF")), read_raw(Path("a.dng"))
    np.testing.assert_array_equal(before.mosaic, after.mosaic)


@pytest.mark.parametrize("name", ["a.jpg", "a.tif", "a.png", "a.webp"])
def test_pictures_are_developed_and_upright(denoise: Run, name: str) -> None:
    assert denoise("card/1.NEF", "-o", name).code == 0
    picture = decode(Path(name))
    assert (picture.width, picture.height, picture.orientation) == (48, 66, 1)
    assert picture.icc
    assert picture.bit_depth == (16 if name in ("a.tif", "a.png") else 8)


@pytest.mark.parametrize("name", ["1.NEF", "2.dng"])
def test_a_linear_dng_is_demosaicked(denoise: Run, name: str) -> None:
    ended = denoise(f"card/{name}", "-o", "a.dng", "--format", "dng-linear")
    assert ended.code == 0, ended.err
    import tifffile

    with tifffile.TiffFile("a.dng") as tiff:
        pages = [tiff.pages.first, *(tiff.pages.first.pages or ())]
        (linear,) = [page for page in pages if page.photometric == 34892]
        assert linear.shape == (48, 66, 3)


def test_options_for_pictures_are_named(denoise: Run) -> None:
    arguments = ("card/1.NEF", "-o", "a.dng", "--sigma", "9", "--detail", "0.3", "--json")
    ended = denoise(*arguments)
    assert "--sigma and --detail do nothing for RAW files, which take --strength" in ended.err
    assert json.loads(ended.out)["without_effect"] == ["--sigma", "--detail"]
    assert "without_effect" not in denoise("card/1.NEF", "-o", "b.dng", "--json").out


def test_a_network_for_other_inputs_alone_is_refused(run: Run, mosaic_model: Path) -> None:
    ended = run("denoise", "card/1.NEF", "-o", "out/", "--model", "photo")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "--model photo is for finished pictures, and these are RAW files" in ended.err
    ended = run("denoise", "card/3.png", "-o", "out/", "--model", str(mosaic_model))
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "is for RAW files, and there are none" in ended.err
    for name, words in (("nosuch", "no such weights"), ("isp", "are for dark-enhance")):
        ended = run("denoise", "card/1.NEF", "-o", "out/", "--model", name)
        assert (ended.code, ended.err.count("\n")) == (2, 1)
        assert words in ended.err
    assert not Path("out").exists()


def test_more_than_the_full_strength_is_for_raw_files(denoise: Run) -> None:
    assert denoise("card/1.NEF", "-o", "a.dng", "--strength", "1.5").code == 0
    ended = denoise("card", "-o", "out", "--strength", "1.5")
    assert (ended.code, ended.err.count("finished pictures take 0 to 1")) == (2, 1)


@pytest.mark.parametrize("text", ["1e-4", "1e-4,1e-6,1e-4", "1e-4,-1e-6", "a,b", "nan,1e-6", "2,0"])
def test_a_noise_profile_is_one_pair_or_three(run: Run, text: str) -> None:
    ended = run("denoise", "card/1.NEF", "-o", "out/", "--noise-profile", text)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "give a,b of Var(x) = a x + b" in ended.err


def test_a_noise_profile_has_a_pair_for_each_colour(run: Run, mosaic_model: Path) -> None:
    pairs = "1e-4,1e-6,2e-4,2e-6,3e-4,3e-6"
    ended = run(
        *("denoise", "card/1.NEF", "-o", "a.dng", "--model", str(mosaic_model)),
        *("--noise-profile", pairs, "--json", "-v"),
    )
    record = json.loads(ended.out)
    assert record["noise_a"] == [0.0001, 0.0002, 0.0003]
    assert "noise 0.0001/0.0002/0.0003 x + 1e-06/2e-06/3e-06 (given)" in ended.err


def test_standard_input_is_told_by_its_content(
    spawn: Callable[..., "subprocess.Popen[bytes]"], card: Path, mosaic_model: Path
) -> None:
    arguments = ("denoise", "-", "-o", "-", "--format", "dng", "--model", str(mosaic_model))
    process = spawn(*arguments, *PROFILE, stdin=subprocess.PIPE)
    out, err = process.communicate((card / "1.NEF").read_bytes())
    assert process.returncode == 0, err
    Path("out.dng").write_bytes(out)
    assert read_raw(Path("out.dng")).mosaic.shape == (48, 66)


def test_a_picture_on_standard_input_is_no_dng(
    spawn: Callable[..., "subprocess.Popen[bytes]"], card: Path, tiny_weights: str
) -> None:
    arguments = ("denoise", "-", "-o", "-", "--format", "dng", "--model", tiny_weights)
    process = spawn(*arguments, stdin=subprocess.PIPE)
    out, err = process.communicate((card / "3.png").read_bytes())
    assert (process.returncode, out) == (1, b"")
    assert b"-: DNG is made of RAW files only; use --format png" in err


def test_before_and_after_are_developed(denoise: Run) -> None:
    ended = denoise("card/1.NEF", "-o", "a.dng", "--compare", "--report", "a.html")
    assert ended.code == 0, ended.err
    with Image.open("a_compare.png") as compared:
        assert compared.size == (2 * 48 + 4, 66)
    assert "data:image/webp" in Path("a.html").read_text()


def test_a_preview_shows_several_strengths(denoise: Run) -> None:
    assert denoise("card/1.NEF", "--preview").code == 0
    with Image.open("1_preview.png") as sheet:
        assert sheet.width == 6 * 190 + 6
    assert denoise("card/2.dng", "-o", "out/", "--preview").code == 0
    assert names() == ["2.dng", "2_preview.png"]


def test_a_stopped_run_is_resumed(denoise: Run) -> None:
    assert denoise("card", "-o", "out", "--raw-only", "--shard", "1/2").code == 0
    assert names() == ["1.dng"]
    first = Path("out/1.dng").stat()
    ended = denoise("card", "-o", "out", "--raw-only", "--skip-existing")
    assert "1 done, 1 skipped" in ended.err
    assert Path("out/1.dng").stat() == first


def test_results_are_never_inputs_and_never_replaced_unasked(denoise: Run) -> None:
    ended = denoise("card/2.dng", "-o", "card/")
    assert (ended.code, ended.err.count("is the input card/2.dng")) == (2, 1)
    Path("card/1.dng").write_text("mine")
    ended = denoise("card/1.NEF", "-o", "card/")
    assert (ended.code, ended.err.count("card/1.dng: exists already")) == (2, 1)
    assert Path("card/1.dng").read_text() == "mine"


def test_what_cannot_be_read_fails_alone_and_in_one_line(
    denoise: Run, card: Path, workplace: Path
) -> None:
    data = (card / "1.NEF").read_bytes()
    (card / "1.JPG").unlink()
    (card / "cut.nef").write_bytes(data[:900])
    (card / "empty.arw").write_bytes(b"")
    (card / "text.cr2").write_text("no RAW file")
    (card / "3.png").rename(card / "renamed.raf")
    (card / "sigma.x3f").write_bytes(b"FOVb" + bytes(2000))
    (workplace / "raw.tif").write_bytes(data)
    ended = denoise("card", "raw.tif", "-o", "out")
    assert ended.code == 1
    assert names() == ["1.dng", "2.dng"]
    lines = {line.split(": ")[1]: line for line in ended.err.splitlines()[:-1]}
    assert "is cut short" in lines["card/cut.nef"]
    assert "is empty" in lines["card/empty.arw"]
    assert "is not a camera RAW file" in lines["card/text.cr2"]
    assert "is not a camera RAW file but PNG; rename it" in lines["card/renamed.raf"]
    assert "is from a Foveon sensor (X3F)" in lines["card/sigma.x3f"]
    assert "take those whose names say so" in lines["raw.tif"]
    assert not any("bug" in line for line in ended.err.splitlines())


def test_a_file_that_needs_more_memory_than_there_is_fails_alone(
    denoise: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("restore.image.reservation._ALWAYS_THERE", 0)
    monkeypatch.setattr("restore.image.reservation.available_bytes", lambda: 100_000)
    ended = denoise("card", "-o", "out", "--raw-only")
    assert ended.code == 1
    assert ended.err.count("has 66x48 pixels and needs") == 2


def test_a_cut_file_of_which_nothing_is_decoded_is_refused(denoise: Run, card: Path) -> None:
    data = (card / "1.NEF").read_bytes()
    Path("cut.nef").write_bytes(data[: len(data) - 200])
    ended = denoise("cut.nef", "-o", "a.dng")
    assert ended.code == 1
    missing = "bytes of its pixels are missing"
    assert f"{missing}; --keep-damaged takes it if LibRaw decodes the rest" in ended.err
    ended = denoise("cut.nef", "-o", "a.dng", "--keep-damaged", "--json")
    assert ended.code == 1
    assert f"{missing}, and LibRaw decodes nothing of it" in ended.err
    assert "what is there is taken" not in ended.err


def test_what_libraw_decodes_of_a_cut_file_is_taken_on_demand(
    denoise: Run, card: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it does of some makers' files, of which it makes up what is missing."""
    monkeypatch.setattr("restore.image.raw.bytes_missing", lambda _file: 200)
    ended = denoise(str(card / "1.NEF"), "-o", "a.dng", "--keep-damaged", "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["damaged"].startswith("is cut short: 200 bytes")


@pytest.mark.usefixtures("small_default")
def test_a_dng_without_a_mosaic_is_a_finished_picture(
    run: Run, sensor: Sensor, mosaic_model: Path
) -> None:
    """Its colours and its brightness stay, also above white, and it becomes a DNG again."""
    light = np.random.default_rng(0).uniform(0.2, 0.4, (3, 48, 64)).astype(np.float32)
    light[:, 10:20] *= 4
    Path("linear.dng").write_bytes(write_linear_dng(light, sensor(size=(48, 64), orientation=3)))
    arguments = ("denoise", "linear.dng", "-o", "a.dng", "--strength", "0", "--json")
    ended = run(*arguments, "--model", str(mosaic_model))
    assert ended.code == 0, ended.err
    before, after = (read_linear_dng(Path(name)) for name in ("linear.dng", "a.dng"))
    assert before.pixels.max() > 1
    np.testing.assert_allclose(before.pixels, after.pixels, atol=2e-3)
    assert before.orientation == after.orientation
    assert run("denoise", "linear.dng", "-o", "b.png", "--sigma", "5").code == 0
    assert decode(Path("b.png")).width == 64


def test_mosaics_have_no_error_map(denoise: Run) -> None:
    ended = denoise("card/1.NEF", "-o", "out/", "--error-map")
    assert ended.code == 2
    assert "--error-map is for finished pictures, and these are RAW files" in ended.err
