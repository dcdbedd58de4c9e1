"""A night that has less time than the institute has mice."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.analysis import night
from functions.analysis.night import Night, Stopped
from shared.model.prefixes import NIGHT
from shared.records import objects
from tests.flow import LAB, Flow

PARTS = ["site", "lab a", "sql"]


class Kept:
    """What the bucket keeps between nights."""

    def __init__(self, patched: pytest.MonkeyPatch) -> None:
        self.stopped = Stopped()
        patched.setattr(night, "_read", lambda: self.stopped)
        patched.setattr(night.objects, "put_json", lambda key, value: self.keep(value))

    def keep(self, value: Stopped) -> None:
        self.stopped = value


def run(names: list[str], most: int) -> list[tuple[str, str]]:
    """Return what a night does that has time for so many mice."""
    done: list[tuple[str, str]] = []
    drawn: list[tuple[str, str]] = []
    tonight = Night(PARTS, lambda: 60 if len(done) < most else 40, 60)
    for part, pace in tonight.turns():
        before = len(done)
        for name in pace(names):
            done.append((part, name))
        # Also where time has run out, what was done gets its pictures
        drawn += ((part, name) for name in pace([name for _, name in done[before:]]))
    assert drawn == done
    tonight.end()
    return done


@given(
    st.sets(st.text("abc", min_size=1, max_size=3), max_size=8),
    st.integers(1, 30),
    st.lists(st.text("abc", min_size=1, max_size=3), max_size=3),
)
def test_each_mouse_of_each_part_has_its_turn_before_any_has_two_more(
    mice: set[str], most: int, come: list[str]
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        Kept(patched)
        names = sorted(mice)
        nights = -(-len(PARTS) * len(names) // most) if names else 1
        # Given nights that may be too short for all, until there were enough
        turns = Counter(each for _ in range(nights) for each in run(names, most))
        # Then each mouse was looked at in each part, and none far more often than another
        assert set(turns) == {(part, name) for part in PARTS for name in names}
        assert max(turns.values(), default=0) <= min(turns.values(), default=0) + 1
        # and mice that come or go do not stop it
        for name in come:
            names = sorted({*names, name} - set(names[:1]))
            run(names, most)


def test_a_night_without_any_time_begins_the_next_where_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = Kept(monkeypatch)
    run(["a", "b", "c"], 2)
    assert kept.stopped == Stopped("site", "b")
    assert run(["a", "b", "c"], 0) == []
    assert kept.stopped == Stopped("site", "b")
    assert run(["a", "b", "c"], 2) == [("site", "c"), ("lab a", "a")]
    # and one with time for all ends with what came before
    rest = [("lab a", "b"), ("lab a", "c"), *(("sql", name) for name in "abc")]
    of_site = [("site", name) for name in "abc"]
    assert run(["a", "b", "c"], 9) == [*rest, *of_site, ("lab a", "a")]
    assert kept.stopped == Stopped()


class Clock:
    """Lambda's context of a run that has time for some mice: each asks once."""

    def __init__(self, mice: int) -> None:
        self.left = mice

    def get_remaining_time_in_millis(self) -> int:
        self.left -= 1
        return 100_000 if self.left >= 0 else 40_000


def test_a_large_institute_is_done_in_several_nights(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    from functions.analysis.handler import handler
    from shared.records import documents
    from shared.sessions import store as sessions

    monkeypatch.setenv("FORNIX_SITE_BUCKET", f"{flow.bucket}-site")
    flow.s3.create_bucket(Bucket=f"{flow.bucket}-site")
    # Given three mice with a public session each, of which nobody has told
    eids = []
    for name in ("FI_002", "FI_003", "FI_004"):
        documents.create("subject", name, {"nickname": name, "lab": LAB}, who="admin")
        made = sessions.create(
            subject=name, start_time="2024-07-01T10:00:00", who="admin", public=True
        )
        eids.append(made.id)

    def pages() -> list[str]:
        return [eid for eid in eids if f"sessions/{eid}.html" in keys()]

    def keys() -> list[str]:
        listed = flow.s3.list_objects_v2(Bucket=f"{flow.bucket}-site").get("Contents", [])
        return [each["Key"] for each in listed]

    def one_night(mice: int) -> Any:
        return handler({"kind": "nightly"}, Clock(mice))

    # When the first night has time for one, then the next goes on with the second
    assert one_night(1)["changed"] == 1
    assert pages() == eids[:1]
    assert one_night(1)["changed"] == 1
    assert pages() == eids[:2]
    # and the last has time for all, and for what was left of the tables
    assert one_night(1000)["changed"] == 1
    assert pages() == eids
    assert objects.read_object(NIGHT, Stopped) == Stopped()
    # Given a file that cannot be read, then the night begins anew
    flow.s3.put_object(Bucket=flow.bucket, Key=NIGHT, Body=b"{")
    assert one_night(1000) == {"changed": 0, "problems": []}
