"""Decoding, writing and the folders between, on real files."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from restore.batch.kinds import PICTURES
from restore.batch.plan import BatchPlan, Existing, Item
from restore.batch.sources import readable, write_stream
from restore.batch.stages import PictureStages, prepare_folders
from restore.batch.stream import Outcome, Status, Stopping
from restore.errors import ImageTooLarge, InputError, OutputError, OutputExists
from restore.image.codec import WriteOptions
from restore.image.codecs import ImageFormat
from restore.image.encode import encode_as
from restore.image.limits import limited
from restore.image.picture import Picture


@dataclass
class Unchanged:
    """The result of a task that does nothing."""

    picture: Picture
    record: Mapping[str, object] = field(default_factory=dict)

    def encoded(self, image_format: ImageFormat, options: WriteOptions) -> bytes:
        return encode_as(self.picture, image_format, options)


def write(path: Path, image_format: str = "PNG") -> Path:
    values = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(values).save(path, image_format)
    return path


def save(stages: PictureStages, item: Item, *, stopping: bool = False) -> Outcome:
    return stages.save(item, stages.process(stages.load(item)), lambda: stopping)


def test_a_picture_goes_through_unchanged(tmp_path: Path) -> None:
    item = Item(source=write(tmp_path / "a.png"), destination=tmp_path / "b.png")
    assert save(PictureStages(kind=PICTURES, restore=Unchanged), item).status is Status.DONE
    with Image.open(tmp_path / "a.png") as before, Image.open(tmp_path / "b.png") as after:
        np.testing.assert_array_equal(before, after)


def test_what_is_lost_stands_in_the_record(tmp_path: Path) -> None:
    """A PNG of 16 bits becomes a JPEG."""
    picture = Picture(pixels=np.zeros((3, 8, 8), np.float32), bit_depth=16)
    (tmp_path / "a.png").write_bytes(encode_as(picture, ImageFormat.PNG, WriteOptions()))
    item = Item(source=tmp_path / "a.png", destination=tmp_path / "b.jpg", format=ImageFormat.JPEG)
    asked = PictureStages(kind=PICTURES, restore=Unchanged, options=WriteOptions(bit_depth=8))
    assert "lost" not in save(asked, replace(item, destination=tmp_path / "c.jpg")).record
    stages = PictureStages(kind=PICTURES, restore=Unchanged)
    assert save(stages, item).record["lost"] == ["16 bits: JPEG holds 8"]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.dat", "JPEG", "JPEG"),
        ("a.png", "JPEG", "JPEG"),  # the container stays, as the name does
        ("a.jpg", "BMP", "JPEG"),  # BMP is not written, so the name decides
        ("a.dat", "BMP", "PNG"),
    ],
)
def test_the_content_decides_the_container(
    tmp_path: Path, name: str, content: str, expected: str
) -> None:
    (tmp_path / "out").mkdir()
    item = Item(source=write(tmp_path / name, content), destination=tmp_path / "out" / name)
    outcome = save(PictureStages(kind=PICTURES, restore=Unchanged), item)
    with Image.open(tmp_path / "out" / name) as image:
        assert image.format == expected
    is_misnamed = name == "a.png"
    named = "is JPEG, though its name ends in .png, and so is the result"
    said = f"{named}; image_format='png' converts it"
    assert outcome.record == ({"remarks": [said]} if is_misnamed else {})


def test_remarks_of_task_and_writing_stand_together(tmp_path: Path) -> None:
    item = Item(source=write(tmp_path / "a.webp"), destination=tmp_path / "b.WEBP")
    stages = PictureStages(
        kind=PICTURES, restore=lambda picture: Unchanged(picture, {"remarks": ["a guess"]})
    )
    said = save(stages, item).record["remarks"]
    assert [each.partition(",")[0] for each in said] == ["a guess", "is PNG"]


def test_a_stop_while_writing_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    item = Item(
        source=write(tmp_path / "a.png"),
        destination=tmp_path / "out" / "a.png",
        compare=tmp_path / "out" / "a_compare.png",
    )
    with pytest.raises(Stopping):
        save(PictureStages(kind=PICTURES, restore=Unchanged), item, stopping=True)
    assert list((tmp_path / "out").iterdir()) == []


def test_where_another_process_was_faster_its_result_stays(tmp_path: Path) -> None:
    item = Item(source=write(tmp_path / "a.png"), destination=tmp_path / "b.png")
    (tmp_path / "b.png").write_text("theirs")
    skipping = PictureStages(kind=PICTURES, restore=Unchanged, existing=Existing.SKIP)
    assert save(skipping, item).status is Status.SKIPPED
    with pytest.raises(OutputExists):
        save(PictureStages(kind=PICTURES, restore=Unchanged), item)
    assert (tmp_path / "b.png").read_text() == "theirs"


def test_an_error_names_its_file(tmp_path: Path) -> None:
    stages = PictureStages(kind=PICTURES, restore=Unchanged, options=WriteOptions(bit_depth=32))
    item = Item(source=tmp_path / "a.png", destination=tmp_path / "b.png")
    with pytest.raises(InputError, match=r"a\.png: cannot be read: No such file"):
        stages.load(item)
    write(tmp_path / "a.png")
    with pytest.raises(OutputError, match=r"a\.png: PNG holds"):
        save(stages, item)


def test_folders_are_made_and_those_that_cannot_be_are_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    good, bad = tmp_path / "x" / "y", tmp_path / "file" / "z"
    items = tuple(
        Item(source=write(tmp_path / "a.png"), destination=folder / "a.png")
        for folder in (good, bad)
    )
    closed = prepare_folders(BatchPlan(items=items))
    assert good.is_dir()
    assert list(closed) == [bad]
    stages = PictureStages(kind=PICTURES, restore=Unchanged, closed=closed)
    assert save(stages, items[0]).status is Status.DONE
    with pytest.raises(OutputError, match="this folder cannot be made"):
        stages.load(items[1])
    with pytest.raises(OutputError, match="this folder cannot be made"):
        prepare_folders(BatchPlan(items=items[1:]))


def test_standard_streams_have_to_be_given(tmp_path: Path) -> None:
    item = Item(source=write(tmp_path / "a.png"), destination=None, format=ImageFormat.PNG)
    with pytest.raises(OutputError, match="standard output"):
        save(PictureStages(kind=PICTURES, restore=Unchanged), item)


class Unbuffered(io.RawIOBase):
    """Takes a thousand bytes at once, and as many as there is room for."""

    def __init__(self, room: int) -> None:
        self.room, self.taken = room, b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int | None:
        part = bytes(data[: min(1000, self.room - len(self.taken))])
        self.taken += part
        return len(part) or None


def test_all_of_a_result_reaches_a_standard_output_without_a_buffer() -> None:
    stream: Any = Unbuffered(room=10_000)
    write_stream(stream, bytes(range(256)) * 20)
    assert stream.taken == bytes(range(256)) * 20
    stream = Unbuffered(room=3000)
    with pytest.raises(OutputError, match="standard output: cannot be written: it takes no more"):
        write_stream(stream, bytes(5000))


def test_a_stream_that_does_not_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless:
        count = 0

        def read(self, size: int) -> bytes:
            self.count += size
            return bytes(size)

    endless: Any = Endless()
    monkeypatch.setattr("restore.batch.sources._LONGEST_STREAM", 20 << 20)
    item = Item(source=None, destination=Path("out.png"))
    with pytest.raises(ImageTooLarge, match=r"^-: longer than 20,971,520 bytes"):
        readable(item, endless)
    assert endless.count <= 24 << 20
    monkeypatch.undo()
    with limited(1000), pytest.raises(ImageTooLarge, match="longer than 67,124,864"):
        readable(item, endless)
