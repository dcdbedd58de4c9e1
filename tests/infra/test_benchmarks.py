"""The benchmark's own arithmetic: what counts as slower, and what AWS would take."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from infra.functions import MEMORY_MB
from infra.settings import ROOT


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("api")


@pytest.mark.parametrize(
    ("here", "there", "told"),
    [
        ([10, 10, 90], [10, 10, 10], False),  # one slow turn is the machine's
        ([13, 13, 13], [10, 10, 10], True),
        ([0.13] * 3, [0.1] * 3, False),  # too little to be noticed
        ([8, 8, 8], [10, 10, 10], False),
    ],
)
def test_a_request_is_slower_in_most_pairs_and_by_more_than_a_fifth(
    api: Any, here: list[float], there: list[float], told: bool
) -> None:
    one, other = (
        [{"function_ms": t, "http_ms": 1.0, "requests": 1.0} for t in side]
        for side in (here, there)
    )
    lines = api.slower("login", one, other)
    assert lines == (["login: function_ms is 1.30 of the other checkout's"] if told else [])


def test_aws_is_estimated_for_the_memory_that_the_function_has(api: Any) -> None:
    from aws import FUNCTION_MB, GATEWAY_DOLLARS, estimate  # type: ignore[import-not-found]

    assert MEMORY_MB["api"] == FUNCTION_MB
    # A read of one unit: the gateway costs more than all else together
    read = estimate(cpu_ms=4, requests=1, read_units=1, write_units=0)
    assert GATEWAY_DOLLARS < read.dollars < GATEWAY_DOLLARS + 1
    # Another request to the table is time, and no units
    assert estimate(4, 2, 1, 0).milliseconds > read.milliseconds
