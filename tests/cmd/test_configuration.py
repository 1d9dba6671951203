"""Defaults of the user's own: where they come from, which one counts, and what is refused."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from imrestore.configuration import OTHER_VARIABLES

Run = Callable[..., SimpleNamespace]
Photo = Callable[..., Path]
PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def strength(run: Run, photo: Photo, tiny_weights: str) -> Callable[..., float]:
    """Denoise a picture and return the strength that was used."""
    photo("in/a.png")

    def used(*options: str, **environment: str) -> float:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            ended = run("denoise", "in", "-o", "out", "--overwrite", "--model", tiny_weights,
                        "--json", *options)  # fmt: skip
        assert ended.code == 0, ended.err
        return float(json.loads(ended.out)["strength"])

    return used


@pytest.fixture
def user_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of the file in the user's own config folder."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "config" / "imrestore"
    folder.mkdir(parents=True)
    return folder / "imrestore.toml"


def test_the_command_line_precedes_variables_and_those_precede_files(
    strength: Callable[..., float], user_file: Path
) -> None:
    assert strength() == 1.0
    user_file.write_text("strength = 0.1")
    assert strength() == 0.1
    user_file.write_text("strength = 0.1\n[denoise]\nstrength = 0.2")
    assert strength() == 0.2
    Path("imrestore.toml").write_text("strength = 0.3")
    assert strength() == 0.3
    Path("imrestore.toml").write_text(
        "[denoise]\nstrength = 0.4\n[preset.soft]\nstrength = 0.5\n"
        "[preset.x.denoise]\nstrength = 0.6"
    )
    assert strength() == 0.4
    assert strength("--preset", "soft") == 0.5
    assert strength(IMRESTORE_PRESET="x") == 0.6
    assert strength(IMRESTORE_STRENGTH="0.7") == 0.7
    assert strength("--preset", "soft", IMRESTORE_STRENGTH="0.7") == 0.7
    assert strength(IMRESTORE_STRENGTH="0.7", IMRESTORE_DENOISE_STRENGTH="0.8") == 0.8
    assert strength("--strength", "0.9", IMRESTORE_STRENGTH="0.7") == 0.9
    assert strength(IMRESTORE_STRENGTH="") == 0.4


def test_the_nearest_file_above_the_working_folder_counts(
    strength: Callable[..., float], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("imrestore.toml").write_text("strength = 0.3\ndetail = 0.1")
    below = Path("below/deep")
    below.mkdir(parents=True)
    Path("in").rename(below / "in")
    monkeypatch.chdir(below)
    assert strength() == 0.3
    Path("../imrestore.toml").write_text("strength = 0.4")
    assert strength() == 0.4


def test_what_another_user_left_in_a_folder_for_all_is_not_read(
    strength: Callable[..., float], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("shared/mine").mkdir(parents=True)
    Path("shared/imrestore.toml").write_text("strength = 0.3")
    Path("in").rename("shared/mine/in")
    monkeypatch.chdir("shared/mine")
    assert strength() == 0.3
    monkeypatch.setattr("imrestore.configuration._user", lambda: 12345)
    monkeypatch.setattr("imrestore.configuration._ROOT", 12346)
    assert strength() == 0.3
    Path("..").chmod(0o777)
    assert strength() == 1.0


def test_groups_have_tables_of_their_own(run: Run) -> None:
    Path("imrestore.toml").write_text(
        "[train]\nseed = -3.5\nsteps = 1\n[train.denoise]\noutput = 'a.b'"
    )
    ended = run("train", "denoise", "in")
    assert ended.code == 2
    assert "imrestore.toml [train]: Invalid value for '--seed'" in ended.err
    ended = run("train", "denoise", "in", "--seed", "1")
    assert ended.code == 2
    assert "a.b" in ended.err


def test_verbose_says_where_a_value_comes_from(
    run: Run, photo: Photo, tiny_weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo("a.png")
    Path("imrestore.toml").write_text(
        f"overwrite = true\nstrength = 0.5\n[denoise]\nmodel = '{tiny_weights}'"
    )
    monkeypatch.setenv("IMRESTORE_DETAIL", "0.25")
    lines = run("denoise", "a.png", "-o", "b.png", "--strength", "0.4", "-v").err.splitlines()
    file = Path.cwd() / "imrestore.toml"
    assert lines[:3] == [
        f"imrestore: --overwrite on comes from {file}",
        f"imrestore: --model {tiny_weights} comes from {file} [denoise]",
        "imrestore: --detail 0.25 comes from IMRESTORE_DETAIL",
    ]
    assert "--strength" not in "".join(lines)
    assert "comes from" not in run("denoise", "a.png", "-o", "b.png").err


def test_a_flag_yields_to_a_contradicting_one_from_a_stronger_source(
    run: Run, photo: Photo, tiny_weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo("a.png")
    command = ("denoise", "a.png", "-o", "b.png", "--model", tiny_weights)
    Path("imrestore.toml").write_text("skip-existing = true\nverbose = true")
    assert run(*command).code == 0
    assert "1 skipped" in run(*command).err
    assert "1 done" in run(*command, "--overwrite").err
    assert run(*command, "--overwrite", "-q").err == ""
    monkeypatch.setenv("IMRESTORE_OVERWRITE", "1")
    assert "1 done" in run(*command).err
    monkeypatch.setenv("IMRESTORE_OVERWRITE", "0")
    assert "1 skipped" in run(*command).err
    Path("imrestore.toml").write_text("skip-existing = true\noverwrite = true")
    monkeypatch.delenv("IMRESTORE_OVERWRITE")
    assert "contradict each other" in run(*command).err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("strenght = 1", r"imrestore.toml: unknown key strenght; did you mean strength\?"),
        ("skip_existing = true", r"unknown key skip_existing; did you mean skip-existing\?"),
        ("[denoise]\nsigm = 1", r"unknown key sigm in \[denoise\]; did you mean sigma\?"),
        ("[hdr]\nstrength = 1", r"unknown key strength in \[hdr\]"),
        ("[denois]\nsigma = 1", r"unknown key denois; did you mean denoise\?"),
        ("[train.denoise]\nstep = 1", r"unknown key step in \[train.denoise\]; did you mean steps"),
        ("[preset.a.denoise]\nsigm = 1", r"unknown key sigm in \[preset.a.denoise\]"),
        ("[preset]\na = 1", r"a preset is a table, as in \[preset.a\]"),
        ("[strength]\nx = 1", "strength is no table; write strength = VALUE"),
        ("denoise = 3", r"denoise is a table; write its keys below \[denoise\]"),
        ("[train]\nhdr = 3", r"train.hdr is a table; write its keys below \[train.hdr\]"),
        ("preset = 'a'", r"a preset is a table, as in \[preset.NAME\]"),
        ("help = true", "unknown key help"),
        ("recursive = 1", "imrestore.toml: recursive: give true or false"),
        ("strength = true", "imrestore.toml: strength: give a text or a number"),
        ("strength = [1]", "imrestore.toml: strength: give a text or a number"),
        ("strength = 3", "imrestore.toml: Invalid value for '--strength': 3"),
        ("strength = ", "imrestore.toml: is no valid TOML"),
        ("x = " + "[" * 5000, "imrestore.toml: is no valid TOML"),
        ("strength = '\udcff'", "imrestore.toml: is no valid TOML"),
    ],
)
def test_what_a_file_cannot_say_is_refused(run: Run, photo: Photo, text: str, message: str) -> None:
    photo("a.png")
    Path("imrestore.toml").write_text(text, errors="surrogateescape")
    ended = run("denoise", "a.png", "-o", "b.png")
    assert ended.code == 2, ended.err
    assert re.search(message, ended.err), ended.err
    assert ended.err.count("\n") == 1
    assert run("denoise", "--help").code == 0
    assert not Path("b.png").exists()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "IMRESTORE_STRENGHT",
            "1",
            r"no option has this variable; did you mean IMRESTORE_STRENGTH\?",
        ),
        ("IMRESTORE_HDR_STRENGTH", "1", "no option has this variable"),
        ("IMRESTORE_STRENGTH", "much", "IMRESTORE_STRENGTH: Invalid value for '--strength'"),
        ("IMRESTORE_RECURSIVE", "perhaps", "IMRESTORE_RECURSIVE: Invalid value for"),
        ("IMRESTORE_PRESET", "a", "no .preset.a. in imrestore.toml, of which there is none"),
    ],
)
def test_what_a_variable_cannot_say_is_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    ended = run("denoise", "a.png", "-o", "b.png")
    assert ended.code == 2
    assert re.search(message, ended.err), ended.err


def test_an_unknown_preset_is_refused_with_a_suggestion(run: Run) -> None:
    Path("imrestore.toml").write_text("[preset.gentle]\nstrength = 0.5")
    ended = run("denoise", "a.png", "-o", "b.png", "--preset", "gentel")
    assert ended.code == 2
    assert "did you mean gentle?" in ended.err


def test_lists_are_given_to_options_that_take_several(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("imrestore.toml").write_text(
        "[train.denoise]\noutput = 'x.safetensors'\nsteps = 1\nnoise = ['awgn', 'pink']"
    )
    Path("in").mkdir()
    assert "pink" in run("train", "denoise", "in").err
    monkeypatch.setenv("IMRESTORE_TRAIN_DENOISE_NOISE", "awgn brown")
    assert "brown" in run("train", "denoise", "in").err


def test_every_variable_of_the_project_is_known() -> None:
    """Or a command that is given one would refuse it as an unknown option's."""
    found = {
        name
        for path in [*PROJECT.glob("restore/**/*.py"), *PROJECT.glob("cmd/**/*.py")]
        for name in re.findall(r'"(IMRESTORE_[A-Z_]+)"', path.read_text())
    }
    assert {name for name in found if not name.endswith("_")} == set(OTHER_VARIABLES)


def test_a_shard_comes_from_the_job_array(
    run: Run, photo: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        photo(f"in/{name}.png")
    monkeypatch.setenv("IMRESTORE_SHARD", "env")
    assert "this is no job of an array" in run("denoise", "in", "-o", "out", "--dry-run").err
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "1")
    monkeypatch.setenv("IMRESTORE_SHARD_COUNT", "3")
    ended = run("denoise", "in", "-o", "out", "--dry-run")
    assert ended.out == "in/b.png -> out/b.png\n"
    assert "shard 2/3, as JOB_COMPLETION_INDEX says" in ended.err
