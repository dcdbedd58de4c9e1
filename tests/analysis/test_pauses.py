"""Builds of cache tables during an import leave pauses, and the last change is not forgotten."""

from __future__ import annotations

from typing import Any

import pytest

from functions.analysis import handler
from functions.analysis.pauses import CLAIM_SECONDS, PER_BUILD, KeptPauses, Pauses, PauseTimes
from shared.model.messages import TablesChanged
from shared.model.prefixes import PAUSES
from shared.records import aws, env
from tests.flow import Flow


class Memory:
    """What all processes of the function share."""

    def __init__(self) -> None:
        self.times = PauseTimes()
        self.reads = 0

    def read(self) -> PauseTimes:
        self.reads += 1
        return self.times

    def write(self, times: PauseTimes) -> None:
        self.times = times


class World:
    """A clock, a build that takes a while, and the messages that were sent."""

    def __init__(self) -> None:
        self.now = 100.0
        self.took = 3.0
        self.built: list[float] = []
        self.sent: list[tuple[float, int]] = []
        self.memory = Memory()

    def build(self) -> dict[str, Any]:
        self.now += self.took
        self.built.append(self.now)
        return {}

    def notify(self, queue: str, message: Any, delay: int = 0) -> None:
        assert (queue, message) == ("analysis", TablesChanged())
        self.sent.append((self.now, delay))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(handler, "_pauses", Pauses(world.memory, lambda: world.now))
    monkeypatch.setattr(handler, "_tables", world.build)
    monkeypatch.setattr(handler.queues, "notify", world.notify)
    return world


def test_an_import_of_an_hour_builds_for_a_tenth_of_it_and_once_more_after_its_end(
    world: World,
) -> None:
    # Given an import, of which the journal tells every half minute, for an hour
    told = [100.0 + 30 * place for place in range(120)]
    waiting = list(told)
    # When each message is handled, and those that are put off come again
    while waiting:
        world.now = max(world.now, waiting.pop(0))
        before = len(world.sent)
        handler.act({"kind": "tables"}, None)
        waiting = sorted(waiting + [at + delay for at, delay in world.sent[before:]])
    # Then few builds were made, and the last of them after the last record
    assert len(world.built) * world.took <= (told[-1] - told[0]) / PER_BUILD + 2 * world.took
    assert world.built[-1] > told[-1]
    assert all(0 < delay <= handler.MOST_DELAY for _, delay in world.sent)
    # And no message was put off twice over: one waits for each build
    assert len(world.sent) <= len(world.built)
    # And each message read the pause once
    assert world.memory.reads == len(told) + len(world.sent)


def test_short_builds_follow_each_other_and_a_failed_one_is_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.took = 0.2
    for _ in range(3):
        assert handler.act({"kind": "tables"}, None) == {}
    assert (len(world.built), world.sent) == (3, [])
    # When a build fails, then nothing keeps the next one from being made
    world.took = 50.0

    def fails() -> dict[str, Any]:
        world.build()
        raise RuntimeError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(handler, "_tables", fails)
        with pytest.raises(RuntimeError):
            handler.act({"kind": "tables"}, None)
    handler.act({"kind": "tables"}, None)
    assert len(world.built) == 5
    # And a pause of hours is asked for in pieces
    world.took = 3600.0
    world.now += PER_BUILD * 50
    handler.act({"kind": "tables"}, None)
    handler.act({"kind": "tables"}, None)
    assert world.sent == [(world.now, handler.MOST_DELAY)]
    world.now += handler.MOST_DELAY
    handler.act({"kind": "tables"}, None)
    assert world.sent[1:] == [(world.now, handler.MOST_DELAY)]


def test_while_one_process_builds_another_waits_and_then_builds_what_came_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given builds that take long by now
    handler.act({"kind": "tables"}, None)
    world.now += 1000
    other = Pauses(world.memory, lambda: world.now)
    seen: list[Any] = []

    def meanwhile() -> dict[str, Any]:
        world.now += 1
        seen.append(other.put_off(handler.MOST_DELAY))
        return world.build()

    # When one builds, then another that hears of changes meanwhile is put off
    monkeypatch.setattr(handler, "_tables", meanwhile)
    handler.act({"kind": "tables"}, None)
    assert seen[0].left == CLAIM_SECONDS - 1
    # and no longer than that if the first dies without a word
    world.memory.write(PauseTimes(world.now + CLAIM_SECONDS, took=3.0))
    world.now += CLAIM_SECONDS
    assert other.put_off(handler.MOST_DELAY) is None
    # A build that is short again leaves neither pause nor claim
    world.took = 0.2
    monkeypatch.setattr(handler, "_tables", world.build)
    handler.act({"kind": "tables"}, None)
    assert world.memory.times == PauseTimes()


def test_another_process_of_the_function_knows_of_the_pause(
    world: World, flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a build by a process that has ended since
    monkeypatch.setattr(handler, "_pauses", Pauses(KeptPauses(), lambda: world.now))
    handler.act({"kind": "tables"}, None)
    # When others hear of changes, then they wait, and one of them asks again
    for _ in range(2):
        monkeypatch.setattr(handler, "_pauses", Pauses(KeptPauses(), lambda: world.now))
        handler.act({"kind": "tables"}, None)
    assert len(world.built) == len(world.sent) == 1
    world.now += PER_BUILD * world.took + 1
    handler.act({"kind": "tables"}, None)
    assert len(world.built) == 2


@pytest.mark.parametrize("content", [b"", b"{", b'{"until": "soon"}', b'{"until": 1e300}'])
def test_what_is_no_pause_keeps_nobody_waiting(flow: Flow, content: bytes) -> None:
    aws.client("s3").put_object(Bucket=env.data_bucket(), Key=PAUSES, Body=content)
    assert Pauses(KeptPauses()).put_off(handler.MOST_DELAY) is None
