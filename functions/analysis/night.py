"""The nightly build: all that events have left out, in several nights if there is much.

A night has the time of one run of the function. Its parts (the site, each lab's pages, the tables)
look at every mouse, so that a large institute's need more. The next run goes on with the mouse
after the last one, and comes to the others later: nothing is out of reach.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec
from aws_lambda_powertools import Logger

from shared.model.json import Faulty
from shared.model.prefixes import NIGHT
from shared.records import objects

Pace = Callable[[Iterable[str]], Iterable[str]]
"""Passes names on, in the order in which they are to be done, while there is time."""

logger = Logger(service="analysis", child=True)


class Stopped(msgspec.Struct, frozen=True):
    """Where a run ran out of time: its part, and the last mouse that was done there."""

    part: str = ""
    name: str = ""


class Night:
    """One run of the nightly build.

    Parameters
    ----------
    parts : sequence of str
        Names of the parts, in order.
    left : callable
        Returns the time left, in ms.
    margin : float
        Time kept back for the lists, ms; half of it is for pictures of what was done.
    """

    def __init__(self, parts: Sequence[str], left: Callable[[], float], margin: float) -> None:
        self._parts = parts
        self._left = left
        self._margin = margin
        self._done: set[tuple[str, str]] = set()
        self._before = _read()
        self._stopped: Stopped | None = None

    def turns(self) -> Iterator[tuple[str, Pace]]:
        """Yield the parts in the order of this night, each with its pace.

        It begins after the mouse that the last night reached. That one's part comes a second time
        at the end, up to this mouse.
        """
        parts, begin = self._parts, self._before
        if begin.part not in parts:  # no night was cut short, or its lab is gone
            begin = Stopped(parts[0])
        place = parts.index(begin.part)
        yield begin.part, self._pace(begin.part, after=begin.name)
        for part in (*parts[place + 1 :], *parts[:place]):
            yield part, self._pace(part)
        if begin.name:
            yield begin.part, self._pace(begin.part, up_to=begin.name)

    def _pace(self, part: str, after: str = "", up_to: str | None = None) -> Pace:
        """Return the pace of a part's names after one, and up to another."""

        def pace(names: Iterable[str]) -> Iterable[str]:
            last = after
            for name in sorted(names):
                if name <= after or (up_to is not None and name > up_to):
                    continue
                if (part, name) in self._done:  # its pictures
                    if self._left() < self._margin / 2:
                        return
                    yield name
                    continue
                if self._stopped is None and self._left() < self._margin:
                    logger.warning("out of time, the rest follows with the next run")
                    self._stopped = Stopped(part, last)
                if self._stopped is not None:
                    return
                self._done.add((part, name))
                yield name
                last = name

        return pace

    def end(self) -> None:
        """Keep where the next run goes on."""
        reached = self._stopped or Stopped()
        if reached != self._before:
            objects.put_json(NIGHT, reached)


def _read() -> Stopped:
    try:
        return objects.read_object(NIGHT, Stopped) or Stopped()
    except Faulty:  # then it begins anew
        logger.exception("%s cannot be read", NIGHT)
        return Stopped()
