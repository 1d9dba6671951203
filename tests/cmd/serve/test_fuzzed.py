"""The service under requests that are made up from its own description."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

schemathesis = pytest.importorskip("schemathesis")

from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from schemathesis.checks import load_all_checks  # noqa: E402
from schemathesis.specs.openapi.checks import positive_data_acceptance  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("token", ["", "secret"])
@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_every_answer_is_described_and_none_is_a_bug(
    running: Callable[..., Any], photo: Callable[..., Path], token: str, mode: Any
) -> None:
    picture = photo("a.png").read_bytes()
    bodies = st.sampled_from([picture, picture[:-30]]) | st.binary(max_size=40)
    schemathesis.openapi.media_type("application/octet-stream", bodies)
    load_all_checks()
    schema = schemathesis.openapi.from_url(f"{running(token=token).url}/openapi.json")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) == 6  # all but its own path

    for operation in operations:
        if mode is schemathesis.GenerationMode.NEGATIVE and operation.method == "get":
            continue  # there is nothing to say wrongly

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=40, deadline=None, derandomize=True, database=None,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        def answers(case: Any) -> None:
            # What the description allows may still be no picture.
            case.call_and_validate(
                headers=headers, excluded_checks=[positive_data_acceptance], timeout=300
            )

        answers()
