import math

import pytest
import torch

from restore.hdr.metrics import hdr_score, mean_interval, mu_law, pu21, stops_error


def test_mu_law_takes_64_times_white_to_one() -> None:
    values = mu_law(torch.tensor([0.0, 1.0, 64.0], dtype=torch.float64))
    expected = [0.0, math.log(1 + 5000 / 64) / math.log(5001), 1.0]
    torch.testing.assert_close(values, torch.tensor(expected, dtype=torch.float64))


def test_pu21_is_near_256_at_100_nits_and_rises() -> None:
    """Reference values of the authors' code, type banding_glare."""
    values = pu21(torch.tensor([0.005, 1.0, 100.0, 10_000.0], dtype=torch.float64))
    assert values[2] == pytest.approx(256, abs=1)
    assert values[0] == pytest.approx(0, abs=0.1)
    assert values[3] == pytest.approx(595, abs=1)
    assert (values.diff() > 0).all()


def test_scores_are_psnr_of_known_errors() -> None:
    scene = torch.full((3, 8, 8), 4.0)
    score = hdr_score(scene + 0.64, scene)
    assert score.linear == pytest.approx(40, abs=1e-4)
    step = float(mu_law(torch.tensor(4.64)) - mu_law(torch.tensor(4.0)))
    assert score.mu == pytest.approx(-20 * math.log10(step), abs=1e-3)
    nits = 4000 / 64
    step = float(pu21(torch.tensor(4.64 * nits)) - pu21(torch.tensor(4 * nits)))
    assert score.pu21 == pytest.approx(20 * math.log10(256 / step), abs=1e-2)


def test_a_mask_restricts_the_score() -> None:
    scene = torch.full((3, 4, 4), 2.0)
    result = scene.clone()
    result[:, 0] = 4.0
    mask = torch.zeros(4, 4, dtype=torch.bool)
    mask[1:] = True
    assert hdr_score(result, scene, mask).linear == math.inf
    assert math.isnan(hdr_score(result, scene, torch.zeros(4, 4, dtype=torch.bool)).mu)


def test_light_beyond_the_range_does_not_count() -> None:
    scene = torch.full((3, 4, 4), 64.0)
    assert hdr_score(torch.full((3, 4, 4), 500.0), scene).mu == math.inf


def test_errors_in_stops_are_logarithms() -> None:
    scene = torch.full((3, 1, 4), 2.0)
    result = scene * torch.tensor([0.5, 1.0, 2.0, 8.0])
    found = stops_error(result, scene, torch.ones(1, 4, dtype=torch.bool))
    assert (found.mean, found.median, found.bias) == pytest.approx((1.25, 1.0, 0.75))
    assert found.p90 == pytest.approx(3.0)
    only = torch.tensor([[False, False, False, True]])
    assert stops_error(result, scene, only).mean == pytest.approx(3.0)
    assert math.isnan(stops_error(result, scene, only & False).mean)


def test_intervals_of_means_are_those_of_student() -> None:
    """Of 1, 2 and 3 the standard error is 1 / sqrt(3), and t of 2 degrees of freedom 4.3027."""
    assert mean_interval([1.0, 2.0, 3.0]) == pytest.approx((2 - 2.4841, 2 + 2.4841), abs=1e-3)
    assert mean_interval([1.0]) is None
