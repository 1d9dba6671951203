"""What follows a verdict: a command and a message to a server on loopback."""

import http.server
import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from restore.anomaly.follow import Command, Followers, Webhook

RECORD = {"source": "in/a b.png", "verdict": "defective", "score": 2.5}


class Server(http.server.ThreadingHTTPServer):
    """Answers with the next of some codes, and keeps what it was sent."""

    def __init__(self, codes: list[int], delay_s: float = 0.0) -> None:
        self.codes, self.delay_s = codes, delay_s
        self.received: list[dict[str, object]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/parts"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append(json.loads(body))
        time.sleep(self.server.delay_s)
        code = self.server.codes.pop(0) if self.server.codes else 200
        self.send_response(code)
        if code == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Server]]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    started: list[Server] = []

    class Started(Server):
        def __init__(self, *codes: int, delay_s: float = 0.0) -> None:
            super().__init__(list(codes), delay_s)
            started.append(self)
            threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    yield Started
    for each in started:
        each.shutdown()
        each.server_close()


def sent(server: Server, **options: object) -> str:
    settings = {"pauses_s": (0.01, 0.01, 0.01)} | options
    return Webhook(server.url, **settings).send(RECORD, lambda: False)  # type: ignore[arg-type]


def test_a_record_is_posted_as_json(served: type[Server]) -> None:
    server = served()
    assert sent(server) == ""
    assert server.received == [RECORD]


def test_a_server_that_fails_for_a_while_gets_the_record_in_the_end(served: type[Server]) -> None:
    server = served(500, 503, 429)
    assert sent(server) == ""
    assert len(server.received) == 4


def test_tries_are_bounded_and_fewer_while_the_server_is_down(served: type[Server]) -> None:
    server = served(*[500] * 9)
    webhook = Webhook(server.url, pauses_s=(0.01, 0.01, 0.01))
    reasons = [webhook.send(RECORD, lambda: False) for _ in range(3)]
    assert reasons == [f"{server.url.removesuffix('/parts')}: answered 500"] * 3
    assert len(server.received) == 4 + 1 + 1


@pytest.mark.parametrize(("code", "told"), [(404, "answered 404"), (302, "redirects")])
def test_what_will_never_work_is_not_tried_again(
    served: type[Server], code: int, told: str
) -> None:
    server = served(code)
    assert told in sent(server)
    assert len(server.received) == 1


def test_a_server_that_does_not_answer_in_time_is_given_up(served: type[Server]) -> None:
    server = served(delay_s=1.0)
    started = time.monotonic()
    assert "timed out" in sent(server, pauses_s=(), timeout_s=0.1)
    assert time.monotonic() - started < 1.0


def test_no_server_is_told_without_secrets_of_the_address() -> None:
    webhook = Webhook("http://user:secret@127.0.0.1:9/hook?token=secret", pauses_s=())
    reason = webhook.send(RECORD, lambda: False)
    assert "127.0.0.1:9" in reason
    assert "secret" not in reason


def test_retries_end_when_the_run_is_stopped(served: type[Server]) -> None:
    server = served(500, 500, 500)
    Webhook(server.url, pauses_s=(30.0,)).send(RECORD, lambda: True)
    assert len(server.received) == 1


def python(code: str) -> Command:
    return Command((sys.executable, "-c", code))


def test_a_command_is_told_about_the_part_and_no_shell_reads_it(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    code = (
        "import json, os, sys; json.dump([sys.argv[1:], os.environ['PART_FILE'], "
        "os.environ['PART_VERDICT'], os.environ['PART_SCORE'], "
        f"json.loads(os.environ['PART_RECORD'])], open({str(out)!r}, 'w'))"
    )
    record = RECORD | {"source": "in/$(touch x); a.png"}
    assert python(code).run(record) == ""
    name = record["source"]
    assert json.loads(out.read_text()) == [[name, "defective"], name, "defective", "2.5", record]


def test_what_a_command_prints_comes_on_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    assert python("print('lamp on')").run(RECORD) == ""
    assert capfd.readouterr() == ("", "lamp on\n")


def test_a_command_that_fails_is_told_with_its_last_words() -> None:
    code = "import sys; print('x' * 10**6, 'no light', sep='\\n', file=sys.stderr); sys.exit(7)"
    assert python(code).run(RECORD) == "ended with 7: no light"
    assert "cannot be run" in Command(("/nowhere/at/all",)).run(RECORD)


def test_a_command_that_does_not_end_is_ended() -> None:
    started = time.monotonic()
    reason = python("import time; time.sleep(60)").run(RECORD, timeout_s=0.5)
    assert reason == "ended after 0.5 s without being done"
    assert time.monotonic() - started < 20


def test_commands_run_for_parts_that_are_not_good_and_messages_for_all(
    served: type[Server],
) -> None:
    server = served()
    followers = Followers(
        on_defect=Command.parsed(f"{sys.executable} -c 'raise SystemExit(3)'"),
        webhook=Webhook(server.url),
    )
    told = {
        verdict: len(followers(RECORD | {"verdict": verdict}))
        for verdict in ("good", "review", "defective", "unfamiliar", "failed")
    }
    assert told == {"good": 0, "review": 1, "defective": 1, "unfamiliar": 1, "failed": 1}
    assert len(server.received) == 5
