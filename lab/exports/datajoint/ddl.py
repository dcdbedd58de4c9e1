"""The SQL statements that create the tables."""

from __future__ import annotations

from shared.science.tables.declared import BY_NAME, ColumnKind, DeclaredColumn, DeclaredTable

PREFIX = "ibl_"
"""Prefix of the databases' names, as in IBL-pipeline."""

TYPES = {
    ColumnKind.TEXT: "varchar(255)",
    ColumnKind.UUID: "binary(16)",
    ColumnKind.INTEGER: "int",
    # Double everywhere, so that numbers are the same here and in the files.
    ColumnKind.NUMBER: "double",
    ColumnKind.FLAG: "tinyint",
    ColumnKind.DATE: "date",
    ColumnKind.TIME: "datetime",
    # Without DataJoint 2's mark `:<blob>:`, at which 0.14 fails: it unpacks this one by itself,
    # and 2.x gives the bytes, for `datajoint.blob.unpack`.
    ColumnKind.ARRAY: "longblob",
}


def database_of(table: DeclaredTable) -> str:
    """Return the database of a table."""
    return f"{PREFIX}{table.schema}"


def address_of(table: DeclaredTable) -> str:
    """Return a table's quoted name with its database."""
    return f"`{database_of(table)}`.`{table.sql_name}`"


def create_table(table: DeclaredTable) -> str:
    """Return the statement that creates a table unless it exists."""
    lines = [_column(column) for column in table.columns]
    lines.append(f"PRIMARY KEY ({_names(table.key)})")
    for reference in table.references:
        target = BY_NAME[reference.table]
        own = [reference.columns.get(name, name) for name in target.key]
        lines.append(
            f"FOREIGN KEY ({_names(own)}) REFERENCES {address_of(target)} ({_names(target.key)}) "
            "ON UPDATE CASCADE ON DELETE RESTRICT"
        )
    inside = ",\n  ".join(lines)
    return (
        f"CREATE TABLE IF NOT EXISTS {address_of(table)} (\n  {inside}\n) "
        f"ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin COMMENT={_quoted(table.says)}"
    )


LINEAGE = "~lineage"
"""Table in which DataJoint 2 looks up the origin of an attribute; it joins on no others."""


def create_lineage(database: str) -> str:
    """Return the statement that creates a database's table of origins, as DataJoint 2 does."""
    return (
        f"CREATE TABLE IF NOT EXISTS `{database}`.`{LINEAGE}` (table_name varchar(64) NOT NULL, "
        "attribute_name varchar(64) NOT NULL, lineage varchar(255) NOT NULL, "
        "PRIMARY KEY (table_name, attribute_name)) ENGINE=InnoDB"
    )


def origins(table: DeclaredTable) -> dict[str, str]:
    """Return the origins of a table's attributes: of those in its key, and of references."""
    sources = {
        column.name: f"{database_of(table)}.{table.sql_name}.{column.name}"
        for column in table.columns
        if column.key
    }
    for reference in table.references:
        target = BY_NAME[reference.table]
        of_target = origins(target)
        for name in target.key:
            sources[reference.columns.get(name, name)] = of_target[name]
    return sources


def _column(column: DeclaredColumn) -> str:
    # DataJoint reads from the comment that the bytes are a UUID.
    says = f":uuid:{column.says}" if column.kind is ColumnKind.UUID else column.says
    null = "DEFAULT NULL" if column.null else "NOT NULL"
    return f"`{column.name}` {TYPES[column.kind]} {null} COMMENT {_quoted(says)}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _names(columns: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{name}`" for name in columns)
