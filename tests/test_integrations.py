"""The plug-ins of other programs build commands that run, and take the results back."""

import importlib.util
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from imrestore.app import app

PROJECT = Path(__file__).resolve().parents[1]
GIMP = PROJECT / "integrations/gimp/imrestore-denoise"


def run_as_command(words: list[str]) -> int:
    return CliRunner().invoke(app, words[1:], catch_exceptions=False).exit_code


def write_picture(path: Path) -> None:
    noise = np.random.default_rng(0).normal(128, 15, (40, 48, 3))
    Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(path)


def module(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


class Darktable:
    """As much of darktable's Lua interface as the script uses."""

    def __init__(self, target: Path) -> None:
        lupa = pytest.importorskip("lupa")
        self.lua = lupa.LuaRuntime(unpack_returned_tuples=True)
        self.commands: list[list[str]] = []
        self.imported: list[str] = []
        self.grouped: list[str] = []
        self.printed: list[str] = []
        self.is_refused = False
        self.preferences = {"command": "imrestore", "target": str(target)}
        lua = self.lua
        modules = lua.table_from({
            "configuration": lua.table_from({"running_os": "linux"}),
            "preferences": lua.table_from({
                "register": lambda *_arguments: None,
                "read": lambda _module, key, _kind: self.preferences[key],
            }),
            "new_widget": lambda _kind: lambda attributes: attributes,
            "control": lua.table_from({"execute": self.execute}),
            "database": lua.table_from({"import": self.take}),
            "print": self.printed.append,
            "register_storage": self.register,
        })  # fmt: skip
        lua.globals().package.loaded["darktable"] = modules
        lua.execute((PROJECT / "integrations/darktable/imrestore.lua").read_text())

    def register(
        self, _module: str, _title: str, _store: Any, finalize: Callable[..., None], *_rest: Any
    ) -> None:
        self.finalize = finalize

    def execute(self, command: str) -> int:
        self.commands.append(shlex.split(command))
        if self.is_refused:
            return 2
        return run_as_command(self.commands[-1])

    def take(self, path: str) -> Any:
        self.imported.append(path)
        return self.lua.table_from({"group_with": lambda _self, of: self.grouped.append(of)})

    def export(self, files: dict[str, Path]) -> None:
        exported = {photograph: str(file) for photograph, file in files.items()}
        self.finalize(None, self.lua.table_from(exported))


def exported(folder: Path, names: list[str]) -> dict[str, Path]:
    folder.mkdir()
    files = {name: folder / name for name in names}
    for file in files.values():
        write_picture(file)
    return files


def test_darktable_denoises_imports_and_groups(tmp_path: Path) -> None:
    (tmp_path / "my results").mkdir()
    darktable = Darktable(tmp_path / "my results")
    files = exported(tmp_path / "it's a folder", ["-a.png", "b c.png"])
    darktable.export(files)
    (command,) = darktable.commands
    assert command[:2] == ["imrestore", "denoise"]
    assert {str(file) for file in files.values()} == set(command[command.index("--") + 1 :])
    results = {str(tmp_path / "my results" / name) for name in files}
    assert set(darktable.imported) == results
    assert all(Path(result).is_file() for result in results)
    assert set(darktable.grouped) == set(files)
    assert not any(file.exists() for file in files.values())


def test_darktable_starts_a_network_once_for_twenty_photographs(tmp_path: Path) -> None:
    darktable = Darktable(tmp_path)
    darktable.execute = lambda command: darktable.commands.append(command) or 0  # type: ignore[method-assign]
    darktable.lua.globals().package.loaded["darktable"].control.execute = darktable.execute
    darktable.export({str(index): tmp_path / f"{index}.tif" for index in range(45)})
    assert len(darktable.commands) == 3


def test_darktable_says_what_is_missing(tmp_path: Path) -> None:
    darktable = Darktable(tmp_path)
    darktable.preferences["target"] = ""
    darktable.lua.execute("package.loaded.imrestore = nil")
    darktable.lua.execute((PROJECT / "integrations/darktable/imrestore.lua").read_text())
    darktable.export({"a": tmp_path / "a.tif"})
    assert darktable.printed == ["imrestore: choose a folder for the results first"]
    assert not darktable.commands


def test_darktable_imports_nothing_that_failed(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    darktable = Darktable(tmp_path / "out")
    files = exported(tmp_path / "in", ["a.png"])
    files["a.png"].write_bytes(b"no picture")
    darktable.export(files)
    assert not darktable.imported
    assert "exit code 1" in darktable.printed[-1]
    assert files["a.png"].exists()


def test_darktable_never_takes_an_earlier_result_for_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    darktable = Darktable(tmp_path / "out")
    (tmp_path / "out/a.png").write_bytes(b"earlier")
    files = exported(tmp_path / "in", ["a.png", "a_01.png"])
    darktable.is_refused = True
    darktable.export(files)
    assert not darktable.imported
    assert "exit code 2" in darktable.printed[-1]
    assert len(list((tmp_path / "in").iterdir())) == 2
    darktable.is_refused = False
    left = {path.name: path for path in (tmp_path / "in").iterdir()}
    darktable.export(left)
    assert len(set(darktable.imported)) == 2
    assert str(tmp_path / "out/a.png") not in darktable.imported
    assert (tmp_path / "out/a.png").read_bytes() == b"earlier"
    assert not list((tmp_path / "in").iterdir())


def test_the_command_of_gimp_runs(tmp_path: Path) -> None:
    command = module(GIMP / "command.py", "gimp_command")
    write_picture(tmp_path / "layer.tif")
    words = command.command_line(
        "imrestore", tmp_path / "layer.tif", tmp_path / "denoised.tif",
        strength=0.8, detail=0.1, sigma=0.0,
    )  # fmt: skip
    assert words[words.index("--sigma") + 1] == "auto"
    assert run_as_command(words) == 0
    assert (tmp_path / "denoised.tif").is_file()


def test_gimp_is_told_in_one_line_what_went_wrong(tmp_path: Path) -> None:
    command = module(GIMP / "command.py", "gimp_command")
    assert "cannot be started" in command.run([str(tmp_path / "nothing")])
    failing = [sys.executable, "-c", "import sys; print('a\\nb', file=sys.stderr); sys.exit(1)"]
    assert command.run(failing) == "b"
    assert command.run([sys.executable, "-c", "raise SystemExit(3)"]).endswith("exit code 3")
    assert command.run([sys.executable, "-c", ""]) is None


class Gimp:
    """As much of GIMP's Python interface as the plug-in uses; it records what is inserted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.inserted: list[Any] = []
        self.errors: list[str] = []
        self.layer = self.Layer()
        gimp = SimpleNamespace(
            PlugIn=type("PlugIn", (), {"__gtype__": "plug-in"}),
            Layer=self.Layer,
            Image=SimpleNamespace(new_with_precision=lambda *_arguments: self),
            ImageProcedure=SimpleNamespace(new=lambda *arguments: self.Procedure(arguments[3])),
            PDBProcType=SimpleNamespace(PLUGIN=0),
            PDBStatusType=SimpleNamespace(SUCCESS=0, EXECUTION_ERROR=1, CANCEL=2),
            ProcedureSensitivityMask=SimpleNamespace(DRAWABLE=1),
            RunMode=SimpleNamespace(INTERACTIVE=0, NONINTERACTIVE=1),
            file_save=lambda _mode, _image, path, _options: write_picture(Path(path)),
            file_load_layer=self.load,
            progress_init=lambda _text: None,
            displays_flush=lambda: None,
            main=lambda *_arguments: None,
        )
        repository = ModuleType("gi.repository")
        for name, value in {
            "Gimp": gimp,
            "GimpUi": SimpleNamespace(),
            "Gio": SimpleNamespace(File=SimpleNamespace(new_for_path=str)),
            "GLib": SimpleNamespace(Error=lambda text="": text),
            "GObject": SimpleNamespace(ParamFlags=SimpleNamespace(READWRITE=3)),
        }.items():
            setattr(repository, name, value)
        gi = ModuleType("gi")
        gi.require_version = lambda *_arguments: None  # type: ignore[attr-defined]
        gi.repository = repository  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "gi", gi)
        monkeypatch.setitem(sys.modules, "gi.repository", repository)
        monkeypatch.setattr(sys, "path", [*sys.path])
        monkeypatch.delitem(sys.modules, "command", raising=False)
        self.plug_in = module(GIMP / "imrestore-denoise.py", "gimp_plug_in").ImrestoreDenoise()

    class Layer:
        @staticmethod
        def new_from_drawable(layer: Any, _image: Any) -> Any:
            return layer

        def __getattr__(self, name: str) -> Any:
            answers = {"get_offsets": (True, 3, 5), "get_name": "sky", "get_parent": None}
            return lambda *_arguments: answers.get(name, 8)

    class Procedure:
        def __init__(self, run: Callable[..., Any]) -> None:
            self.run = run
            self.arguments: dict[str, Any] = {}

        def new_return_values(self, status: int, error: str) -> tuple[int, str]:
            return status, error

        def add_double_argument(self, key: str, *rest: Any) -> None:
            self.arguments[key] = rest[-2]

        add_string_argument = add_double_argument

        def __getattr__(self, _name: str) -> Any:
            return lambda *_arguments: None

    def load(self, _mode: int, _image: Any, path: str) -> Any:
        assert Path(path).stat().st_size > 1000
        return self.Layer()

    def insert_layer(self, layer: Any, _parent: Any, position: int) -> None:
        self.inserted.append((layer, position))

    def get_color_profile(self) -> None:
        return None

    def __getattr__(self, _name: str) -> Any:
        return lambda *_arguments: 2

    def run(self, **settings: Any) -> tuple[int, str]:
        procedure = self.plug_in.do_create_procedure("plug-in-imrestore-denoise")
        arguments = procedure.arguments | settings
        config = SimpleNamespace(get_property=arguments.__getitem__)
        ended: tuple[int, str] = procedure.run(procedure, 1, self, [self.layer], config, None)
        return ended


def test_gimp_gets_a_new_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = tmp_path / "imrestore"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m imrestore "$@"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PYTHONPATH", f"{PROJECT}:{PROJECT / 'cmd'}")
    gimp = Gimp(monkeypatch)
    assert gimp.run(command=str(command)) == (0, "")
    # The layer alone in an image of its own, then the result above it in the image.
    assert [position for _, position in gimp.inserted] == [0, 2]


def test_gimp_shows_the_error_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    gimp = Gimp(monkeypatch)
    status, error = gimp.run(command="/nowhere/imrestore")
    assert status == 1
    assert error == "imrestore: /nowhere/imrestore cannot be started: No such file or directory"
