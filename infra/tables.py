"""The site's tables for SQL in the Glue catalogue, where Athena finds them."""

from __future__ import annotations

from aws_cdk import aws_glue as glue
from constructs import Construct

from infra.settings import Deployment
from infra.storage import Storage
from shared.results.sql import FOLDER, PUBLIC_TABLES, SQL_TYPES, plain
from shared.science.tables.declared import ColumnKind

PARQUET = "org.apache.hadoop.hive.ql.io.parquet"


class SqlTables(Construct):
    """A database, and a table over the folder of each of them.

    Athena reads all files below a table's folder. The rows include the name of the animal's
    folder, so no partitions have to be registered.
    """

    def __init__(
        self, scope: Construct, settings: Deployment, storage: Storage, account: str
    ) -> None:
        super().__init__(scope, "SqlTables")
        name = settings.name.replace("-", "_")
        database = glue.CfnDatabase(
            self,
            "Database",
            catalog_id=account,
            database_input=glue.CfnDatabase.DatabaseInputProperty(
                name=name, description="Public sessions as tables"
            ),
        )
        for table in PUBLIC_TABLES:
            glue_table = glue.CfnTable(
                self,
                "".join(part.title() for part in table.parquet_name.split("_")),
                catalog_id=account,
                database_name=name,
                table_input=glue.CfnTable.TableInputProperty(
                    name=table.parquet_name,
                    table_type="EXTERNAL_TABLE",
                    parameters={"classification": "parquet", "EXTERNAL": "TRUE"},
                    storage_descriptor=glue.CfnTable.StorageDescriptorProperty(
                        location=f"s3://{storage.site.bucket_name}/{FOLDER}{table.parquet_name}/",
                        input_format=f"{PARQUET}.MapredParquetInputFormat",
                        output_format=f"{PARQUET}.MapredParquetOutputFormat",
                        serde_info=glue.CfnTable.SerdeInfoProperty(
                            serialization_library=f"{PARQUET}.serde.ParquetHiveSerDe"
                        ),
                        columns=[
                            glue.CfnTable.ColumnProperty(
                                name=column.name,
                                type="string"
                                if column.kind in (ColumnKind.TEXT, ColumnKind.UUID)
                                else SQL_TYPES[column.kind],
                                comment=column.says,
                            )
                            for column in plain(table)
                        ],
                    ),
                ),
            )
            glue_table.add_dependency(database)
