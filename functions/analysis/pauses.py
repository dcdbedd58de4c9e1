"""Pauses between builds of what holds all records: an import does not pay for each minute."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PER_BUILD = 10
"""Least pause after a build, as a multiple of the time it took."""

UNNOTICED_SECONDS = 1.0
"""Builds as short as this are followed by no pause."""


class Pauses:
    """The pause after the last build of this process; a build takes as long as there are records.

    Cache tables and snapshots hold all records, so that building them each half minute of an
    import of `n` records would cost `n` squared. With pauses it costs at most a tenth of the time.

    Parameters
    ----------
    clock : callable
        Returns seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = 0.0
        self._asked_until = 0.0

    @contextmanager
    def build(self) -> Iterator[None]:
        """Time a build; it may begin at any time."""
        begun = self._clock()
        yield
        took = self._clock() - begun
        self._until = begun + took + (PER_BUILD * took if took > UNNOTICED_SECONDS else 0)

    def left(self) -> float:
        """Return the seconds until the next build may begin; 0 if it may now."""
        return max(0.0, self._until - self._clock())

    def ask(self, most: int) -> int | None:
        """Return after how many seconds to ask again for the next build, at most ``most``.

        None if somebody was told so before, and has not asked since.
        """
        now = self._clock()
        if now < self._asked_until:
            return None
        delay = min(most, 1 + int(self.left()))
        self._asked_until = now + delay
        return delay
