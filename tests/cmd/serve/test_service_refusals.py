"""What the service refuses, and how it says so."""

import errno
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Served = Callable[..., Any]


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
