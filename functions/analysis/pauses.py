"""Pauses between builds of what holds all records: an import does not pay for each minute."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import msgspec

from shared.model.prefixes import PAUSES
from shared.records import aws, env

PER_BUILD = 10
"""Least pause after a build, as a multiple of the time it took."""

UNNOTICED_SECONDS = 1.0
"""Builds as short as this are followed by no pause."""

CLAIM_SECONDS = 120.0
"""How long others wait for a build that has begun, if the last one was not short; one that dies
holds them up no longer."""

LONGEST_SECONDS = 86_400.0
"""A pause that ends later than this from now is none: the clock was wrong."""


class PauseTimes(msgspec.Struct, frozen=True):
    """When the next build may begin, and when somebody will ask for it, in seconds of 1970.

    `took` is the length of the last build that was no short one, in seconds.
    """

    until: float = 0.0
    asked_until: float = 0.0
    took: float = 0.0


class PutOff(msgspec.Struct, frozen=True):
    """How long a build has to wait, in seconds, and after how many to ask again for it.

    `ask_after` is None if somebody was told so before, and has not asked since.
    """

    left: float
    ask_after: int | None = None


class PauseMemory(Protocol):
    """Where pauses are kept for the function's other processes."""

    def read(self) -> PauseTimes:
        """Return what was written last; no pause if there is nothing."""

    def write(self, times: PauseTimes) -> None:
        """Keep times."""


class KeptPauses:
    """Pauses as an object of the bucket: a process may end after a build, and another begin."""

    def read(self) -> PauseTimes:
        """Return what was written last; what cannot be read is no pause."""
        client = aws.client("s3")
        try:
            answer = client.get_object(Bucket=env.data_bucket(), Key=PAUSES)
            return msgspec.json.decode(answer["Body"].read(), type=PauseTimes)
        except (client.exceptions.NoSuchKey, msgspec.DecodeError):
            return PauseTimes()

    def write(self, times: PauseTimes) -> None:
        """Keep times."""
        body = msgspec.json.encode(times)
        aws.client("s3").put_object(Bucket=env.data_bucket(), Key=PAUSES, Body=body)


class Pauses:
    """The pause after the last build; a build takes as long as there are records.

    Cache tables and snapshots hold all records, so that building them each half minute of an
    import of `n` records would cost `n` squared. With pauses it costs at most a tenth of the time.

    Parameters
    ----------
    memory : PauseMemory
        Where the times are kept.
    clock : callable
        Returns seconds since 1970.
    """

    def __init__(self, memory: PauseMemory, clock: Callable[[], float] = time.time) -> None:
        self._memory = memory
        self._clock = clock
        # Read by `put_off`, so that the build that may begin now need not read it again
        self._seen: PauseTimes | None = None

    @contextmanager
    def build(self) -> Iterator[None]:
        """Time a build; it may begin at any time, and others are put off meanwhile."""
        before, self._seen = self._seen or self._memory.read(), None
        begun = self._clock()
        if before.took:
            self._memory.write(msgspec.structs.replace(before, until=begun + CLAIM_SECONDS))
        try:
            yield
        except BaseException:
            if before.took:
                self._memory.write(before)
            raise
        took = self._clock() - begun
        if took > UNNOTICED_SECONDS:
            self._memory.write(PauseTimes(begun + took + PER_BUILD * took, took=took))
        elif before.took:
            self._memory.write(PauseTimes())

    def put_off(self, most: int) -> PutOff | None:
        """Return how long the next build has to wait; None if it may begin now.

        Parameters
        ----------
        most : int
            Seconds after which to ask again at the latest.
        """
        times = self._memory.read()
        if not (left := self._ahead(times.until)):
            self._seen = times
            return None
        if self._ahead(times.asked_until):
            return PutOff(left)
        delay = min(most, 1 + int(left))
        self._memory.write(msgspec.structs.replace(times, asked_until=self._clock() + delay))
        return PutOff(left, delay)

    def _ahead(self, moment: float) -> float:
        """Return the seconds until a moment; 0 if it is past or impossibly far."""
        left = moment - self._clock()
        return left if 0 < left <= LONGEST_SECONDS else 0.0
