"""Fornix tables of a DynamoDB server, made and dropped by botocore's own client."""

from __future__ import annotations

from functools import lru_cache
from typing import Any


@lru_cache
def client(url: str) -> Any:
    """Return the client of a server; making one takes longer than most tests."""
    import botocore.session

    session = botocore.session.get_session()
    return session.create_client("dynamodb", endpoint_url=url, region_name="us-east-1")


def create(url: str, name: str) -> None:
    """Make an empty table with its indexes."""
    from shared.records.table import TABLE_SCHEMA

    client(url).create_table(TableName=name, BillingMode="PAY_PER_REQUEST", **TABLE_SCHEMA)


def drop(url: str, name: str) -> None:
    """Lose a table and all in it."""
    client(url).delete_table(TableName=name)
