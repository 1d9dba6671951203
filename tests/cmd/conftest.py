"""Pictures, small networks, and ways to run the command line."""

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

SCRIPT = str(Path(sys.executable).with_name("imrestore"))


@dataclass(frozen=True)
class Ended:
    """What a command came to."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Let signals end the processes that tests start, even where the tests run in the background.

    There a shell lets what it starts ignore SIGINT, and ``nohup`` lets it ignore SIGHUP; children
    inherit that, but not a handler.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda _number, _frame: None)


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A colour network of two layers that runs in no time and changes every pixel."""
    return _weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors", depth=2, width=4)


@pytest.fixture(scope="session")
def slow_weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A network that needs many seconds for a picture of a megapixel."""
    return _weights(tmp_path_factory.mktemp("weights") / "slow.safetensors", depth=40, width=128)


def _weights(path: Path, *, depth: int, width: int) -> str:
    import torch

    from restore.models.dncnn import DnCNN, DnCNNConfig
    from restore.weights.store import Weights, save_weights

    torch.manual_seed(0)
    config = DnCNNConfig(channels=3, depth=depth, width=width)
    save_weights(
        Weights(
            name=path.stem,
            network=DnCNN,
            config=config,
            task="denoise",
            tensors=DnCNN(config).state_dict(),
        ),
        path,
    )
    return str(path)


@pytest.fixture
def darkness_weights(tmp_path: Path) -> Callable[..., str]:
    """Write weights of a detector of dark places under a name; see ``_darkness``."""
    return lambda name, **changes: _darkness(tmp_path / f"{name}.safetensors", **changes)


def _darkness(path: Path, **changes: object) -> str:
    """Weights whose score is high where a gray picture is dark, made by hand and not trained.

    The discriminator's stem averages 4x4 pixels into one feature that the tail takes out negated.
    """
    import torch

    from restore.models.draem import Draem, DraemConfig
    from restore.weights.store import Weights, save_weights

    config = DraemConfig(channels=1, reconstructor=(1,), discriminator=(1,), smoothing=1)
    network = Draem(config)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        unet = network.discriminator
        unet.stem.weight[0, 0] = -1.0 / 16
        unet.stem.bias.fill_(0.5)
        unet.tail.weight[:, 0, 1, 1] = 40.0
        unet.tail.bias.fill_(-30.0)
    settings: dict[str, object] = {
        "provenance": {
            "calibration": {"scores": [i / 100 for i in range(1, 40)], "target_fpr": 0.05},
            "inspection": {"scale": 1},
        }
    }
    save_weights(
        Weights(
            name=path.stem,
            network=Draem,
            config=config,
            task="anomaly",
            tensors=network.state_dict(),
            **(settings | changes),  # type: ignore[arg-type]
        ),
        path,
    )
    return str(path)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    return tmp_path


@pytest.fixture
def run(workplace: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Run a command line in this process."""
    del workplace
    from imrestore.__main__ import run as run_command_line

    def run_here(*arguments: str) -> Ended:
        capfd.readouterr()
        code = run_command_line(list(arguments))
        sys.stdout.flush()
        captured = capfd.readouterr()
        return Ended(code, captured.out, captured.err)

    return run_here


@pytest.fixture
def spawn(workplace: Path) -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    """Start the installed console script."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str, **options: object) -> "subprocess.Popen[bytes]":
        users = {name: text for name, text in os.environ.items() if name != "IMRESTORE_ENGINE"}
        process = subprocess.Popen(
            [SCRIPT, *arguments],
            cwd=workplace,
            env=users | {"OMP_NUM_THREADS": "1"},
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        with process:  # closes its pipes and waits
            pass


@pytest.fixture
def photo(workplace: Path) -> Callable[..., Path]:
    """Write an 8-bit colour picture of noise."""

    def write(name: str, *, width: int = 40, height: int = 24, seed: int = 0) -> Path:
        path = workplace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(values).save(path)
        return path

    return write


@pytest.fixture
def part(workplace: Path) -> Callable[..., Path]:
    """Write a light part, if wished with a black hole of 10x8 pixels at (left 20, top 12)."""

    def write(name: str, *, hole: bool = False, width: int = 64, height: int = 48) -> Path:
        path = workplace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        values = np.full((height, width), 200, np.uint8)
        if hole:
            values[12:20, 20:30] = 0
        Image.fromarray(values).save(path)
        return path

    return write


@pytest.fixture
def model(darkness_weights: Callable[..., str]) -> str:
    """The file of a detector of dark places; see ``_darkness``."""
    return darkness_weights("dark")


@pytest.fixture
def pixels() -> Callable[[str | Path], np.ndarray]:
    """Read the samples of a picture."""

    def read(path: str | Path) -> np.ndarray:
        with Image.open(path) as image:
            return np.asarray(image)

    return read


@pytest.fixture
def records() -> Callable[..., list[dict[str, object]]]:
    """Read what a report of `imrestore anomaly` says of every picture."""

    def read(report: str = "report") -> list[dict[str, object]]:
        lines = Path(report, "results.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    return read


@pytest.fixture
def tree() -> Callable[[str], dict[str, bytes]]:
    """Read all files below a folder, by their names below it."""

    def read(report: str) -> dict[str, bytes]:
        paths = sorted(path for path in Path(report).rglob("*") if path.is_file())
        return {str(path.relative_to(report)): path.read_bytes() for path in paths}

    return read


@pytest.fixture
def web(workplace: Path) -> Iterator[str]:
    """The address of a web server for the working folder; what is signed needs a signature."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def send_header(self, keyword: str, value: str) -> None:
            if keyword != "Content-Length" or "/untold/" not in self.path:
                super().send_header(keyword, value)

        def send_head(self) -> Any:
            if self.path.startswith("/signed/") and "?signature=" not in self.path:
                return self.send_error(403)
            return super().send_head()

        def log_message(self, *_: object) -> None:
            pass

    handler = partial(Quiet, directory=str(workplace))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
