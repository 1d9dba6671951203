import math

import pytest

from restore.engine.placement import Placement, choose_precision
from restore.errors import UsageError

SAFE = {"5": 0.02, "50": -0.001}
UNSAFE = {"5": 0.021, "50": 0.0}


@pytest.mark.parametrize(
    ("fast", "losses", "chosen"),
    [
        (("fp16", "bf16"), {"fp16": SAFE, "bf16": SAFE}, "fp16"),
        (("fp16", "bf16"), {"fp16": UNSAFE, "bf16": SAFE}, "bf16"),
        (("bf16",), {"fp16": SAFE, "bf16": UNSAFE}, "fp32"),
        (("bf16",), {"bf16": {"5": math.nan}}, "fp32"),
        (("bf16",), {"bf16": {}}, "fp32"),
        (("bf16",), {}, "fp32"),
        ((), {"fp16": SAFE, "bf16": SAFE}, "fp32"),
    ],
)
def test_auto_is_the_fastest_that_was_measured_to_be_safe(
    fast: tuple[str, ...], losses: dict[str, dict[str, float]], chosen: str
) -> None:
    assert choose_precision("auto", fast, losses) == chosen


def test_who_names_a_precision_gets_it() -> None:
    assert choose_precision("bf16", (), {"bf16": UNSAFE}) == "bf16"
    with pytest.raises(UsageError, match="precision 'fp64': use auto, fp32, fp16, bf16"):
        choose_precision("fp64", (), {})


def test_a_tile_is_a_size_or_auto() -> None:
    assert Placement().tile_size(768) == 768
    assert Placement(tile="64").tile_size(768) == Placement(tile=64).tile_size(768) == 64
    for nonsense in ("0", -1, "large", "1.5"):
        with pytest.raises(UsageError, match="give a size in pixels"):
            Placement(tile=nonsense).tile_size(768)
