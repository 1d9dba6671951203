"""The service: what it answers, and that it does what the command does."""

import errno
import json
import threading
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


def big(width: int, height: int) -> bytes:
    path = Path("big.png")
    Image.fromarray(np.zeros((height, width), np.uint8)).save(path)
    return path.read_bytes()


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize(
    ("path", "content", "status", "message"),
    [
        ("/denoise", b"", 400, "the body is empty"),
        ("/denoise", b"no picture", 415, "the file: is not a picture"),
        ("/anomaly", b"no picture", 415, "the file: is not a picture"),
        ("/dark-enhance", b"no picture", 415, "the file: is not a camera RAW file"),
        ("/dark-enhance", None, 415, "RAW file; for finished pictures there is POST /denoise"),
        ("/denoise", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, 422, "the file: "),
        ("/denoise?strength=2", None, 422, "strength"),
        ("/denoise?strength=3", None, 422, "strength=3: give a number"),
        ("/denoise?strength=1.5", None, 422, "strength"),
        ("/denoise?strength=much", None, 422, "strength=much"),
        ("/denoise?sigma=nan", None, 422, "sigma=nan"),
        ("/denoise?format=gif", None, 422, "format=gif"),
        ("/denoise?format=dng", None, 422, "format=dng: use one of"),
        ("/denoise?format=jpeg&bit-depth=16", None, 422, "bit-depth=16: JPEG holds 8 bits"),
        ("/denoise?quality=0", None, 422, "quality=0"),
        ("/denoise?noise-profile=1", None, 422, "noise-profile=1: give a,b of Var"),
        ("/denoise?noise-profile=/etc/x.json", None, 422, "x.json: give a,b of Var"),
        ("/denoise?colour=1", None, 422, "colour: no such option"),
        ("/denoise?detail=1&detail=0", None, 422, "given more than once"),
        ("/denoise?output=/etc/x", None, 422, "output: no such option"),
        ("/denoise?model=/etc/passwd", None, 422, "model: no such option"),
        ("/anomaly?threshold=1", None, 422, "threshold: no such option"),
        ("/hdr", None, 404, "POST /hdr: no such path; /openapi.json"),
        ("/denoise/", None, 404, "no such path"),
        ("/../etc/passwd", None, 404, "no such path"),
        ("/health", None, 405, "POST /health: no such method; use GET, HEAD"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    served: Served, path: str, content: bytes | None, status: int, message: str
) -> None:
    answer = served().post(path, content=big(24, 16) if content is None else content)
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    error = answer.json()["error"]
    assert message in error
    assert "\n" not in error
    assert not error.startswith(("-:", "standard input"))
    assert ".json" not in error.partition(": give")[2]


@pytest.mark.usefixtures("workplace")
def test_pictures_and_bodies_are_limited(served: Served) -> None:
    from restore.image.limits import limited

    content = big(200, 200)
    client = served(most_bytes=len(content))
    assert client.post("/denoise", content=content).status_code == 200
    for body in (content + b"\0", iter([content, b"\0"])):
        answer = client.post("/denoise", content=body)
        assert answer.status_code == 413
        assert "--max-upload" in answer.json()["error"]
    with limited(1000):
        answer = client.post("/denoise", content=content)
    assert answer.status_code == 413
    assert "imrestore serve --max-pixels" in answer.json()["error"]


@pytest.mark.usefixtures("workplace")
def test_without_a_detector_it_says_how_to_inspect(served: Served, tasks: list[Any]) -> None:
    answer = served(tasks=tasks[:2]).post("/anomaly", content=big(24, 16))
    assert answer.status_code == 404
    assert answer.json()["error"].endswith(
        "start the service with its weights: imrestore serve --model FILE"
    )


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


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"--x\r\n\r\n", "multipart/form-data; boundary=x"),
        (b"junk", "multipart/form-data"),
        (
            b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\ntext\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
        ),
        (2 * (b'--x\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\na\r\n')
         + b"--x--\r\n", "multipart/form-data; boundary=x"),
    ],
)  # fmt: skip
def test_a_form_that_is_none_of_one_file_is_refused(
    served: Served, body: bytes, content_type: str
) -> None:
    answer = served().post("/denoise", content=body, headers={"content-type": content_type})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"].startswith("the form must hold one file")


@pytest.mark.usefixtures("workplace")
def test_too_many_at_once_are_told_when_to_come_again(
    served: Served, leave: threading.Event
) -> None:
    content = big(24, 16)
    client = served(waiting=1)
    statuses: list[int] = []

    def ask() -> None:
        statuses.append(client.post("/denoise", content=content).status_code)

    # One lane, two ahead of it, and one that waits.
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    while client.get("/health").json()["under_way"] < 4:
        pass
    answer = client.post("/denoise", content=content)
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 120
    leave.set()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 4
    assert client.get("/health").json()["under_way"] == 0
    figures = client.get("/metrics").text
    assert 'imrestore_requests_total{route="denoise",status="200"} 4.0' in figures
    assert 'imrestore_requests_total{route="denoise",status="429"} 1.0' in figures
    assert "imrestore_requests_under_way 0.0" in figures


@pytest.mark.usefixtures("workplace")
def test_the_token_opens_all_but_what_tells_nothing(served: Served) -> None:
    client = served(token="open sesame \u00e9")
    content = big(24, 16)
    for path in ("/", "/health", "/openapi.json"):
        assert client.get(path).status_code == 200
    for given in ({}, {"authorization": "Bearer no"}, {"authorization": "Basic open sesame"}):
        assert client.get("/metrics", headers=given).status_code == 401
        answer = client.post("/denoise", content=content, headers=given)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
    right = {b"authorization": "Bearer open sesame \u00e9".encode()}
    assert client.post("/denoise", content=content, headers=right).status_code == 200
    assert client.get("/metrics", headers=right).status_code == 200


@pytest.mark.usefixtures("workplace")
def test_pages_of_other_sites_do_not_get_in(served: Served) -> None:
    client, content = served(), big(24, 16)
    for headers in (
        {"host": "evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
    ):
        assert client.post("/denoise", content=content, headers=headers).status_code == 403
    for host in ("localhost:8000", "127.0.0.1", "[::1]:8000"):
        headers = {"host": host, "origin": f"http://{host}"}
        assert client.post("/denoise", content=content, headers=headers).status_code == 200


def test_health_tells_names_of_weights_and_no_folders(served: Served) -> None:
    models = served().get("/health").json()["models"]
    assert sorted(models) == ["anomaly", "dark-enhance", "denoise"]
    assert not any("/" in model for model in models.values())


@pytest.mark.usefixtures("workplace")
def test_a_full_disk_is_no_bug(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("imrestore.serve.upload.tempfile.SpooledTemporaryFile", full)
    answer = served().post("/denoise", content=big(24, 16))
    assert answer.status_code == 507
    assert answer.json()["error"].startswith("the file: there is no room for it on the disk")


def test_what_is_about_to_end_takes_nothing_new(served: Served) -> None:
    client = served()
    assert client.get("/health").json()["status"] == "ok"
    client.state.is_draining = True
    answer = client.post("/denoise", content=b"x")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "10"
    assert client.get("/health").json()["status"] == "draining"
    assert client.get("/metrics").status_code == 200


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
