"""The bytes that the service holds, of uploads and of answers."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

Photo = Callable[..., Path]
Served = Callable[..., Any]


def test_uploads_are_held_within_a_bound(
    served: Served, photo: Photo, leave: threading.Event
) -> None:
    content = photo("a.png").read_bytes()
    client = served(most_held=5 * len(content) // 2)
    statuses: list[int] = []

    def ask() -> None:
        statuses.append(client.post("/denoise?sigma=20", content=content).status_code)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    while client.get("/health").json()["under_way"] < 2:
        pass
    for body in (content, iter([content])):  # whether or not it states its length
        answer = client.post("/denoise", content=body)
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) >= 1
        assert f"holds {2 * len(content):,} of {5 * len(content) // 2:,}" in answer.json()["error"]
    assert f"imrestore_held_bytes {2.0 * len(content)}" in client.get("/metrics").text
    leave.set()
    for thread in threads:
        thread.join()
    assert statuses == [200, 200]
    assert "imrestore_held_bytes 0.0" in client.get("/metrics").text


def test_a_result_that_is_more_than_all_that_is_held_is_refused(
    served: Served, photo: Photo
) -> None:
    content = photo("a.jpg").read_bytes()
    client = served(most_held=len(content))
    answer = client.post("/denoise?sigma=20&format=ppm", content=content)
    assert answer.status_code == 413
    assert "--max-held" in answer.json()["error"]
    assert "imrestore_held_bytes 0.0" in client.get("/metrics").text


def test_an_answer_is_held_until_it_is_sent(tasks: list[Any], photo: Photo) -> None:
    from imrestore.serve.app import Service
    from imrestore.serve.guard import State
    from imrestore.serve.upload import Limits

    limits = Limits(most_bytes=10**7, most_held=10**7, grace_s=30.0)
    service = Service(tasks=tasks, limits=limits, waiting=1, token="", state=State())
    content = photo("a.png").read_bytes()

    async def scenario() -> None:
        application = service.application()
        body, is_begun, may_end = [content], asyncio.Event(), asyncio.Event()
        sizes: list[int] = []

        async def receive() -> Any:
            if not body:
                await asyncio.Event().wait()  # the client stays
            return {"type": "http.request", "body": body.pop()}

        async def send_slowly(message: Any) -> None:
            if message.get("body"):
                sizes.append(len(message["body"]))
                is_begun.set()
                await may_end.wait()

        async def held() -> str:
            parts: list[bytes] = []

            async def send(message: Any) -> None:
                parts.append(message.get("body", b""))

            await application(_scope("GET", "/metrics"), receive, send)
            return b"".join(parts).decode()

        task = asyncio.create_task(application(_scope("POST", "/denoise"), receive, send_slowly))
        await is_begun.wait()
        assert f"imrestore_held_bytes {float(sizes[0])}" in await held()
        may_end.set()
        await task
        assert "imrestore_held_bytes 0.0" in await held()

    asyncio.run(scenario())


def test_the_stated_length_of_an_upload_is_reserved_while_it_comes(tasks: list[Any]) -> None:
    from imrestore.serve.app import Service
    from imrestore.serve.guard import State
    from imrestore.serve.upload import Limits

    limits = Limits(most_bytes=1000, most_held=1000, grace_s=30.0)
    service = Service(tasks=tasks, limits=limits, waiting=1, token="", state=State())

    async def scenario() -> None:
        application = service.application()
        has_begun, may_end = asyncio.Event(), asyncio.Event()

        async def receive_part() -> Any:
            if not has_begun.is_set():
                has_begun.set()
                return {"type": "http.request", "body": b"P", "more_body": True}
            await may_end.wait()
            return {"type": "http.disconnect"}

        async def receive_nothing() -> Any:
            return {"type": "http.request", "body": b""}

        async def asked(method: str, path: str, receive: Any, **headers: str) -> tuple[int, str]:
            parts: list[Any] = []

            async def send(message: Any) -> None:
                parts.append(message)

            await application(_scope(method, path, **headers), receive, send)
            return parts[0]["status"], b"".join(each["body"] for each in parts[1:]).decode()

        def upload(size: int, receive: Any) -> Any:
            return asked("POST", "/denoise", receive, **{"content-length": str(size)})

        first = asyncio.create_task(upload(700, receive_part))
        await has_begun.wait()
        assert "imrestore_held_bytes 700.0" in (await asked("GET", "/metrics", receive_nothing))[1]
        status, error = await upload(400, receive_nothing)
        assert (status, "holds 700 of 1,000 bytes" in error) == (429, True)
        assert (await upload(300, receive_nothing))[0] == 400, "it fits in, and is empty"
        may_end.set()
        assert (await first)[0] == 400
        assert "imrestore_held_bytes 0.0" in (await asked("GET", "/metrics", receive_nothing))[1]

    asyncio.run(scenario())


def _scope(method: str, path: str, **headers: str) -> dict[str, Any]:
    sent = {"host": "127.0.0.1", **headers}
    return {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(),
        "query_string": b"", "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        "scheme": "http", "http_version": "1.1", "server": ("127.0.0.1", 80),
        "asgi": {"version": "3.0", "spec_version": "2.3"},
    }  # fmt: skip


def test_less_than_one_upload_is_refused(run: Callable[..., Any]) -> None:
    refused = run("serve", "--port", "0", "--max-held", "10")
    assert refused.code == 2
    assert "--max-held 10: no upload of --max-upload 256 fits in" in refused.err
