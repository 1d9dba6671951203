import math

import torch

from restore.noise.sensor import add_sensor_noise, random_levels


def test_variance_follows_the_signal() -> None:
    signal = torch.tensor([0.02, 0.1, 0.5])[:, None, None, None].expand(3, 1, 300, 300)
    shot, read = torch.full((3,), 0.01), torch.full((3,), 0.0004)
    noise = add_sensor_noise(signal, shot, read, torch.Generator().manual_seed(0)) - signal
    expected = 0.01 * signal[:, 0, 0, 0] + 0.0004
    torch.testing.assert_close(noise.flatten(1).var(dim=1), expected, rtol=0.03, atol=0)
    assert float(noise.flatten(1).mean(dim=1).abs().max()) < 1e-3, "no bias"


def test_few_photons_are_counted() -> None:
    """At one photon per hundredth, shot noise takes whole hundredths only."""
    signal = torch.full((1, 1, 50, 50), 0.02)
    measured = add_sensor_noise(
        signal, torch.tensor([0.01]), torch.zeros(1), torch.Generator().manual_seed(0)
    )
    counts = measured / 0.01
    torch.testing.assert_close(counts, counts.round(), rtol=0, atol=1e-4)
    assert (counts == 0).any()


def test_levels_lie_on_the_papers_line() -> None:
    shot, read = random_levels(20_000, torch.Generator().manual_seed(0))
    assert math.isclose(float(shot.min()), 1e-4, rel_tol=0.01)
    assert math.isclose(float(shot.max()), 0.012, rel_tol=0.01)
    rest = read.log() - (2.18 * shot.log() + 1.20)
    assert abs(float(rest.mean())) < 0.01
    assert abs(float(rest.std()) - 0.26) < 0.01
