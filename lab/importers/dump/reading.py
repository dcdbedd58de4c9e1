"""Read a ``dumpdata`` file row by row, however large: JSON or JSON Lines, plain or gzipped.

The format: a list of objects with ``model`` (``app.model``), ``pk`` and ``fields``; JSON Lines
have one such object a line (Django documentation, "Serializing Django objects").
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

CHUNK = 1 << 20
"""Characters read at once."""

MAX_ROW = 16 << 20
"""Largest row in characters; the longest of Alyx are task logs of some hundred kB."""

MODEL = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")

NO_MODEL = "(no row)"
"""Model of an entry of the dump that is no row."""


class BadDump(Exception):
    """The file is no dump, or it is damaged; the message says where."""


@dataclass(frozen=True)
class DumpRow:
    """One row of a dump.

    Attributes
    ----------
    model : str
        ``app.model``, in lower case; `NO_MODEL` if it is no row.
    pk : str or None
        Primary key as text; None in a dump with natural primary keys.
    fields : dict
        Values by field; an entry that is no row has ``text`` with its beginning.
    """

    model: str
    pk: str | None
    fields: dict[str, Any] = field(default_factory=dict)


def read_dump(path: Path) -> Iterator[DumpRow]:
    """Iterate over the rows of a dump.

    Raises
    ------
    BadDump
        The file cannot be read completely.
    """
    number = 0
    try:
        with _open(path) as file:
            for value in _values(file):
                number += 1
                yield _row(value)
    except (OSError, EOFError, zlib.error) as error:
        raise BadDump(f"{path}: it breaks off behind row {number} ({error})") from error
    except UnicodeDecodeError as error:
        raise BadDump(f"{path}: behind row {number} it is no UTF-8 text") from error
    except RecursionError:
        raise BadDump(f"{path}: row {number + 1} is nested too deeply") from None
    except ValueError as error:
        raise BadDump(f"{path}: row {number + 1} cannot be read ({error})") from error


def _open(path: Path) -> IO[str]:
    with open(path, "rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    if zipped:
        return io.TextIOWrapper(gzip.open(path), encoding="utf-8-sig")
    return open(path, encoding="utf-8-sig")


def _row(value: Any) -> DumpRow:
    if isinstance(value, dict):
        model, pk, fields = value.get("model"), value.get("pk"), value.get("fields")
        named = model.lower() if isinstance(model, str) else ""
        has_key = isinstance(pk, (str, int, type(None)))
        if MODEL.fullmatch(named) and has_key and isinstance(fields, dict):
            return DumpRow(named, None if pk is None else str(pk).lower(), fields)
    return DumpRow(NO_MODEL, None, {"text": json.dumps(value)[:300]})


def _values(file: IO[str]) -> Iterator[Any]:
    """Iterate over the values of a list, or over a sequence of values."""
    window = _Window(file)
    in_list = window.next_sign() == "["
    if in_list:
        window.at += 1
        if window.next_sign() == "]":
            window.at += 1
            window.finish()
            return
    while in_list or window.next_sign():
        yield window.value()
        if not in_list:
            continue
        sign = window.next_sign()
        if sign not in (",", "]"):
            raise ValueError(f"a comma or ] is missing before {sign!r}" if sign else "cut off")
        window.at += 1
        if sign == "]":
            window.finish()
            return


class _Window:
    """The part of a text in memory."""

    decoder = json.JSONDecoder(parse_constant=lambda name: None)  # NaN becomes None

    def __init__(self, file: IO[str]) -> None:
        self.file, self.text, self.at, self.ended = file, "", 0, False

    def more(self) -> None:
        """Read on and drop the parsed text; double the window, so that long rows stay cheap."""
        rest = self.text[self.at :]
        added = self.file.read(max(CHUNK, len(rest)))
        self.text, self.at, self.ended = rest + added, 0, not added

    def next_sign(self) -> str:
        """Move to the next character that is no space and return it; empty at the end."""
        while True:
            while self.at < len(self.text):
                if not self.text[self.at].isspace():
                    return self.text[self.at]
                self.at += 1
            if self.ended:
                return ""
            self.more()

    def value(self) -> Any:
        """Return the next JSON value.

        Raises
        ------
        ValueError
            There is none, or it is too long.
        """
        if not self.next_sign():
            raise ValueError("cut off")
        while True:
            try:
                value, end = self.decoder.raw_decode(self.text, self.at)
                if end < len(self.text) or self.ended:
                    self.at = end
                    return value
            except json.JSONDecodeError:
                if self.ended:
                    raise
            if len(self.text) - self.at > MAX_ROW:
                raise ValueError(f"longer than {MAX_ROW:,} characters, or no JSON")
            self.more()

    def finish(self) -> None:
        """Check that nothing follows."""
        if sign := self.next_sign():
            raise ValueError(f"{sign!r} stands behind the list")
