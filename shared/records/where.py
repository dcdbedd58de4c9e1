"""Conditions on a field, for single values or for the distinct values of a column.

The lookups are those of the Alyx REST contract's ``?django=`` language. No text is evaluated as
code: each lookup is one of the functions below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from typing import Any

import msgspec

from shared.records.patterns import found_by

Test = Callable[[Any], bool]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _comparable(value: Any, other: Any) -> bool:
    number = (int, float)
    return (isinstance(value, str) and isinstance(other, str)) or (
        isinstance(value, number) and isinstance(other, number)
    )


def _exact(value: Any) -> Test:
    if value is None:
        return lambda x: x is None
    if isinstance(value, bool):
        return lambda x: x is value or (not isinstance(x, bool) and x == value)
    return lambda x: (
        x == value or (x is not None and type(x) is not type(value) and _same(x, value))
    )


def _same(x: Any, value: Any) -> bool:
    """Compare values of different types as their texts: 1 and "1" are the same number."""
    return not isinstance(x, (list, dict)) and str(x) == str(value)


def _compare(name: str, value: Any) -> Test:
    tests: dict[str, Test] = {
        "lt": lambda x: x < value,
        "lte": lambda x: x <= value,
        "gt": lambda x: x > value,
        "gte": lambda x: x >= value,
    }
    test = tests[name]
    return lambda x: _comparable(x, value) and test(x)


def _in(value: Iterable[Any]) -> Test:
    if isinstance(value, Set) and not isinstance(value, (set, frozenset)):
        lazy_set = value  # a large set of texts: a test of membership is faster than a listing
        return lambda x: (
            not isinstance(x, (list, dict))
            and (x in lazy_set or (x is not None and type(x) is not str and str(x) in lazy_set))
        )
    wanted = set(value)
    texts = {str(each) for each in wanted if each is not None}
    return lambda x: (
        not isinstance(x, (list, dict)) and (x in wanted or (x is not None and str(x) in texts))
    )


def _range(value: Any) -> Test:
    low, high = value
    return lambda x: _comparable(x, low) and _comparable(x, high) and low <= x <= high


def _fold(value: Any) -> str:
    return _text(value).casefold()


LOOKUPS: Mapping[str, Callable[[Any], Test]] = {
    "exact": _exact,
    "iexact": lambda v: (
        (lambda x: x is None) if v is None else lambda x: x is not None and _fold(x) == _fold(v)
    ),
    "contains": lambda v: lambda x: x is not None and _text(v) in _text(x),
    "icontains": lambda v: lambda x: x is not None and _fold(v) in _fold(x),
    "startswith": lambda v: lambda x: x is not None and _text(x).startswith(_text(v)),
    "istartswith": lambda v: lambda x: x is not None and _fold(x).startswith(_fold(v)),
    "endswith": lambda v: lambda x: x is not None and _text(x).endswith(_text(v)),
    "iendswith": lambda v: lambda x: x is not None and _fold(x).endswith(_fold(v)),
    "in": _in,
    "range": _range,
    "regex": lambda v: found_by(_text(v)),
    "iregex": lambda v: found_by(_text(v), fold=True),
    "isnull": lambda v: lambda x: (x is None) == bool(v),
    "lt": lambda v: _compare("lt", v),
    "lte": lambda v: _compare("lte", v),
    "gt": lambda v: _compare("gt", v),
    "gte": lambda v: _compare("gte", v),
    "test": lambda v: v,
}
"""Maps a lookup's name to a function that takes the wanted value and returns the test."""


class Where(msgspec.Struct, frozen=True):
    """A condition: a field's value, or any of its values, must pass a lookup.

    Attributes
    ----------
    field : str
        Field of the row.
    lookup : str
        One of `LOOKUPS`; ``test`` takes a function as its value.
    value : any
        Value to compare with.
    negate : bool
        Whether rows that pass are excluded instead.
    path : tuple of str
        Keys below a JSON field.
    """

    field: str
    lookup: str
    value: Any = None
    negate: bool = False
    path: tuple[str, ...] = ()

    def positive(self) -> Where:
        """Return the condition without its negation."""
        return msgspec.structs.replace(self, negate=False) if self.negate else self

    @property
    def cost(self) -> int:
        """Rough cost: 1 if cheap, 2 if each value needs JSON decoding or a pattern."""
        return 2 if self.path or self.lookup in ("test", "regex", "iregex") else 1

    def test(self) -> Test:
        """Return the test of a single value, without the negation."""
        test = LOOKUPS[self.lookup](self.value)
        if not self.path:
            return test
        return lambda value: test(_dig(value, self.path))

    def texts(self) -> list[str] | None:
        """Return the texts that an exact condition looks for; None for other conditions."""
        if self.path or self.lookup not in ("exact", "in"):
            return None
        wanted = [self.value] if self.lookup == "exact" else list(self.value)
        return wanted if all(type(each) is str for each in wanted) else None

    def on_values(self, values: Iterable[Any], thaw: Callable[[Any], Any]) -> Iterator[bool]:
        """Yield for each value whether a row with only this value fulfils the condition."""
        test, negate = self.test(), self.negate
        return (test(thaw(value)) != negate for value in values)

    def on_value(self, value: Any) -> bool:
        """Return whether a row with this value (or list of values) fulfils the condition."""
        return self.compiled()(value)

    def compiled(self) -> Test:
        """Return the test of a row's value or list of values, negation included."""
        test, negate = self.test(), self.negate
        if self.path:
            return lambda value: test(value) != negate

        def passes(value: Any) -> bool:
            if isinstance(value, list):
                return any(test(each) for each in value or [None]) != negate
            return test(value) != negate

        return passes

    def on_rows(self) -> Test:
        """Return the test of a whole row."""
        test, name = self.compiled(), self.field
        return lambda row: test(row.get(name))

    def on_array(self, values: Any, missing: Any) -> Any:
        """Return a mask of an integer array for comparisons, None for other lookups.

        Parameters
        ----------
        values, missing : ndarray
            The numbers, and the mask of those that stand for None.
        """
        value = self.value
        if self.lookup == "isnull":
            mask = missing == bool(value)
        elif self.lookup not in ("exact", "lt", "lte", "gt", "gte") or not isinstance(
            value, (int, float)
        ):
            return None
        else:
            compare = {
                "exact": values.__eq__,
                "lt": values.__lt__,
                "lte": values.__le__,
                "gt": values.__gt__,
                "gte": values.__ge__,
            }[self.lookup]
            mask = compare(value) & ~missing
        return ~mask if self.negate else mask


class Either(Where, frozen=True):
    """A condition that holds if any of several does; ``value`` is their list."""

    field: str = ""
    lookup: str = "either"

    @property
    def cost(self) -> int:
        """Rough cost; see `Where.cost`."""
        return 2

    def on_rows(self) -> Test:
        """Return the test of a whole row."""
        tests = [where.on_rows() for where in self.value]
        return lambda row: any(test(row) for test in tests)


class Places(Where, frozen=True):
    """A condition on the places of datasets; ``value`` is a collection of (session, path).

    The index holds the places of datasets instead of their ids.
    """

    field: str = ""
    lookup: str = "places"

    @property
    def cost(self) -> int:
        """Rough cost; see `Where.cost`."""
        return 2

    def by_session(self) -> dict[str, list[str]]:
        """Return the paths by session."""
        paths: dict[str, list[str]] = {}
        for session, path in self.value:
            paths.setdefault(session, []).append(path)
        return paths

    def on_rows(self) -> Test:
        """Return the test of a whole row, negation included."""
        places, negate = self.value, self.negate
        return lambda row: ((row["session"], row["path"]) in places) != negate


class OnStored(Where, frozen=True):
    """A condition on values that only the stored record has, not the index.

    Attributes
    ----------
    value : Where
        The condition; ``rows`` returns the rows of a stored record to test.
    """

    field: str = ""
    lookup: str = "stored"
    rows: Callable[[Any], list[dict[str, Any]]] = list

    @property
    def cost(self) -> int:
        """Rough cost; see `Where.cost`."""
        return 2

    def on_rows(self) -> Test:
        """Return the test of a whole row, negation included."""
        test, rows, negate = self.value.on_rows(), self.rows, self.negate
        return lambda row: any(test(each) for each in rows(row)) != negate


def _dig(value: Any, path: tuple[str, ...]) -> Any:
    """Return the value below some keys of a JSON value; None if it is missing."""
    for key in path:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value


def items_where(field: str, where: Where) -> Where:
    """Return the condition that any object of a list fulfils another condition.

    With a negated condition, rows are left out if any object fulfils its positive form.
    """
    test = where.positive().on_rows()

    def any_of(value: Any) -> bool:
        items = value if isinstance(value, list) else [value]
        return any(isinstance(item, dict) and test(item) for item in items)

    return Where(field, "test", any_of, where.negate)
