"""The database side: creates tables once, and synchronises the rows of an animal."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import msgspec
import pymysql

from lab.exports.datajoint.ddl import (
    LINEAGE,
    address_of,
    create_lineage,
    create_table,
    database_of,
    origins,
)
from lab.exports.session import ExportError
from shared.science.tables.arrays import ArrayCell
from shared.science.tables.declared import (
    BY_NAME,
    TABLES,
    ColumnKind,
    DeclaredColumn,
    DeclaredTable,
)
from shared.science.tables.rows import Row, Rows

STATE = "`fornix_sync`.`subject`"
"""The animals in the tables, and the digests of their sources."""

PLACES = "`fornix_sync`.`place`"
"""The position in a server's feed of changes that the tables have reached."""

HELD = 1451
"""MariaDB's error: rows of another table refer to this one."""

STATEMENT = 2**16
"""Bytes that a statement may have beside the arrays of its row."""

ESCAPED = b"\0\n\r\x1a\"'\\"
"""Bytes that are sent as two."""

EMPTY = ("ibl_data",)
"""Databases that clients expect, and that stay empty here."""


class DatabaseAccount(msgspec.Struct, frozen=True):
    """Address and account of a database server.

    Attributes
    ----------
    tls : bool
        Whether the connection is encrypted, with the server's certificate checked.
    """

    host: str
    port: int
    user: str
    password: str
    tls: bool = True

    @classmethod
    def of(cls, url: str) -> DatabaseAccount:
        """Read ``mysql://user:password@host:port``; ``?tls=no`` for a server on this computer.

        Raises
        ------
        ExportError
            The text is no such address.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("mysql", "mariadb") or not parts.hostname or not parts.username:
            raise ExportError(
                "the database's address is mysql://USER:PASSWORD@HOST:3306 (FORNIX_DATAJOINT_URL)"
            )
        return cls(
            parts.hostname,
            parts.port or 3306,
            unquote(parts.username),
            unquote(parts.password or ""),
            tls=parts.query != "tls=no",
        )


class RowChange(msgspec.Struct):
    """The changes of an animal's rows.

    Attributes
    ----------
    held : list of str
        Rows that are gone from the source, but stay because tables of users refer to them.
    """

    written: int = 0
    removed: int = 0
    held: list[str] = msgspec.field(default_factory=list)


class Database:
    """The tables on a server; a context manager.

    Parameters
    ----------
    account : DatabaseAccount

    Raises
    ------
    ExportError
        The server cannot be reached, or refuses the account.
    """

    def __init__(self, account: DatabaseAccount) -> None:
        secure: dict[str, Any] = (
            {"ssl_verify_cert": True, "ssl_verify_identity": True} if account.tls else {}
        )
        try:
            self._connection = pymysql.connect(
                host=account.host,
                port=account.port,
                user=account.user,
                password=account.password,
                charset="utf8mb4",
                autocommit=False,
                init_command="SET sql_mode='STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE'",
                connect_timeout=10,
                **secure,
            )
        except (pymysql.Error, OSError) as error:
            why = error.args[-1] if error.args else error
            raise ExportError(
                f"the database at {account.host}:{account.port} cannot be used: {why}. "
                "`fornix datajoint up` starts one here"
            ) from error

        with self._connection.cursor() as cursor:
            cursor.execute("SELECT @@max_allowed_packet")
            self._packet = int(cursor.fetchone()[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; uncommitted changes are lost."""
        self._connection.close()

    def create(self) -> None:
        """Create the missing tables."""
        with self._connection.cursor() as cursor:
            names = dict.fromkeys([*map(database_of, TABLES), *EMPTY, "fornix_sync"])
            for name in names:
                cursor.execute(f"CREATE DATABASE IF NOT EXISTS `{name}`")
            for name in dict.fromkeys(map(database_of, TABLES)):
                cursor.execute(create_lineage(name))
            for table in TABLES:
                cursor.execute(create_table(table))
                cursor.executemany(
                    f"REPLACE INTO `{database_of(table)}`.`{LINEAGE}` VALUES (%s, %s, %s)",  # noqa: S608
                    [(table.sql_name, *origin) for origin in origins(table).items()],
                )
            cursor.execute(
                f"CREATE TABLE IF NOT EXISTS {STATE} (subject_uuid binary(16) PRIMARY KEY, "
                "subject_nickname varchar(255) NOT NULL, made_from char(64) NOT NULL, "
                "made_at datetime NOT NULL) ENGINE=InnoDB"
            )
            cursor.execute(
                f"CREATE TABLE IF NOT EXISTS {PLACES} (source varchar(255) PRIMARY KEY, "
                "made_by char(64) NOT NULL, place varchar(1000) NOT NULL) ENGINE=InnoDB"
            )
        self._connection.commit()

    def known(self) -> dict[str, str]:
        """Return the digests of the sources of the animals in the tables, by id."""
        with self._connection.cursor() as cursor:
            cursor.execute(f"SELECT subject_uuid, made_from FROM {STATE}")  # noqa: S608
            digests = {str(uuid.UUID(bytes=key)): made for key, made in cursor.fetchall()}
        self._connection.rollback()
        return digests

    def place(self, source: str, made_by: str) -> str | None:
        """Return the position in a server's feed that the tables have reached.

        Parameters
        ----------
        source : str
            Address of the server.
        made_by : str
            Digest of the code that makes rows; after a change of code the position is void.
        """
        with self._connection.cursor() as cursor:
            cursor.execute(
                f"SELECT place FROM {PLACES} WHERE source = %s AND made_by = %s",  # noqa: S608
                (source, made_by),
            )
            position = cursor.fetchone()
        self._connection.rollback()
        return position[0] if position else None

    def keep_place(self, source: str, made_by: str, place: str) -> None:
        """Store the position in a server's feed that the tables have reached."""
        with self._connection.cursor() as cursor:
            cursor.execute(
                f"REPLACE INTO {PLACES} VALUES (%s, %s, %s)",  # noqa: S608
                (source, made_by, place),
            )
        self._connection.commit()

    def put(self, subject: str, nickname: str, made_from: str, rows: Rows) -> RowChange:
        """Synchronise the rows of an animal, in one transaction.

        Only differences are written, so that references from tables of users stay valid.

        Parameters
        ----------
        subject : str
            UUID.
        nickname : str
        made_from : str
            Digest of this state of the animal.
        rows : dict
            Rows by table.
        """
        change = RowChange()
        try:
            with self._connection.cursor() as cursor:
                self._bring_in_step(cursor, subject, rows, change)
                cursor.execute(
                    f"REPLACE INTO {STATE} VALUES (%s, %s, %s, UTC_TIMESTAMP())",  # noqa: S608
                    (uuid.UUID(subject).bytes, nickname, made_from),
                )
            self._connection.commit()
        except BaseException:
            self._connection.rollback()
            raise
        return change

    def forget(self, subject: str) -> RowChange:
        """Remove an animal that is gone, except rows to which tables of users refer."""
        change = RowChange()
        with self._connection.cursor() as cursor:
            self._bring_in_step(cursor, subject, {}, change)
            if not change.held:
                cursor.execute(
                    f"DELETE FROM {STATE} WHERE subject_uuid = %s",  # noqa: S608
                    (uuid.UUID(subject).bytes,),
                )
        self._connection.commit()
        return change

    def counts(self) -> dict[str, int]:
        """Return the number of rows of each table."""
        n_rows = {}
        with self._connection.cursor() as cursor:
            for table in TABLES:
                cursor.execute(f"SELECT count(*) FROM {address_of(table)}")  # noqa: S608
                n_rows[f"{database_of(table)}.{table.name}"] = cursor.fetchone()[0]
        self._connection.rollback()
        return n_rows

    def read(self, name: str, subject: str | None = None) -> list[Row]:
        """Return the rows of a table, of one animal or of all, as `rows_of` gives them."""
        with self._connection.cursor() as cursor:
            return self._read(cursor, BY_NAME[name], subject)

    def _bring_in_step(self, cursor: Any, subject: str, rows: Rows, change: RowChange) -> None:
        fresh: dict[str, list[Row]] = {}
        gone: dict[str, list[Row]] = {}
        for table in TABLES:
            width = len(table.key)
            wanted = {row[:width]: row for row in rows.get(table.name, ())}
            existing = self._there(cursor, table, subject, wanted)
            fresh[table.name] = [row for key, row in wanted.items() if existing.get(key) != row]
            if table.of_subject:
                gone[table.name] = [key for key in existing if key not in wanted]
        for table in reversed(TABLES):
            self._remove(cursor, table, gone.get(table.name, []), change)
        for table in TABLES:
            self._write(cursor, table, fresh[table.name])
            change.written += len(fresh[table.name])

    def _there(
        self, cursor: Any, table: DeclaredTable, subject: str, wanted: dict[Row, Row]
    ) -> dict[Row, Row]:
        if not table.of_subject and not wanted:
            return {}
        rows = self._read(cursor, table, subject if table.of_subject else None)
        return {row[: len(table.key)]: row for row in rows}

    def _read(self, cursor: Any, table: DeclaredTable, subject: str | None) -> list[Row]:
        names = ", ".join(map(_selected, table.columns))
        query = f"SELECT {names} FROM {address_of(table)}"  # noqa: S608
        if subject is None:
            cursor.execute(query)
        else:
            cursor.execute(f"{query} WHERE subject_uuid = %s", (uuid.UUID(subject).bytes,))
        kinds = [column.kind for column in table.columns]
        return [
            tuple(_from_sql(kind, value) for kind, value in zip(kinds, row, strict=True))
            for row in cursor.fetchall()
        ]

    def _write(self, cursor: Any, table: DeclaredTable, rows: Sequence[Row]) -> None:
        if not rows:
            return
        names = [column.name for column in table.columns]
        columns = ", ".join(f"`{name}`" for name in names)
        places = ", ".join(["%s"] * len(names))
        rest = names[len(table.key) :] or names[:1]
        updates = ", ".join(f"`{name}` = VALUES(`{name}`)" for name in rest)
        kinds = [column.kind for column in table.columns]
        cursor.executemany(
            f"INSERT INTO {address_of(table)} ({columns}) VALUES ({places}) "  # noqa: S608
            f"ON DUPLICATE KEY UPDATE {updates}",
            # One at a time: arrays are copied as they are sent.
            (
                self._sendable([_to_sql(*one) for one in zip(kinds, row, strict=True)], row)
                for row in rows
            ),
        )

    def _sendable(self, values: list[Any], row: Row) -> list[Any]:
        """Return the values of a row, unless the server does not take as much in a statement."""
        large = [one for one in values if isinstance(one, bytes)]
        size = sum(map(len, large)) + STATEMENT
        if 2 * size > self._packet:
            size += sum(one.count(byte) for one in large for byte in ESCAPED)
        if size > self._packet:
            raise ExportError(
                f"a row has {size:,} bytes, of which the server takes {self._packet:,} in a "
                f"statement (unit {row[3]} of the session of {row[1]}): raise its "
                "max_allowed_packet"
            )
        return values

    def _remove(
        self, cursor: Any, table: DeclaredTable, keys: Sequence[Row], change: RowChange
    ) -> None:
        where = " AND ".join(f"`{name}` = %s" for name in table.key)
        kinds = [column.kind for column in table.columns]
        for key in keys:
            values = tuple(_to_sql(kind, value) for kind, value in zip(kinds, key, strict=False))
            try:
                cursor.execute(
                    f"DELETE FROM {address_of(table)} WHERE {where}",  # noqa: S608
                    values,
                )
                change.removed += 1
            except pymysql.IntegrityError as error:
                if error.args[0] != HELD:
                    raise
                change.held.append(f"{table.name} {' '.join(map(str, key))}: {error.args[1]}")


def _selected(column: DeclaredColumn) -> str:
    # Of an array its digest comes, not its bytes.
    name = f"`{column.name}`"
    return f"SHA2({name}, 256)" if column.kind is ColumnKind.ARRAY else name


def _to_sql(kind: ColumnKind, value: Any) -> Any:
    if kind is ColumnKind.UUID and value is not None:
        return uuid.UUID(value).bytes
    return value.packed() if isinstance(value, ArrayCell) else value


def _from_sql(kind: ColumnKind, value: Any) -> Any:
    if value is None:
        return None
    if kind is ColumnKind.UUID:
        return str(uuid.UUID(bytes=value))
    if kind is ColumnKind.ARRAY:
        return ArrayCell.stored(value)
    if kind is ColumnKind.FLAG:
        return bool(value)
    if kind is ColumnKind.DATE and isinstance(value, dt.datetime):
        return value.date()
    return value
