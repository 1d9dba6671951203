import torch

from restore.noise.bayer import CameraProfile, develop, random_cameras, unprocess


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_developing_undoes_unprocessing() -> None:
    """Below the highlights, where no channel is clipped."""
    srgb = 0.05 + 0.6 * torch.rand((16, 3, 8, 8), generator=generator())
    srgb = srgb.mean(dim=1, keepdim=True) + 0.2 * (srgb - srgb.mean(dim=1, keepdim=True))
    camera = random_cameras(16, generator(1))
    torch.testing.assert_close(develop(unprocess(srgb, camera), camera), srgb, rtol=0, atol=2e-3)


def test_cameras_keep_white_white_and_differ() -> None:
    cameras = random_cameras(200, generator())
    torch.testing.assert_close(cameras.from_srgb.sum(dim=2), torch.ones(200, 3))
    red, green, blue = cameras.gains.unbind(dim=1)
    assert float((red / green).min()) >= 1.9
    assert float((red / green).max()) <= 2.4
    assert float((blue / green).min()) >= 1.5
    assert float((blue / green).max()) <= 1.9
    assert abs(float((1 / green).mean()) - 0.8) < 0.03
    assert float(cameras.from_srgb.std(dim=0).min()) > 0.001


def test_raw_is_linear_light() -> None:
    """Without colour and gains, middle gray is a fifth of white, as gamma 2.2 and the curve say."""
    neutral = CameraProfile(from_srgb=torch.eye(3)[None], gains=torch.ones(1, 3))
    gray = torch.full((1, 3, 2, 2), 0.5)
    torch.testing.assert_close(unprocess(gray, neutral), torch.full_like(gray, 0.5**2.2))


def test_white_stays_white() -> None:
    camera = random_cameras(8, generator())
    white = torch.ones(8, 3, 4, 4)
    torch.testing.assert_close(develop(unprocess(white, camera), camera), white, rtol=0, atol=1e-5)
