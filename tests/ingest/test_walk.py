"""The way of an upload through the rooms: straight, and no room entered more than twice."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from functions.ingest.finalise import finalise
from tests.flow import npy

ROOT = Path(__file__).resolve().parents[2]
START = "functions/ingest/finalise.py"
NO_ROOMS = ("shared/model/", "shared/records/items.py", "shared/uploads/keys.py")
"""What travels, and its address: asking a thing what it is leads nowhere."""


def room_of(frame: FrameType) -> str | None:
    """Return the product's file that a frame is of, None if it is another's."""
    path = Path(frame.f_code.co_filename)
    name = str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else ""
    return name if name.startswith(("functions/", "shared/")) else None


def caller_of(frame: FrameType) -> str | None:
    """Return the product's file that called, be it through a library."""
    back = frame.f_back
    while back is not None and (room := room_of(back)) is None:
        back = back.f_back
    return room if back is not None else None


def walked(step: Callable[[], Any]) -> tuple[list[str], Any]:
    """Return the rooms that `finalise` calls into, in order, and what it returns."""
    stays: list[str] = []

    def enter(frame: FrameType, event: str, _: Any) -> None:
        room = room_of(frame) if event == "call" else None
        if room in (None, START, *stays[-1:]) or room.startswith(NO_ROOMS):
            return
        if frame.f_code.co_name in ("__get__", "__set__"):  # a thing is asked what it is
            return
        if caller_of(frame) == START:
            stays.append(room)

    sys.setprofile(enter)
    try:
        done = step()
    finally:
        sys.setprofile(None)
    return stays, done


def test_an_upload_goes_straight_through_the_rooms(flow):
    files = {"alf/obj.times.npy": npy(1.0, 2.0), "alf/obj.values.npy": npy(3.0, 4.0)}
    answer = flow.open(files)
    flow.send(answer, files)

    stays, state = walked(lambda: finalise(answer["id"]))

    assert state == "registered"
    assert len(stays) <= 14
    assert len(set(stays)) <= 10
    assert max(Counter(stays).values()) <= 2
    page = (ROOT / "docs" / "architecture.md").read_text()
    told = page.partition("calls, in this order")[2].partition("\n\n")[0]
    assert stays == re.findall(r"`([\w/]+\.py)`", told)
