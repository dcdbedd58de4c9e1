"""The protocol of columns, and the coding of values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from shared.records.where import Where

if TYPE_CHECKING:
    from shared.catalog.columns.blocks import Need

Array = np.ndarray[Any, Any]
Rows = Sequence[Mapping[str, Any]]


class Column(Protocol):
    """Protocol of all columns; ``rows`` is an array of row numbers or None for all."""

    def mask(self, where: Where, rows: Array | None) -> Array:
        """Return the mask of the rows that fulfil a condition."""

    def pick(self, rows: Array) -> list[Any]:
        """Return the values of some rows."""

    def take(self, rows: Array) -> Column:
        """Return the column with only these rows, in this order."""

    def concat(self, other: Column) -> Column:
        """Return the column with another's rows after its own."""

    def needs(self, rows: Array | None) -> list[Need]:
        """Return the file's blocks with the values of some rows; None: those all rows need."""

    def ranks(self) -> Array:
        """Return numbers that sort as the values do (None first)."""

    @property
    def nbytes(self) -> int:
        """Memory of the row-wise arrays, bytes."""


def value_key(value: Any) -> tuple[bool, str, Any]:
    """Return a value's sort key: None first, then by type, all numbers together."""
    return (value is not None, type(value).__name__ if not is_number(value) else "", value)


def is_number(value: Any) -> bool:
    """Return whether a value sorts among the numbers."""
    return isinstance(value, (int, float))


def narrowest(codes: Array, n_values: int) -> Array:
    """Return codes in the narrowest type that holds them."""
    wide = np.uint8 if n_values <= 256 else np.uint16 if n_values <= 65536 else np.uint32
    return np.ascontiguousarray(codes, dtype=wide)


def encode_json(value: Any) -> Any:
    """Return a hashable stand-in of a value (JSON text for lists and objects)."""
    if isinstance(value, (dict, list)):
        return JsonText(json.dumps(value, separators=(",", ":"), sort_keys=True))
    return value


class JsonText(str):
    """JSON text that stands for the value it encodes."""

    __slots__ = ()


def decode_json(value: Any) -> Any:
    """Return the value that `encode_json` coded."""
    return json.loads(value) if isinstance(value, JsonText) else value
