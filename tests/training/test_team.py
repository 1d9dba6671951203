import pytest
import torch

from restore.errors import TrainingError, UsageError
from restore.training.state import Randomness
from restore.training.team import Team, assembled, team_rank, team_size


def test_every_process_takes_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setenv("LOCAL_RANK", "3")
    team = Team(rank=11, size=16)
    assert [team.device_name(name) for name in ("auto", "cuda")] == ["cuda:3", "cuda:3"]
    assert team.device_name("cpu") == "cpu"
    with pytest.raises(UsageError, match="a GPU each"):
        team.device_name("cuda:0")


def test_processes_without_gpus_and_a_process_alone_take_what_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert Team(rank=1, size=2).device_name("auto") == "auto"
    assert Team().device_name("cuda:1") == "cuda:1"


def test_randomness_of_another_kind_of_device_is_refused() -> None:
    """The state of a generator on a GPU is 16 bytes long."""
    rng = Randomness(0, torch.device("cpu"))
    host, local = rng.state()
    with pytest.raises(TrainingError, match="another kind of device than cpu"):
        rng.restore([host, local[:16]])
    rng.restore([host, local])


def test_processes_of_a_run_draw_crops_and_noise_of_their_own() -> None:
    cpu = torch.device("cpu")
    first, second, again = (Randomness(7, cpu, rank=rank) for rank in (0, 1, 1))

    def drawn(rng: Randomness) -> list[float]:
        return [float(torch.rand(1, generator=one)) for one in (rng.host, rng.local)]

    values = drawn(first), drawn(second)
    assert values[1] == drawn(again)
    assert len({*values[0], *values[1]}) == 4


@pytest.mark.parametrize(
    ("size", "rank", "expected"),
    [(None, None, (1, 0)), ("", None, (1, 0)), ("1", "1", (1, 0)), (None, "1", (1, 0)),
     ("2", "1", (2, 1))],
)  # fmt: skip
def test_a_process_without_others_leads(
    monkeypatch: pytest.MonkeyPatch, size: str | None, rank: str | None, expected: tuple[int, int]
) -> None:
    for name, value in (("WORLD_SIZE", size), ("RANK", rank)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert (team_size(), team_rank()) == expected


def test_what_the_leader_cannot_read_is_refused_by_all(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[object] = []

    def broadcast(values: list[object], src: int) -> None:
        assert src == 0
        sent[:] = sent or values
        values[:] = sent

    def damaged() -> None:
        raise TrainingError("mine.checkpoint: damaged")

    def unread() -> None:
        raise AssertionError("only the leader reads")

    monkeypatch.setattr("torch.distributed.broadcast_object_list", broadcast)
    for rank, look in enumerate((damaged, unread)):
        with pytest.raises(TrainingError, match=r"mine\.checkpoint: damaged"):
            Team(rank=rank, size=2).as_leader_sees(look)


def test_a_process_alone_knows_that_it_was_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "2")
    with assembled() as team:
        assert (team.restarts, team.size, team.leads) == (2, 1, True)


@pytest.mark.parametrize(
    ("size", "rank", "message"),
    [("2", "", "WORLD_SIZE is 2, but RANK is not set"), ("2", "2", "but RANK is 2"),
     ("2", "x", "RANK is x"), ("two", "0", "WORLD_SIZE is two"), ("0", "0", "WORLD_SIZE is 0"),
     ("2", "-1", "RANK is -1")],
)  # fmt: skip
def test_a_place_in_no_team_is_refused(
    monkeypatch: pytest.MonkeyPatch, size: str, rank: str, message: str
) -> None:
    monkeypatch.setenv("WORLD_SIZE", size)
    monkeypatch.setenv("RANK", rank)
    with pytest.raises(UsageError, match=message):
        team_rank()
