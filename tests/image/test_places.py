"""Where a picture is worth a look."""

import numpy as np
import pytest

from restore.image.places import Place, informative_places


def scene() -> np.ndarray:
    """A gray wall; a step on the left, texture at the bottom right, a skin-coloured face inside."""
    rng = np.random.default_rng(0)
    pixels = np.full((600, 800, 3), 128, np.uint8)
    pixels[:, :60] = 40
    pixels[440:, 560:] = rng.integers(60, 200, (160, 240, 1), dtype=np.uint8)
    rows, columns = np.mgrid[:600, :800]
    face = (rows - 260) ** 2 + (columns - 400) ** 2 < 60**2
    pixels[face] = (200, 150, 120)
    return pixels


def centre(place: Place) -> tuple[float, float]:
    return place.top + place.height / 2, place.left + place.width / 2


def test_each_kind_of_place_is_found() -> None:
    places = {place.name: place for place in informative_places(scene(), 128)}
    assert list(places) == ["flat", "texture", "edge", "subject"]
    rows, columns = places["flat"].area
    assert scene()[rows, columns].std() == 0
    row, column = centre(places["texture"])
    assert row > 440
    assert column > 560
    edge = places["edge"]
    assert edge.left < 60 < edge.left + edge.width
    row, column = centre(places["subject"])
    assert abs(row - 260) < 80
    assert abs(column - 400) < 80


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (5, 7), (64, 64), (100, 300), (3000, 2500)])
@pytest.mark.parametrize("channels", [1, 3])
def test_places_are_inside_and_apart(size: tuple[int, int], channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, channels), dtype=np.uint8)
    places = informative_places(pixels, 128)
    assert places
    assert places == informative_places(pixels, 128)
    for place in places:
        assert 0 <= place.top <= size[0] - place.height
        assert 0 <= place.left <= size[1] - place.width
        assert (place.height, place.width) <= (128, 128)
    for one in places:
        for other in places:
            if one is not other:
                apart = max(abs(one.top - other.top), abs(one.left - other.left))
                assert apart >= min(one.height, one.width) // 2
