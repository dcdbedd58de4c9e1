"""JSON of the site: whatever is told, and nothing that is no number."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.results.build.state import confirmed
from shared.results.store import FolderStore, NotReadable, encode, load, update

from .conftest import trials_of

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


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_could_not_be_read_back_is_not_written(tmp_path, number) -> None:
    store = FolderStore(tmp_path / "site")
    update(store, "state", dict[str, float], lambda _: {"a": 1.0})

    with pytest.raises(NotReadable, match=r"Expected `float`, got `null`"):
        update(store, "state", dict[str, float], lambda before: {**(before or {}), "b": number})

    assert load(store, "state", dict[str, float])[0] == {"a": 1.0}


def test_a_session_whose_numbers_cannot_be_kept_is_listed_without_them(site, shelf, store) -> None:
    """Given one such session of a mouse, the mouse's others are as they were."""
    good = shelf.put("FX_001", "2026-02-01", trials_of(40, 1))
    bad = shelf.put("FX_001", "2026-02-02", trials_of(40, 2), delay_start=float("nan"))

    site.refresh()

    entries = confirmed(store, "FX_001")
    assert entries[good.id].row.n_trials == 40
    assert entries[bad.id].row.n_trials is None
    assert entries[bad.id].problems == ["Its numbers in lists cannot be shown: NotReadable."]
    assert entries[bad.id].failed, "the next build tries again"
