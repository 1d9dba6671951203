"""Parts that lie elsewhere are registered to the mean good part, and their maps brought back."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from restore.anomaly.alignment import Alignment, Registration
from restore.anomaly.network import InspectionNetwork
from restore.anomaly.roi import RegionOfInterest
from restore.anomaly.view import View
from restore.engine.placement import Placement
from restore.errors import TrainingError
from restore.models.draem import Draem, DraemConfig
from restore.weights.store import Weights

HEIGHT, WIDTH = 90, 120


def part(dy: float = 0, dx: float = 0, degrees: float = 0, seed: int = 0) -> np.ndarray:
    """A bracket on a dark belt, shifted and turned, with grain and an exposure of its own."""
    rng = np.random.default_rng(seed)
    bracket = np.full((HEIGHT, WIDTH), 0.2)
    bracket[20:70, 30:90] = 0.6
    bracket[26:38, 36:60] = 0.9
    bracket[52:58, 60:84] = 0.1
    bracket = ndimage.gaussian_filter(bracket, 1.0)
    angle = math.radians(degrees)
    # The inverse motion, which is how pixels are fetched.
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    centre = np.array([(HEIGHT - 1) / 2, (WIDTH - 1) / 2])
    moved = ndimage.affine_transform(
        bracket, turn, centre - turn @ (centre + np.array([dy, dx])), order=1, mode="nearest"
    )
    moved = moved * rng.uniform(0.9, 1.1) + rng.normal(0, 0.02, moved.shape)
    return np.clip(moved, 0, 1).astype(np.float32)[None]


@pytest.fixture(scope="module", params=["translation", "rotation"])
def alignment(request: pytest.FixtureRequest) -> Alignment:
    rng = np.random.default_rng(1)
    turned = 3.0 if request.param == "rotation" else 0.0
    parts = [
        part(*rng.integers(-6, 7, 2), turned * rng.uniform(-1, 1), seed=index) for index in range(9)
    ]
    return Alignment.of(request.param, parts)


def test_shifts_are_found_to_a_pixel(alignment: Alignment) -> None:
    still = alignment.register(part(seed=50))
    for dy, dx in ((7, -11), (-20, 15), (0, 24)):
        placed = alignment.register(part(dy, dx, seed=51))
        assert placed.found
        assert placed.dy - still.dy == pytest.approx(dy, abs=1)
        assert placed.dx - still.dx == pytest.approx(dx, abs=1)
        assert placed.unseen > 0.05


def test_angles_are_found_to_a_third_of_a_degree() -> None:
    alignment = Alignment.of("rotation", [part(seed=index) for index in range(5)])
    for degrees in (4.0, -17.0, 90.0, 176.0):
        placed = alignment.register(part(3, -4, degrees, seed=51))
        assert placed.found
        assert math.remainder(placed.angle - degrees, 360) == pytest.approx(0, abs=0.3)


def test_what_is_no_such_part_is_not_registered(alignment: Alignment) -> None:
    noise = np.random.default_rng(0).random((1, HEIGHT, WIDTH), dtype=np.float32)
    for strange in (noise, np.zeros_like(noise), noise[:, :50], part()[:, :, ::-1] * 0):
        placed = alignment.register(strange)
        assert not placed.found
        assert not placed.is_moved


def test_a_mark_on_the_part_goes_to_its_place_and_back(alignment: Alignment) -> None:
    marked = part(6, -9, seed=60)
    placed = alignment.register(marked)
    still = alignment.aligned(marked, placed)
    spot = np.zeros((1, HEIGHT, WIDTH), np.float32)
    spot[:, 50:55, 40:45] = 1
    there = alignment.aligned(spot, placed)
    row, column = ndimage.center_of_mass(there[0])
    assert row == pytest.approx(52 - placed.dy, abs=1.5)
    assert column == pytest.approx(42 - placed.dx, abs=1.5)
    back = alignment.brought_back(there, placed)
    assert ndimage.center_of_mass(back[0]) == pytest.approx((52, 42), abs=0.3)
    seen = alignment.covered(placed)
    assert 0.7 < seen.mean() < 1
    difference = np.abs(still[0] - alignment.aligned(part(seed=61), Registration(found=True))[0])
    assert difference[10:80, 15:105].mean() < 0.06, "it lies where the others do"


def test_whole_pixels_are_moved_unchanged() -> None:
    alignment = Alignment.of("translation", [part(seed=index) for index in range(4)])
    picture = part(5, 8, seed=70)
    placed = alignment.register(picture)
    moved = alignment.aligned(picture, placed)
    dy, dx = int(placed.dy), int(placed.dx)
    np.testing.assert_array_equal(moved[:, : HEIGHT - dy, : WIDTH - dx], picture[:, dy:, dx:])


def test_what_is_stored_registers_alike(alignment: Alignment) -> None:
    again = Alignment.from_mapping(alignment.as_mapping())
    first, second = (each.register(part(4, 5, seed=80)) for each in (alignment, again))
    assert second.dx == pytest.approx(first.dx, abs=0.1)
    assert second.angle == pytest.approx(first.angle, abs=0.1)
    assert again.as_mapping() == alignment.as_mapping()
    assert Registration.from_mapping(first.as_mapping()).as_mapping() == first.as_mapping()


def test_parts_that_have_no_place_are_refused() -> None:
    rng = np.random.default_rng(0)
    noise = [rng.random((1, 40, 40), dtype=np.float32) for _ in range(6)]
    with pytest.raises(TrainingError, match="too unlike one another"):
        Alignment.of("translation", noise)
    with pytest.raises(TrainingError, match="pictures of one size, not of"):
        Alignment.of("translation", [part(), part()[:, :60]])


@pytest.fixture(scope="module")
def network() -> Weights:
    torch.manual_seed(0)
    config = DraemConfig(channels=1, reconstructor=(4, 6), discriminator=(6, 8), smoothing=5)
    tensors = Draem(config).state_dict()
    return Weights(name="tiny", network=Draem, config=config, task="anomaly", tensors=tensors)


def test_the_region_of_interest_follows_the_part(network: Weights) -> None:
    alignment = Alignment.of("translation", [part(seed=index) for index in range(4)])
    view = View(roi=RegionOfInterest.parse("30,20,60,50"), alignment=alignment)
    inspect = InspectionNetwork(network, Placement(device="cpu", precision="fp32"), view=view)
    scored = inspect(part(10, -8, seed=5))
    assert scored.placed is not None
    assert (scored.placed.dy, scored.placed.dx) == (10, -8)
    rows, columns = np.nonzero(scored.scores)
    assert (rows.min(), rows.max()) == (30, 79)
    assert (columns.min(), columns.max()) == (22, 81)
    assert scored.reconstruction.shape == (1, HEIGHT, WIDTH)


def test_a_part_that_cannot_be_registered_is_inspected_as_it_lies(network: Weights) -> None:
    alignment = Alignment.of("translation", [part(seed=index) for index in range(4)])
    placement = Placement(device="cpu", precision="fp32")
    noise = np.random.default_rng(0).random((1, HEIGHT, WIDTH), dtype=np.float32)
    scored = InspectionNetwork(network, placement, view=View(alignment=alignment))(noise)
    assert scored.placed is not None
    assert not scored.placed.found
    np.testing.assert_array_equal(
        scored.scores, InspectionNetwork(network, placement)(noise).scores
    )
