"""JSON of the site: whatever is told, and nothing that is no number."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.results.store import FolderStore, encode, load, update

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20
)


@given(VALUES)
def test_what_is_written_is_read_again_exactly(value) -> None:
    assert json.loads(encode(value)) == value


def test_it_is_compact_utf_8_in_the_given_order() -> None:
    assert encode({"b": [1, 0.25, None], "a": "Zürich/</b>"}) == (
        '{"b":[1,0.25,null],"a":"Zürich/</b>"}'.encode()
    )


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_missing(number) -> None:
    assert json.loads(encode({"rt": [0.2, number]})) == {"rt": [0.2, None]}


def test_an_object_of_another_kind_is_made_anew(tmp_path, caplog) -> None:
    store = FolderStore(tmp_path / "site")
    store.write("state", b'{"a": "not a number"}')
    assert load(store, "state", dict[str, int])[0] is None
    assert "state is made anew" in caplog.text
    assert update(store, "state", dict[str, int], lambda before: (before or {}) | {"b": 1}) == {
        "b": 1
    }
