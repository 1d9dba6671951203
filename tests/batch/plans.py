"""Plans of files that are made for them."""

from pathlib import Path
from typing import Any

from restore.batch.plan import BatchPlan, PlanRequest, make_plan

__all__ = ["planned", "touch", "ways"]


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(name.encode())


def planned(inputs: list[str], output: str, **options: Any) -> BatchPlan:
    return make_plan(PlanRequest(inputs=inputs, output=output, **options))


def ways(plan: BatchPlan) -> list[tuple[str, str]]:
    return [(item.source_name, item.destination_name) for item in plan.items]
