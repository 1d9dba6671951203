import pytest
import torch
from torch import Tensor

from restore.denoise.degradations import Camera, Degraded, Gaussian, Jpeg, parse_degradation
from restore.errors import UsageError
from restore.training.crops import RandomCrops
from restore.training.randomness import Randomness


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


@pytest.mark.parametrize("kind", [Gaussian(0.1, 0.2), Camera(), Jpeg(10, 90)])
def test_same_seed_same_batch(kind: Gaussian | Camera | Jpeg) -> None:
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
    shrinking = Camera(shrunk_share=1.0, smallest=0.5)
    small = crops(size=34)
    assert Degraded(small, [shrinking])(rng()).noisy.shape == (12, 3, 32, 32)


def test_shrunk_photographs_have_less_noise() -> None:
    def level(kind: Camera) -> float:
        flat = RandomCrops([torch.full((3, 80, 80), 100, dtype=torch.uint8)], patch=32, batch=40)
        return float(Degraded(flat, [kind])(rng(5)).sigma.mean())

    halved = Camera(shrunk_share=1.0, smallest=0.5)
    assert level(halved) < 0.9 * level(Camera(shrunk_share=0.0))


def test_enlarged_scenes_have_less_detail() -> None:
    blocks = torch.randint(0, 256, (3, 20, 20), generator=torch.Generator().manual_seed(0))
    scene = blocks.repeat_interleave(4, dim=1).repeat_interleave(4, dim=2).to(torch.uint8)
    source = RandomCrops([scene], patch=32, batch=4)

    def detail(kind: Camera) -> float:
        batches = [kind(source, 16, rng(seed)) for seed in range(4)]
        return float(torch.cat([batch.clean for batch in batches]).diff(dim=3).std())

    enlarged = Camera(shrunk_share=0.0, enlarged_share=1.0)
    assert detail(enlarged) < 0.9 * detail(Camera(shrunk_share=0.0, enlarged_share=0.0))


def test_flat_scenes_keep_their_colour_and_lose_contrast() -> None:
    halves = torch.full((3, 80, 80), 60, dtype=torch.uint8)
    halves[:, :, 40:] = 180
    source = RandomCrops([halves], patch=64, batch=4)

    def clean(share: float) -> Tensor:
        kind = Camera(shrunk_share=0.0, enlarged_share=0.0, flat_share=share, least_contrast=0.0)
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
        ("camera", Camera()),
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


def test_flat_scenes_are_the_same_scenes_with_less_contrast() -> None:
    scenes = torch.rand(200, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    flat = Camera(flat_share=1.0, least_contrast=0.1)._flattened(scenes, rng())
    mean = scenes.mean(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(flat.mean(dim=(2, 3), keepdim=True), mean)
    contrast = ((flat - mean) / (scenes - mean)).flatten(1)
    share = contrast.median(dim=1).values
    torch.testing.assert_close(contrast, share[:, None].expand_as(contrast), atol=1e-2, rtol=0)
    assert float(share.min()) >= 0.1
    assert float(share.max()) <= 1.0
    assert float(share.mean()) == pytest.approx(0.55, abs=0.06)
    assert torch.equal(Camera(flat_share=0.0)._flattened(scenes, rng()), mean + (scenes - mean))
