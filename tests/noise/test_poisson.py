from typing import Any

import pytest
import torch
from torch import Tensor

from restore.noise.sensor import poisson


def counts(rate: float, seed: int = 0) -> Tensor:
    return poisson(torch.full((100, 100), rate), torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("can_count", [True, False])
def test_counts_vary_as_much_as_they_are(monkeypatch: pytest.MonkeyPatch, can_count: bool) -> None:
    if not can_count:
        draw = torch.poisson
        asked: list[torch.Generator] = []

        def refuse_once(rate: Tensor, **options: Any) -> Tensor:
            asked.append(options["generator"])
            if len(asked) % 2:
                raise NotImplementedError("The operator 'aten::poisson' is not implemented for MPS")
            return draw(rate, **options)

        monkeypatch.setattr(torch, "poisson", refuse_once)
    first, again, other = counts(5.0), counts(5.0), counts(5.0, seed=1)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert float(first.mean()) == pytest.approx(5, rel=0.02)
    assert float(first.var()) == pytest.approx(5, rel=0.05)
