"""A lab with records of every kind, its bucket, and ways to lose them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import botocore.session
import pytest

from functions.journal.append import items_of_table
from shared.records.journal import Item
from shared.records.table import TABLE_SCHEMA, table_name
from tests.flow import aws_url, flow, system

__all__ = ["aws_url", "flow", "system"]


@pytest.fixture
def wipe(dynamodb_url: str) -> Callable[[], None]:
    """Lose the table; begin an empty one."""
    client = botocore.session.get_session().create_client(
        "dynamodb", endpoint_url=dynamodb_url, region_name="us-east-1"
    )

    def wipe() -> None:
        client.delete_table(TableName=table_name())
        client.create_table(TableName=table_name(), BillingMode="PAY_PER_REQUEST", **TABLE_SCHEMA)

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
