"""The Glue catalogue: a table over each folder that the analysis writes."""

from __future__ import annotations

from typing import Any

from shared.results.sql import PUBLIC_TABLES
from tests.infra.stack import of_type


def test_each_public_table_is_in_the_catalogue_with_its_columns(stack: dict[str, Any]) -> None:
    found = {
        one["TableInput"]["Name"]: one["TableInput"]
        for one in of_type(stack, "AWS::Glue::Table").values()
    }
    assert found.keys() == {table.parquet_name for table in PUBLIC_TABLES}
    assert not [name for name in found if name.startswith("action_")]
    session = found["acquisition_session"]["StorageDescriptor"]
    assert str(session["Location"]).count("/sql/acquisition_session/") == 1
    types = {column["Name"]: column["Type"] for column in session["Columns"]}
    assert types["subject_uuid"] == "string"
    assert types["session_start_time"] == "timestamp"
    assert types["session_number"] == "bigint"
    units = found["ephys_default_cluster"]["StorageDescriptor"]["Columns"]
    assert not [column for column in units if column["Name"].startswith("cluster_spikes_")]
    (database,) = of_type(stack, "AWS::Glue::Database").values()
    assert database["DatabaseInput"]["Name"] == "fornix"
