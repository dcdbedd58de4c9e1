"""A lab with records of every kind, its bucket, and ways to lose them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from functions.journal.append import items_of_table
from shared.records.journal import Item
from shared.records.table import table_name
from tests import tables
from tests.flow import aws_url, flow, system

__all__ = ["aws_url", "flow", "system"]


@pytest.fixture
def wipe(dynamodb_url: str) -> Callable[[], None]:
    """Lose the table; begin an empty one."""

    def wipe() -> None:
        tables.drop(dynamodb_url, table_name())
        tables.create(dynamodb_url, table_name())

    return wipe


def items() -> dict[tuple[str, str], Item]:
    """Return every item of the table that is to come back, as it is stored."""
    return {(item["pk"]["S"], item["sk"]["S"]): item for item in items_of_table()}


@pytest.fixture(autouse=True)
def _index() -> Iterator[None]:
    from shared import catalog

    catalog.reset_for_tests()
    yield
    catalog.reset_for_tests()
