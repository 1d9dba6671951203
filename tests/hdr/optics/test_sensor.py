import pytest
import torch
from scipy.signal import fftconvolve

from restore.errors import UsageError
from restore.hdr.optics.sensor import LARGEST_RADIANCE, Sensor, blurred, expose


@pytest.mark.parametrize("psf_shape", [(7, 11), (31, 45)])
def test_the_convolution_is_linear_and_the_scene_dark_beyond_its_edges(
    psf_shape: tuple[int, int],
) -> None:
    torch.manual_seed(0)
    scene, psf = torch.rand(2, 3, 21, 34), torch.rand(3, *psf_shape)
    light = blurred(scene, psf)
    torch.testing.assert_close(
        blurred(scene, psf, margin=4), light[..., 4:-4, 4:-4], rtol=1e-4, atol=1e-4
    )
    for item in range(2):
        for channel in range(3):
            full = fftconvolve(scene[item, channel], psf[channel])
            top, left = psf_shape[0] // 2, psf_shape[1] // 2
            expected = full[top : top + 21, left : left + 34]
            torch.testing.assert_close(
                light[item, channel], torch.from_numpy(expected), rtol=1e-4, atol=1e-4
            )


def test_gradients_of_the_convolution_are_exact() -> None:
    torch.manual_seed(0)
    scene = torch.rand(1, 1, 6, 5, dtype=torch.float64, requires_grad=True)
    psf = torch.rand(1, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(blurred, (scene, psf))


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_samples_are_steps_of_the_bit_depth_and_gradients_pass_them(bits: int) -> None:
    light = torch.tensor([0.1, 0.5, 0.777, 1.5, -0.2], requires_grad=True)
    samples = Sensor(bits=bits)(light)
    steps = samples.detach() * (2**bits - 1)
    torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-3)
    assert samples.detach()[3:].tolist() == [1.0, 0.0]
    (gradient,) = torch.autograd.grad(samples.sum(), light)
    assert gradient.tolist() == [1, 1, 1, 0, 0]


def test_noise_is_that_of_counting_and_reading() -> None:
    torch.manual_seed(0)
    light = torch.full((200_000,), 0.5)
    noise = torch.randn_like(light)
    counted = Sensor(bits=0, full_well=1000)(light, noise)
    assert float(counted.var()) == pytest.approx(0.5 / 1000, rel=0.02)
    read = Sensor(bits=0, read_noise=0.01)(light, noise)
    assert float(read.std()) == pytest.approx(0.01, rel=0.02)


@pytest.mark.parametrize("share", [0.01, 0.02])
def test_the_wished_share_of_pixels_saturates(share: float) -> None:
    torch.manual_seed(0)
    scenes = torch.rand(2, 3, 100, 100).pow(8) * 1e4
    exposed = expose(scenes, torch.full((2,), share))
    above = (exposed.amax(dim=1) > 1).float().mean(dim=(1, 2))
    torch.testing.assert_close(above, torch.full((2,), share), rtol=0, atol=2e-4)
    assert exposed.max() <= LARGEST_RADIANCE


def test_an_unknown_bit_depth_is_refused() -> None:
    with pytest.raises(UsageError, match="9 bits"):
        Sensor(bits=9)
