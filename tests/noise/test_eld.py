import math

import pytest
import torch
from scipy import stats

from restore.noise.eld import CAMERAS, DarkNoise, add_dark_noise, random_noise, tukey_lambda


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(**levels: float) -> DarkNoise:
    values = {"gain": 1.0, "read_scale": 0.0, "shape": 0.1, "row_sigma": 0.0} | levels
    tensors = {name: torch.tensor([value]) for name, value in values.items()}
    return DarkNoise(**tensors, black_error=torch.zeros(1, 3))


def read_out(light: float, levels: DarkNoise, *, range_dn: float = 15000.0) -> torch.Tensor:
    colours = torch.zeros((400, 400), dtype=torch.long)
    picture = torch.full((1, 400, 400), light)
    return add_dark_noise(
        picture, levels, colours, range_dn=range_dn, black_dn=512.0, generator=generator()
    )[0]


@pytest.mark.parametrize("gain", [0.5, 4.0])
@pytest.mark.parametrize("light", [3.0, 200.0])
def test_photons_have_the_variance_of_their_number(light: float, gain: float) -> None:
    """Mean D and variance K D, and a twelfth for rounding where it rounds."""
    values = read_out(light, noise(gain=gain))
    rounding = 0.0 if gain == 4.0 else 1 / 12
    assert float(values.mean()) == pytest.approx(light, rel=0.02)
    assert float(values.var()) == pytest.approx(gain * light + rounding, rel=0.06)


def test_values_are_whole_numbers_up_to_saturation() -> None:
    values = read_out(100.0, noise(read_scale=2.0), range_dn=105.0)
    assert torch.equal(values, values.round())
    assert float(values.max()) == 105


def test_black_has_noise_on_both_sides() -> None:
    values = read_out(0.0, noise(read_scale=3.0))
    assert abs(float(values.mean())) < 0.05
    assert float((values < 0).float().mean()) > 0.3


def test_rows_share_their_offset() -> None:
    values = read_out(0.0, noise(row_sigma=5.0, read_scale=1.0))
    by_row = values.mean(dim=1)
    assert float(by_row.std()) == pytest.approx(5, rel=0.12)
    assert float(values.mean(dim=0).std()) < 0.5, "columns do not"
    assert float((values - by_row[:, None]).std()) < 2.5


@pytest.mark.parametrize("shape", [-0.2, 0.0, 1e-6, 0.14])
def test_read_noise_follows_tukey_lambda(shape: float) -> None:
    uniform = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
    own = tukey_lambda(uniform, torch.tensor([shape], dtype=torch.float64))
    expected = torch.from_numpy(stats.tukeylambda.ppf(uniform.numpy(), shape))
    torch.testing.assert_close(own, expected, rtol=1e-3, atol=1e-4)


def test_extreme_draws_stay_finite() -> None:
    for shape in (-0.25, 0.0, 0.2):
        ends = tukey_lambda(torch.tensor([0.0, 1.0]), torch.tensor([shape]))
        assert ends.abs().max() < 1000, "torch.rand returns 0 once in 16 million draws"


def test_black_errors_belong_to_colours() -> None:
    levels = noise()
    levels.black_error[0] = torch.tensor([10.0, 20.0, 30.0])
    colours = torch.tensor([[0, 1], [1, 2]]).repeat(20, 20)
    light = torch.zeros(1, 40, 40)
    values = add_dark_noise(
        light, levels, colours, range_dn=1000.0, black_dn=512.0, generator=generator()
    )[0]
    assert torch.equal(values[:2, :2], torch.tensor([[10.0, 20.0], [20.0, 30.0]]))


@pytest.mark.parametrize("name", CAMERAS)
def test_levels_lie_on_the_measured_lines(name: str) -> None:
    drawn, profile = random_noise(20_000, [name], generator()), CAMERAS[name]
    log_gain = drawn.gain.log()
    assert math.isclose(float(drawn.gain.min()), profile.gain[0], rel_tol=0.01)
    assert math.isclose(float(drawn.gain.max()), profile.gain[1], rel_tol=0.01)
    for levels, line in ((drawn.read_scale, profile.read), (drawn.row_sigma, profile.row)):
        rest = levels.log() - (line.slope * log_gain + line.bias)
        assert abs(float(rest.mean())) < 0.01
        assert float(rest.std()) == pytest.approx(line.spread, rel=0.03)
    assert float(drawn.shape.min()) >= profile.shape[0]
    assert float(drawn.shape.max()) <= profile.shape[1]


def test_cameras_are_mixed() -> None:
    drawn = random_noise(2000, ["Sony A7S2", "Canon 70D"], generator())
    assert float((drawn.gain < 0.4).float().mean()) == pytest.approx(0.17, abs=0.04)


def test_nothing_is_read_below_no_light_at_all() -> None:
    values = read_out(0.0, noise(read_scale=5000.0))
    assert float(values.min()) == -512
