from pathlib import Path

import pytest
import torch

from restore import decode
from restore.image.picture import Picture
from restore.noise.bayer import BAYER_PATTERNS, demosaic, mosaic


@pytest.mark.parametrize("pattern", BAYER_PATTERNS)
def test_mosaic_takes_each_colour_where_the_filter_has_it(pattern: str) -> None:
    colour = torch.tensor([1.0, 2.0, 3.0])[None, :, None, None].expand(1, 3, 4, 6)
    seen = mosaic(colour, pattern)[0, 0]
    expected = torch.tensor([{"r": 1.0, "g": 2.0, "b": 3.0}[letter] for letter in pattern])
    assert torch.equal(seen[:2, :2].flatten(), expected)
    assert torch.equal(seen, seen[:2, :2].repeat(2, 3))


@pytest.mark.parametrize("pattern", BAYER_PATTERNS)
def test_demosaicking_is_exact_on_ramps_and_keeps_what_was_seen(pattern: str) -> None:
    """The filters of Malvar et al. reproduce linear brightness of any hue inside a picture."""
    ramp = torch.arange(12.0)[:, None] * 0.03 + torch.arange(14.0)[None] * 0.02
    colour = ramp + torch.tensor([0.1, 0.2, 0.4])[:, None, None]
    seen = mosaic(colour[None], pattern)
    restored = demosaic(seen, pattern)
    inside = (..., slice(2, -2), slice(2, -2))
    torch.testing.assert_close(restored[inside], colour[None][inside])
    assert torch.equal(mosaic(restored, pattern), seen)


def test_demosaicking_a_photo_finds_its_colours(clean_photos: list[Picture]) -> None:
    """A wrong phase would give 20 dB at most."""
    for pattern in BAYER_PATTERNS:
        scores = []
        for photo in clean_photos:
            picture = torch.from_numpy(photo.pixels)
            restored = demosaic(mosaic(picture[None], pattern), pattern)[0]
            scores.append(-10 * ((restored - picture) ** 2).mean().log10())
        assert float(torch.stack(scores).mean()) > 27


def test_demosaicking_reaches_the_papers_quality(shared_data: Path) -> None:
    """Malvar et al. report 34 to 35 dB on Kodak pictures; half as good would be a wrong phase."""
    folder = shared_data / "denoise/test/kodak24"
    pictures = [torch.from_numpy(decode(path).pixels) for path in sorted(folder.iterdir())[:8]]
    for pattern in BAYER_PATTERNS:
        scores = []
        for picture in pictures:
            restored = demosaic(mosaic(picture[None], pattern), pattern)[0]
            scores.append(-10 * ((restored - picture) ** 2).mean().log10())
        assert float(torch.stack(scores).mean()) > 33
