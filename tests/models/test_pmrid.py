import pytest
import torch

from restore.errors import WeightsError
from restore.models.pmrid import PMRID, PMRIDConfig


def test_it_has_as_many_parameters_as_the_published_one() -> None:
    assert sum(each.numel() for each in PMRID(PMRIDConfig()).parameters()) == 1_031_908


def test_planes_come_out_as_large_as_they_went_in() -> None:
    network = PMRID(PMRIDConfig()).eval()
    with torch.inference_mode():
        assert network(torch.rand(1, 4, 32, 48)).shape == (1, 4, 32, 48)


def test_other_numbers_of_planes_are_refused() -> None:
    with pytest.raises(WeightsError, match="four planes, not 9"):
        PMRIDConfig(channels=9)
