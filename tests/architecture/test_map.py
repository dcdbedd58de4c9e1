"""``docs/architecture.md`` is true: its map is what the rooms say, its answers lead somewhere."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.architecture.house import PAGE, ROOT, drawn, rooms, says, written


@pytest.mark.parametrize("room", rooms(), ids=lambda room: str(room.relative_to(ROOT)))
def test_every_room_says_what_it_is_for(room):
    assert says(room), f"{room.name}/__init__.py: say in a sentence what the room is for"


def test_the_map_is_that_of_the_rooms():
    assert written() == drawn(), "run `make map`"


def test_the_answers_lead_somewhere():
    table = PAGE.read_text().partition("## Where is it?")[2]
    places = re.findall(r"`([\w/]+(?:/|\.py))`", table)

    assert len(places) >= 5
    assert [place for place in places if not (ROOT / place).exists()] == []
    header = (ROOT / "shared/codec/chunk.py").read_text()
    assert "class ChunkHeader" in header


def test_the_layers_are_those_that_are_checked():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = (each["layers"] for each in contracts["contracts"] if each["id"] == "downwards")
    block = PAGE.read_text().partition("\n    infra")[2].partition("\n\n")[0]

    assert f"infra{block}".splitlines() == [layers[0], *(f"    {each}" for each in layers[1:])]
