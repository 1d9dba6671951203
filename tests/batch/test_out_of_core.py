"""Files beyond the memory budget go through the stages as small ones do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import tifffile

from restore.batch.kinds import PICTURES
from restore.batch.out_of_core import OutOfCoreResult, OutOfCoreStages, ReadRows
from restore.batch.plan import Existing, Item
from restore.batch.stream import Outcome, Status, Stopping
from restore.errors import CorruptImage, OutputError, OutputExists
from restore.files import open_atomically, remove_own_parts
from restore.image.codec import WriteOptions
from restore.image.codecs import ImageFormat
from restore.image.decode import decode
from restore.image.encode import encode_as
from restore.image.picture import Picture
from restore.image.tiff_regions import OutOfCorePicture

HEIGHT, WIDTH = 200, 4000


@dataclass
class Unchanged:
    """The result of a task that does nothing."""

    picture: Picture
    record: dict[str, object] = field(default_factory=lambda: {"large": False})

    def encoded(self, image_format: ImageFormat, options: WriteOptions) -> bytes:
        return encode_as(self.picture, image_format, options)


def unchanged(source: Picture | OutOfCorePicture) -> Unchanged | OutOfCoreResult:
    if isinstance(source, Picture):
        return Unchanged(source)

    @contextmanager
    def opened() -> Iterator[ReadRows]:
        with source.opened() as read:
            yield lambda start, stop: read((slice(start, stop), slice(0, WIDTH)))

    record = {"large": True}
    return OutOfCoreResult(picture=source.like, height=HEIGHT, record=record, opened=opened)


@pytest.fixture(autouse=True)
def _small_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("restore.image.tiff_regions.MEMORY_BUDGET_BYTES", 10_000_000)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def written(*, rows: int = HEIGHT, **options: object) -> Path:
        samples = np.random.default_rng(0).integers(0, 1 << 16, (rows, WIDTH, 3), dtype=np.uint16)
        tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb", tile=(16, 16), **options)
        (tmp_path / "out").mkdir()
        return tmp_path / "a.tif"

    return written


def save(item: Item, *, stopping: bool = False, **options: object) -> Outcome:
    stages = OutOfCoreStages(kind=PICTURES, restore=unchanged, **options)
    return stages.save(item, stages.process(stages.load(item)), lambda: stopping)


def test_a_large_file_comes_out_as_it_went_in(write: Callable[..., Path]) -> None:
    source = write(resolution=(300, 300), description="a text", bigtiff=True)
    result = source.parent / "out" / "a.tif"
    outcome = save(Item(source=source, destination=result))
    assert (outcome.status, outcome.record) == (Status.DONE, {"large": True})
    with tifffile.TiffFile(source) as before, tifffile.TiffFile(result) as after:
        np.testing.assert_array_equal(before.asarray(), after.asarray())
    assert list(result.parent.iterdir()) == [result]


def test_what_is_lost_of_a_large_file_is_in_the_record(write: Callable[..., Path]) -> None:
    source = write(extratags=[(37724, 7, 9, b"Adobe PSD", True)])
    outcome = save(Item(source=source, destination=source.parent / "out" / "a.tif"))
    assert outcome.record == {"large": True, "lost": ["its Photoshop layers"]}


def test_a_large_file_of_another_name_is_told(write: Callable[..., Path]) -> None:
    source = write()
    source = source.rename(source.with_suffix(".jpg"))
    outcome = save(Item(source=source, destination=source.parent / "out" / "a.jpg"))
    assert outcome.record["remarks"] == [
        "is TIFF, though its name ends in .jpg, and so is the result; "
        "image_format='jpeg' converts it"
    ]


@pytest.mark.parametrize("bit_depth", [None, 8, 32])
def test_the_bytes_are_those_of_a_file_that_fits(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, bit_depth: int | None
) -> None:
    source = write(iccprofile=b"a profile", extratags=[(274, 3, 1, 6, True)])
    results = [source.parent / "out" / name for name in ("large.tif", "whole.tif")]
    options = WriteOptions(bit_depth=bit_depth)
    save(Item(source=source, destination=results[0]), options=options)
    monkeypatch.setattr("restore.image.tiff_regions.MEMORY_BUDGET_BYTES", 1 << 30)
    whole = save(Item(source=source, destination=results[1]), options=options)
    assert whole.record == {"large": False}
    assert results[0].read_bytes() == results[1].read_bytes()
    assert decode(results[0]).icc == (None if bit_depth == 32 else b"a profile")


@pytest.mark.parametrize("case", ["compare", "png", "turned", "small"])
def test_what_needs_the_whole_picture_gets_it(write: Callable[..., Path], case: str) -> None:
    source = write(rows=16 if case == "small" else HEIGHT, extratags=[(274, 3, 1, 6, True)])
    folder = source.parent / "out"
    item = Item(
        source=source,
        destination=folder / "a",
        compare=folder / "b.png" if case == "compare" else None,
        format=ImageFormat.PNG if case == "png" else ImageFormat.TIFF,
    )
    options = WriteOptions(strip_metadata=case == "turned")
    assert save(item, options=options).record == {"large": False}


def test_a_stop_while_writing_leaves_nothing_behind(write: Callable[..., Path]) -> None:
    source = write()
    with pytest.raises(Stopping):
        save(Item(source=source, destination=source.parent / "out" / "a.tif"), stopping=True)
    assert list((source.parent / "out").iterdir()) == []


def test_a_file_that_is_damaged_further_down_leaves_nothing_behind(
    write: Callable[..., Path],
) -> None:
    source = write(compression="zlib")
    with tifffile.TiffFile(source) as tiff:
        offset = tiff.pages.first.dataoffsets[-1]
    data = bytearray(source.read_bytes())
    data[offset : offset + 50] = bytes(50)
    source.write_bytes(data)
    with pytest.raises(CorruptImage, match=r"a\.tif: is damaged"):
        save(Item(source=source, destination=source.parent / "out" / "a.tif"))
    assert list((source.parent / "out").iterdir()) == []


def test_where_another_process_was_faster_its_result_stays(write: Callable[..., Path]) -> None:
    source = write()
    result = source.parent / "out" / "a.tif"
    result.write_text("theirs")
    item = Item(source=source, destination=result)
    assert save(item, existing=Existing.SKIP).status is Status.SKIPPED
    with pytest.raises(OutputExists):
        save(item)
    assert result.read_text() == "theirs"
    assert save(item, existing=Existing.OVERWRITE).status is Status.DONE
    assert decode(result).height == HEIGHT


def test_a_folder_that_is_closed_is_told_before_reading(write: Callable[..., Path]) -> None:
    source = write()
    folder = source.parent / "out"
    with pytest.raises(OutputError, match="closed today"):
        save(Item(source=source, destination=folder / "a.tif"), closed={folder: "closed today"})


def test_an_end_that_waits_for_nobody_leaves_no_parts(tmp_path: Path) -> None:
    def leave() -> None:
        with open_atomically(tmp_path / "a") as file:
            file.write(b"half of it")
            remove_own_parts()
            assert list(tmp_path.iterdir()) == []

    with pytest.raises(OutputError, match="cannot be written"):
        leave()
    assert list(tmp_path.iterdir()) == []
