"""What else a file holds is named when its picture is written."""

import io

import numpy as np
import pytest
from PIL import Image

from restore.errors import UnsupportedImage
from restore.image.decode import decode
from restore.image.encode import encode
from restore.image.losses import losses
from restore.image.picture import Picture


@pytest.mark.parametrize(
    ("count", "phrase"),
    [(2, "1 more picture of the file"), (4, "3 more pictures of the file")],
)
def test_further_pictures_of_an_mpo(count: int, phrase: str) -> None:
    frames = [Image.new("RGB", (32, 24), (40 * index, 0, 90)) for index in range(count)]
    mpo = io.BytesIO()
    frames[0].save(mpo, "MPO", save_all=True, append_images=frames[1:])
    picture = decode(mpo.getvalue())
    assert (picture.width, picture.height) == (32, 24)
    with losses() as lost:
        encode(picture, "jpeg")
    assert phrase in lost


def test_two_pictures_on_one_stream_are_refused() -> None:
    """Half of the work under the name of the whole would look like success."""
    one = encode(Picture(pixels=np.zeros((3, 4, 5), np.float32)), "ppm")
    with pytest.raises(UnsupportedImage, match="several pictures"):
        decode(one + one)
    assert decode(one + b"\n").width == 5
