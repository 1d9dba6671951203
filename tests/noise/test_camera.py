import torch

from restore.noise.camera import photographed


def noise_of(level: float, count: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    clean = torch.full((count, 3, 48, 48), level)
    noisy, target = photographed(clean, torch.Generator().manual_seed(3))
    return noisy - target, target


def test_flat_pictures_keep_their_colour() -> None:
    noise, target = noise_of(0.5)
    torch.testing.assert_close(target, torch.full_like(target, 0.5), rtol=0, atol=2e-3)
    assert float(noise.mean().abs()) < 3 / 255


def test_noise_is_correlated_between_neighbours() -> None:
    """Demosaicking spreads it; white noise would have no such correlation."""
    noise, _ = noise_of(0.5)
    left, right = noise[..., :-1].flatten(), noise[..., 1:].flatten()
    assert float(torch.corrcoef(torch.stack([left, right]))[0, 1]) > 0.3


def test_noise_differs_between_pictures_and_with_brightness() -> None:
    levels = noise_of(0.5)[0].flatten(1).std(dim=1)
    assert float(levels.max()) > 4 * float(levels.min())
    dark, bright = (float(noise_of(level)[0].std()) for level in (0.3, 0.95))
    assert dark > 1.5 * bright, "the tone curve flattens highlights"


def test_results_are_pictures() -> None:
    clean = torch.rand((4, 3, 20, 31), generator=torch.Generator().manual_seed(0))
    for pictures in photographed(clean, torch.Generator().manual_seed(0)):
        assert pictures.shape == clean.shape
        assert float(pictures.min()) >= 0
        assert float(pictures.max()) <= 1


def test_colour_that_files_do_not_keep_is_not_asked_for() -> None:
    """Four fifths of the photographs are JPEGs, half of them with chroma of half the resolution."""
    stripes = torch.full((60, 3, 24, 24), 0.5)
    stripes[:, 0, :, ::2] = 0.8
    _, target = photographed(stripes, torch.Generator().manual_seed(4))
    chroma = target[:, 0] - target[:, 1]
    detail = (chroma[..., 1:] - chroma[..., :-1]).abs().mean(dim=(1, 2))
    assert 0.25 < float((detail < 1e-4).float().mean()) < 0.55
    assert 0.45 < float((detail > 5e-4).float().mean()) < 0.75
