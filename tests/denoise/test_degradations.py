from dataclasses import replace

import pytest
import torch
from torch import Tensor

from restore.denoise.degradations import (
    Degradation,
    Degraded,
    Drawn,
    Gaussian,
    Jpeg,
    parse_degradation,
)
from restore.denoise.photographs import CameraInGray, CameraNoise, Processed
from restore.errors import UsageError
from restore.noise.grain import grain
from restore.noise.impulses import impulses
from restore.noise.speckle import speckle
from restore.noise.stripes import stripes
from restore.training.crops import LumaCrops, RandomCrops
from restore.training.state import Randomness


def rng(seed: int = 0) -> Randomness:
    return Randomness(seed, torch.device("cpu"))


def crops(channels: int = 3, *, size: int = 80, batch: int = 12, patch: int = 32) -> RandomCrops:
    picture = torch.randint(
        0,
        256,
        (channels, size, size),
        dtype=torch.uint8,
        generator=torch.Generator().manual_seed(0),
    )
    return RandomCrops([picture], patch=patch, batch=batch)


def camera(**changes: float) -> CameraNoise:
    return CameraNoise(replace(CameraNoise().scenes, **changes))


def test_noise_has_the_drawn_level_and_no_bias() -> None:
    gray = torch.full((1, 64, 64), 128, dtype=torch.uint8)
    source = Degraded(RandomCrops([gray], patch=64, batch=64), [Gaussian(10 / 255, 50 / 255)])
    batch = source(rng())
    assert float(batch.sigma.min()) >= 10 / 255
    assert float(batch.sigma.max()) <= 50 / 255
    assert float(batch.sigma.std()) > 8 / 255, "levels spread over the range"
    noise = (batch.noisy - batch.clean).flatten(1)
    torch.testing.assert_close(noise.std(dim=1), batch.sigma, rtol=0.06, atol=0)
    assert float(noise.mean().abs()) < 2e-3


@pytest.mark.parametrize(
    "kind", [Gaussian(0.1, 0.2), CameraNoise(), Processed(grain), Drawn(), Jpeg(10, 90)]
)
def test_same_seed_same_batch(kind: Degradation) -> None:
    first, second, other = (Degraded(crops(), [kind])(rng(seed)) for seed in (7, 7, 8))
    assert torch.equal(first.noisy, second.noisy)
    assert not torch.equal(first.noisy, other.noisy)
    assert first.noisy.shape == first.clean.shape == (12, 3, 32, 32)
    assert first.sigma.shape == (12,)


def test_kinds_are_mixed_in_equal_parts() -> None:
    kinds = [Gaussian(0, 0), Gaussian(0.5, 0.5)]
    sigma = torch.cat([Degraded(crops(), kinds)(rng(seed)).sigma for seed in range(40)])
    assert float((sigma > 0.25).float().mean()) == pytest.approx(0.5, abs=0.08)


def test_blocks_begin_anywhere_in_a_crop() -> None:
    """The strongest steps between columns lie at the borders of 8-pixel blocks."""
    smooth = torch.linspace(0, 255, 80).expand(1, 80, 80).to(torch.uint8)
    source = Degraded(RandomCrops([smooth], patch=32, batch=4), [Jpeg(2, 2)])
    phases = set()
    for seed in range(30):
        noise = (lambda batch: batch.noisy - batch.clean)(source(rng(seed)))
        steps = noise.diff(dim=3).abs().mean(dim=(0, 1, 2))
        phases.add(int(steps[:24].reshape(3, 8).mean(dim=0).argmax()))
    assert len(phases) >= 5


def test_shrinking_needs_large_enough_pictures() -> None:
    shrinking = camera(shrunk_share=1.0, smallest=0.5)
    small = crops(size=34)
    assert Degraded(small, [shrinking])(rng()).noisy.shape == (12, 3, 32, 32)


def test_shrunk_photographs_have_less_noise() -> None:
    def level(kind: CameraNoise) -> float:
        flat = RandomCrops([torch.full((3, 80, 80), 100, dtype=torch.uint8)], patch=32, batch=40)
        return float(Degraded(flat, [kind])(rng(5)).sigma.mean())

    halved = camera(shrunk_share=1.0, smallest=0.5)
    assert level(halved) < 0.9 * level(camera(shrunk_share=0.0))


def test_enlarged_scenes_have_less_detail() -> None:
    blocks = torch.randint(0, 256, (3, 20, 20), generator=torch.Generator().manual_seed(0))
    scene = blocks.repeat_interleave(4, dim=1).repeat_interleave(4, dim=2).to(torch.uint8)
    source = RandomCrops([scene], patch=32, batch=4)

    def detail(kind: CameraNoise) -> float:
        batches = [kind(source, 16, rng(seed)) for seed in range(4)]
        return float(torch.cat([batch.clean for batch in batches]).diff(dim=3).std())

    enlarged = camera(shrunk_share=0.0, enlarged_share=1.0)
    assert detail(enlarged) < 0.9 * detail(camera(shrunk_share=0.0, enlarged_share=0.0))


def test_flat_scenes_keep_their_colour_and_lose_contrast() -> None:
    halves = torch.full((3, 80, 80), 60, dtype=torch.uint8)
    halves[:, :, 40:] = 180
    source = RandomCrops([halves], patch=64, batch=4)

    def clean(share: float) -> Tensor:
        kind = camera(shrunk_share=0.0, enlarged_share=0.0, flat_share=share, least_contrast=0.0)
        return kind(source, 40, rng()).clean

    usual, flat = clean(0.0), clean(1.0)
    contrasts = flat.flatten(1).std(dim=1) / usual.flatten(1).std(dim=1)
    assert 0.35 < float(contrasts.mean()) < 0.65
    assert float(contrasts.std()) > 0.2
    assert float((flat.mean(dim=(2, 3)) - usual.mean(dim=(2, 3))).abs().max()) < 0.15


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("awgn", Gaussian(0.0, 1.0)),
        ("camera", CameraNoise()),
        ("grain", Processed(grain)),
        ("impulse", Processed(impulses)),
        ("speckle", Processed(speckle)),
        ("stripes", Processed(stripes)),
        ("drawn", Drawn()),
        ("jpeg:30", Jpeg(30, 30)),
        ("jpeg:10-90", Jpeg(10, 90)),
    ],
)
def test_names_of_noises(text: str, kind: object) -> None:
    assert parse_degradation(text, (0, 255)) == kind


@pytest.mark.parametrize(
    "text", ["", "jpeg", "jpeg:0", "jpeg:101", "jpeg:9-3", "jpeg:a", "poisson"]
)
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="use awgn, camera"):
        parse_degradation(text, (0, 55))


def test_gray_networks_see_the_luma_of_a_cameras_noise() -> None:
    assert parse_degradation("camera", (0, 255), gray=True) == CameraInGray()
    colour = crops(batch=4)
    batch = Degraded(LumaCrops(colour), [CameraInGray()])(rng(3))
    in_colour = CameraNoise()(colour, 4, rng_after_choice(3))
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    expected = (in_colour.noisy * weights).sum(dim=1, keepdim=True)
    torch.testing.assert_close(batch.noisy, expected, rtol=0, atol=1e-3)
    assert batch.noisy.shape == (4, 1, 32, 32)


def rng_after_choice(seed: int) -> Randomness:
    """Return the state in which ``Degraded`` draws the crops of its only kind."""
    source = rng(seed)
    torch.randint(1, (4,), generator=source.host)
    return source


@pytest.mark.parametrize("channels", [1, 3])
def test_some_grainy_pictures_are_clean_and_come_back_as_they_are(channels: int) -> None:
    batch = Processed(grain, clean_share=0.5)(crops(channels), 200, rng(1))
    same = (batch.noisy == batch.clean).flatten(1).all(dim=1)
    assert 0.35 < float(same.float().mean()) < 0.75
    assert float(batch.sigma[same].abs().max()) == 0


def test_gray_pictures_in_colour_have_gray_grain() -> None:
    batch = Processed(grain, gray_share=1.0, jpeg_share=0.0)(crops(), 40, rng(2))
    spread = (batch.noisy - batch.noisy.mean(dim=1, keepdim=True)).abs()
    assert float(spread.max()) < 1e-5


def test_targets_of_grainy_jpegs_have_the_colour_that_was_stored() -> None:
    """Or a network would learn to invent what chroma subsampling took."""
    stripes = torch.zeros(3, 80, 80, dtype=torch.uint8)
    stripes[0, :, ::2], stripes[2, :, 1::2] = 200, 200
    source = RandomCrops([stripes], patch=32, batch=4)
    kind = replace(
        Processed(grain), jpeg_share=1.0, clean_share=0.0, sharpened_share=0.0, gray_share=0.0
    )
    still = replace(kind.scenes, shrunk_share=0.0, enlarged_share=0.0, flat_share=0.0)
    clean = replace(kind, scenes=still)(source, 60, rng(4)).clean
    red_minus_blue = (clean[:, 0] - clean[:, 2]).abs().mean(dim=(1, 2))
    halved = red_minus_blue < 0.5 * red_minus_blue.max()
    assert 0.3 < float(halved.float().mean()) < 0.7


def test_drawings_are_mostly_clean() -> None:
    batch = Drawn(clean_share=0.6)(crops(), 200, rng(5))
    assert 0.5 < float((batch.sigma == 0).float().mean()) < 0.7
    assert float(batch.sigma.max()) > 10 / 255


def test_flat_scenes_are_the_same_scenes_with_less_contrast() -> None:
    scenes = torch.rand(200, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    flat = camera(flat_share=1.0, least_contrast=0.1).scenes._flattened(scenes, rng())
    mean = scenes.mean(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(flat.mean(dim=(2, 3), keepdim=True), mean)
    contrast = ((flat - mean) / (scenes - mean)).flatten(1)
    share = contrast.median(dim=1).values
    torch.testing.assert_close(contrast, share[:, None].expand_as(contrast), atol=1e-2, rtol=0)
    assert float(share.min()) >= 0.1
    assert float(share.max()) <= 1.0
    assert float(share.mean()) == pytest.approx(0.55, abs=0.06)
    assert torch.equal(
        camera(flat_share=0.0).scenes._flattened(scenes, rng()), mean + (scenes - mean)
    )
