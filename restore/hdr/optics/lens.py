"""The camera that an optical element is designed for."""

from dataclasses import dataclass

from restore.errors import UsageError

__all__ = ["Camera"]


@dataclass(frozen=True, kw_only=True)
class Camera:
    """Lens, sensor and material; the defaults are those of Metzler et al., CVPR 2020.

    The lens is focused at infinity and the element lies in its aperture.

    Attributes:
        focal_length_m: of the lens.
        aperture_m: diameter of the round aperture.
        pixel_pitch_m: between the centres of neighbouring pixels.
        wavelengths_m: of red, green and blue.
        refractive_indices: of the element's material at these wavelengths.
        height_limit_m: the element is nowhere higher.
        height_step_m: between neighbouring heights that can be made; 0 for any height.
        height_error_m: made heights are off by at most this, to either side.
    """

    focal_length_m: float = 35e-3
    aperture_m: float = 5e-3
    pixel_pitch_m: float = 4.29e-6
    wavelengths_m: tuple[float, ...] = (635e-9, 530e-9, 450e-9)
    refractive_indices: tuple[float, ...] = (1.4295, 1.4349, 1.4421)
    height_limit_m: float = 1.55e-6
    height_step_m: float = 21.16e-9
    height_error_m: float = 20e-9

    def __post_init__(self) -> None:
        """Refuse what no camera can be."""
        lengths = (
            self.focal_length_m,
            self.aperture_m,
            self.pixel_pitch_m,
            self.height_limit_m,
            *self.wavelengths_m,
        )
        if min(lengths) <= 0 or min(self.height_step_m, self.height_error_m) < 0:
            raise UsageError("the lengths of a camera are positive")
        if len(self.wavelengths_m) != len(self.refractive_indices):
            raise UsageError("every wavelength needs a refractive index, and the other way round")

    @property
    def f_number(self) -> float:
        """Focal length over aperture."""
        return self.focal_length_m / self.aperture_m
