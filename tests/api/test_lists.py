"""Long lists in one POST: none of it or all of it is seen, whatever happens on the way."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from functions.api.engine.declarations import RESOURCES
from functions.ingest.reconcile import reconcile
from shared import catalog
from shared.records import documents, queues, staging
from shared.records.items import Document, Pointer
from shared.records.transactions import Transaction
from tests.api.conftest import Api

N = 384
"""Channels of a Neuropixels probe, which ibllib sends in one request."""


class Killed(BaseException):
    """The function is killed: nothing of it can react."""


@pytest.fixture
def channels(api: Api, bucket: str, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The channels of a trajectory, as ibllib sends them."""
    monkeypatch.setattr(queues, "send", lambda *_, **__: None)
    monkeypatch.setattr(queues, "notify", lambda *_, **__: None)
    api.ok("POST", "/brain-regions", RESOURCES["brain-regions"].example, user="admin")
    session = {"subject": "FI_001", "start_time": "2024-07-01T10:00:00"}
    eid = api.ok("POST", "/sessions", session)["id"]
    probe = api.ok("POST", "/insertions", {"session": eid, "name": "probe00"})["id"]
    place = {"x": 1, "y": 2, "depth": 3, "theta": 4, "phi": 5, "provenance": "Planned"}
    track = api.ok("POST", "/trajectories", {"probe_insertion": probe, **place})["id"]
    region = RESOURCES["brain-regions"].example["id"]
    where = {"trajectory_estimate": track, "lateral": 0, "x": 1, "y": 2, "z": 3}
    return [{**where, "axial": n, "brain_region": region} for n in range(N)]


def killed_after(monkeypatch: pytest.MonkeyPatch, n: int) -> pytest.MonkeyPatch:
    """Let the function be killed at its commit number n; nothing is tidied up."""
    commit, done = Transaction.commit, []

    def counted(self: Transaction) -> None:
        done.append(self)
        if len(done) > n:
            raise Killed
        commit(self)

    patched = pytest.MonkeyPatch()
    patched.setattr(Transaction, "commit", counted)
    patched.setattr(staging, "discard", lambda note: None)
    return patched


def seen(api: Api) -> int:
    """Return how many channels are listed: by what came by the feed, and by the whole table."""
    caught_up = api.ok("GET", "/channels?limit=1")["count"]
    catalog.reset_for_tests()
    assert api.ok("GET", "/channels?limit=1")["count"] == caught_up
    return int(caught_up)


def stored() -> list[Document | Pointer]:
    """Return what the table has of channels, seen or not."""
    kinds = ("DOC#channel#", "UNIQ#channel#")
    found = [*Document.scan(), *Pointer.scan()]
    return [item for item in found if item.pk.startswith(kinds)]


def test_a_long_list_is_written_and_shown_at_once(api: Api, channels: list[Any]) -> None:
    made = api.ok("POST", "/channels", channels)
    assert len(made) == N
    assert seen(api) == N
    one = f"/channels/{made[7]['id']}"
    assert api.ok("GET", one)["axial"] == 7
    assert api.ok("PATCH", one, {"lateral": 1})["lateral"] == 1
    # The same again is refused as a whole, and so is a longer one that has one of them
    assert api("POST", "/channels", channels).status == 400
    more = [{**each, "lateral": 5} for each in channels[:-1]] + channels[-1:]
    assert api("POST", "/channels", more).status == 400
    assert seen(api) == N
    assert len(stored()) == 2 * N


@pytest.mark.parametrize("commits", [0, 1, 4])
def test_a_function_that_is_killed_on_the_way_leaves_nothing_to_be_seen(
    api: Api, channels: list[Any], monkeypatch: pytest.MonkeyPatch, commits: int
) -> None:
    killed = killed_after(monkeypatch, commits)
    with pytest.raises(Killed):
        api("POST", "/channels", channels)
    killed.undo()
    left = stored()
    assert bool(left) == bool(commits)
    assert seen(api) == 0
    assert all(documents.find("channel", each.pk.split("#")[2]) is None for each in left[:5])
    if commits:  # whether the other one goes on cannot be known yet
        assert api("POST", "/channels", channels).status == 503
    # When no request can be under way any more
    monkeypatch.setattr(staging, "LASTS", timedelta(seconds=-1))
    if commits == 4:
        reconcile()
        assert stored() == []
    assert len(api.ok("POST", "/channels", channels)) == N
    assert seen(api) == N
    assert len(stored()) == 2 * N
