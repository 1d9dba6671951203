"""Damaged bytes end in one sentence, whichever bytes they are."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest

from restore.errors import InputError
from restore.image.codecs import WRITTEN, ImageFormat
from restore.image.decode import decode
from restore.image.encode import encode
from restore.image.picture import Picture

FLIPS = 60
MakePicture = Callable[..., Picture]


@pytest.mark.parametrize("image_format", sorted(WRITTEN))
def test_flipped_bits_never_escape_as_other_exceptions(
    make_picture: MakePicture, image_format: ImageFormat
) -> None:
    rng = np.random.default_rng(1)
    picture = make_picture(size=(32, 24))
    whole = encode(picture, image_format)
    refusals = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(FLIPS):
            damaged = bytearray(whole)
            # Headers say more than pixels do: half of the damage goes there.
            end = len(whole) if rng.random() < 0.5 else min(len(whole), 400)
            for position in rng.integers(0, end, rng.integers(1, 4)):
                damaged[position] ^= 1 << rng.integers(8)
            try:
                decode(bytes(damaged))
            except InputError as error:
                refusals.append(error)
    assert refusals
    for refusal in refusals:
        assert str(refusal).startswith("standard input: ")
        assert "\n" not in str(refusal)
        assert not isinstance(refusal.__cause__, Warning)


@pytest.mark.parametrize("image_format", sorted(WRITTEN))
def test_cut_files_are_refused_or_complete(
    make_picture: MakePicture, image_format: ImageFormat
) -> None:
    whole = encode(make_picture(size=(32, 24)), image_format)
    expected = decode(whole)
    for length in np.linspace(1, len(whole) - 1, 60).astype(int):
        try:
            picture = decode(whole[:length])
        except InputError:
            continue
        np.testing.assert_array_equal(picture.pixels, expected.pixels)
