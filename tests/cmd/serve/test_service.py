"""The service: what it answers, and that it does what the command does."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from restore.image.dng import write_cfa_dng
from restore.image.raw_picture import RawPicture

Run = Callable[..., SimpleNamespace]


Photo = Callable[..., Path]


Served = Callable[..., Any]


Sensor = Callable[..., RawPicture]


PROFILE = "1e-4,1e-6"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.png", {}),
        ("a.jpg", {}),
        ("a.tif", {"strength": "0.5", "sigma": "20", "bit-depth": "16"}),
        ("a.jpg", {"format": "webp", "quality": "80", "strip-metadata": "true"}),
        ("a.bmp", {"chroma": "1", "detail": "0.3"}),
    ],
)
def test_a_picture_becomes_what_the_command_makes_of_it(
    served: Served, run: Run, photo: Photo, tiny_weights: str, name: str, options: dict[str, str]
) -> None:
    path = photo(name)
    answer = served().post("/denoise", params=options, content=path.read_bytes())
    assert answer.status_code == 200, answer.text
    flags = [f"--{key}" if text == "true" else f"--{key}={text}" for key, text in options.items()]
    ended = run(
        "denoise", name, "-o", "out/", "--model", tiny_weights, "--device", "cpu",
        "--precision", "fp32", "--json", *flags,
    )  # fmt: skip
    assert ended.code == 0, ended.err
    (result,) = Path("out").iterdir()
    assert answer.content == result.read_bytes()
    assert answer.headers["content-disposition"].endswith(f'"denoise{result.suffix}"')
    record, expected = json.loads(answer.headers["imrestore-record"]), json.loads(ended.out)
    assert {key: value for key, value in record.items() if key != "seconds"} == {
        key: value for key, value in expected.items()
        if key not in ("seconds", "source", "destination", "status")
    }  # fmt: skip


@pytest.mark.parametrize("wanted", [{}, {"format": "jpeg"}, {"format": "dng-linear"}])
def test_a_raw_file_is_denoised_as_by_the_command(
    served: Served, run: Run, sensor: Sensor, mosaic_model: Path, wanted: dict[str, str]
) -> None:
    Path("a.dng").write_bytes(write_cfa_dng(sensor(size=(48, 66), level=0.1)))
    options = {"noise-profile": PROFILE, **wanted}
    answer = served().post("/denoise", params=options, content=Path("a.dng").read_bytes())
    assert answer.status_code == 200, answer.text
    flags = [f"--{key}={text}" for key, text in options.items()]
    ended = run(
        "denoise", "a.dng", "-o", "out/", "--model", str(mosaic_model), "--device", "cpu",
        "--precision", "fp32", *flags,
    )  # fmt: skip
    assert ended.code == 0, ended.err
    (result,) = Path("out").iterdir()
    assert answer.content == result.read_bytes()


def test_a_dark_raw_file_is_developed_as_by_the_command(
    served: Served, run: Run, sensor: Sensor, isp_weights: dict[str, Path]
) -> None:
    content = write_cfa_dng(sensor("rggb", size=(40, 60), level=0.01))
    Path("night.dng").write_bytes(content)
    client = served()
    for query, flags in (
        ({"ratio": "80", "ev": "-1", "format": "jpeg"}, ["--ratio=80", "--ev=-1", "--format=jpeg"]),
        ({"output-color": "linear"}, ["--output-color=linear"]),
    ):
        answer = client.post("/dark-enhance", params=query, content=content)
        assert answer.status_code == 200, answer.text
        ended = run(
            "dark-enhance", "night.dng", "-o", "out/", "--model", str(isp_weights["bayer"]),
            "--device", "cpu", "--precision", "fp32", "--overwrite", *flags,
        )  # fmt: skip
        assert ended.code == 0, ended.err
        suffix = ".jpg" if "format" in query else ".exr"
        assert answer.content == Path(f"out/night{suffix}").read_bytes()


def test_a_part_gets_a_verdict(served: Served, part: Callable[..., Path]) -> None:
    answer = served().post("/anomaly", content=part("a.png").read_bytes())
    assert answer.status_code == 200, answer.text
    verdict = answer.json()
    assert verdict["verdict"] in ("good", "defective", "unfamiliar")
    assert {"score", "threshold", "regions", "model"} <= verdict.keys()
    assert "source" not in verdict


def test_a_form_is_taken_and_the_name_of_its_file_leads_nowhere(
    served: Served, photo: Photo, workplace: Path
) -> None:
    content = photo("a.png").read_bytes()
    client = served()
    plain = client.post("/denoise", content=content)
    for name in ("../../evil.png", "/etc/passwd", "a\x00.png", "CON"):
        answer = client.post("/denoise", files={"file": (name, content)})
        assert answer.status_code == 200, answer.text
        assert answer.content == plain.content
    assert [path.name for path in workplace.iterdir()] == ["a.png"]


@pytest.mark.usefixtures("workplace")
def test_a_record_that_is_too_long_for_a_header_names_what_it_lacks(served: Served) -> None:
    planes = np.random.default_rng(0).integers(0, 256, (3000, 4, 4), dtype=np.uint8)
    tifffile.imwrite("stack.tif", planes, photometric="minisblack")
    answer = served().post("/denoise", content=Path("stack.tif").read_bytes())
    assert answer.status_code == 200, answer.text
    record = json.loads(answer.headers["imrestore-record"])
    assert (record["planes"], record["left_out"]) == (3000, ["sigmas"])


@pytest.mark.usefixtures("workplace")
def test_whose_option_takes_damaged_pictures_is_said(served: Served) -> None:
    Image.effect_noise((64, 64), 50).save("cut.jpg")
    cut = served().post("/denoise", content=Path("cut.jpg").read_bytes()[:-200])
    assert cut.status_code == 422
    assert "imrestore serve --keep-damaged" in cut.json()["error"]


def test_options_that_do_nothing_are_named(served: Served, photo: Photo) -> None:
    content, client = photo("a.png").read_bytes(), served()
    answer = client.post("/denoise", params={"noise-profile": PROFILE}, content=content)
    assert answer.status_code == 200, answer.text
    record = json.loads(answer.headers["imrestore-record"])
    assert record["without_effect"] == ["--noise-profile"]


def test_health_tells_names_of_weights_and_no_folders(served: Served) -> None:
    models = served().get("/health").json()["models"]
    assert sorted(models) == ["anomaly", "dark-enhance", "denoise"]
    assert not any("/" in model for model in models.values())


def test_the_document_names_the_options_of_the_command(served: Served) -> None:
    client = served()
    document = client.get("/openapi.json").json()
    assert sorted(document["paths"]) == [
        "/", "/anomaly", "/dark-enhance", "/denoise", "/health", "/metrics", "/openapi.json",
    ]  # fmt: skip
    given = {each["name"]: each["schema"] for each in
             document["paths"]["/denoise"]["post"]["parameters"]}  # fmt: skip
    assert {"format", "bit-depth", "quality", "sigma", "strength", "noise-profile"} <= given.keys()
    assert given["quality"] == {"type": "integer", "minimum": 1, "maximum": 100}
    assert "webp" in given["format"]["enum"]
    assert given["strip-metadata"] == {"type": "boolean", "default": False}
    for path in document["paths"].values():
        (operation,) = path.values()
        assert {"200", "403", "404", "405", "503"} <= operation["responses"].keys()
    assert client.get("/denoise").headers["allow"] == "POST"


def test_the_page_needs_no_other_site(served: Served) -> None:
    page = served().get("/").text
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    assert 'id="token"' not in page
    assert 'id="token"' in served(token="x").get("/").text
