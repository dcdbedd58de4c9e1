"""The eight statuses of a task and the legal steps between them.

Names and numbers are those of the Alyx REST contract (``tasks.status``).
"""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """Status of a task; the value is Alyx's number, ``label`` its name on the wire."""

    WAITING = 20
    HELD = 25
    STARTED = 30
    ERRORED = 40
    ABANDONED = 45
    EMPTY = 50
    INCOMPLETE = 55
    COMPLETE = 60

    @property
    def label(self) -> str:
        """Name on the wire, as ``Waiting``."""
        return self.name.capitalize()

    @classmethod
    def parse(cls, value: str | int) -> Status:
        """Read a status by name (any case) or number.

        Raises
        ------
        UnknownStatus
            The value is none of the eight.
        """
        try:
            return cls(value) if isinstance(value, int) else cls[value.upper()]
        except (KeyError, ValueError, AttributeError):
            raise UnknownStatus(value) from None


LABELS = [status.label for status in Status]

ACTIVE = frozenset({Status.WAITING, Status.HELD, Status.STARTED})
"""Statuses of unfinished work; the others are terminal."""

TERMINAL = frozenset(Status) - ACTIVE

SATISFIED = frozenset({Status.COMPLETE, Status.INCOMPLETE})
"""A parent in one of these lets its children run (ibllib's rule)."""

RESULTS = frozenset({Status.COMPLETE, Status.INCOMPLETE, Status.EMPTY, Status.ERRORED})
"""Statuses in which a run may end."""

ENDED = TERMINAL - {Status.ABANDONED}
"""Statuses after a run; it is repeated when its inputs change."""

STEPS: dict[Status, frozenset[Status]] = {
    Status.WAITING: frozenset({Status.STARTED, Status.HELD, Status.ABANDONED, Status.ERRORED}),
    Status.HELD: frozenset({Status.WAITING, Status.STARTED, Status.ABANDONED, Status.ERRORED}),
    Status.STARTED: frozenset({Status.WAITING, Status.HELD, Status.ABANDONED}) | RESULTS,
    **{
        ended: frozenset({Status.WAITING, Status.HELD, Status.STARTED, Status.ABANDONED})
        for ended in ENDED
    },
    Status.ABANDONED: frozenset({Status.WAITING}),
}
"""Legal steps. A run starts from Waiting, or in place from any ended task (a re-run by hand). A
task that must run again but waits for a parent is held. An abandoned task must first be set back
to Waiting."""


class UnknownStatus(ValueError):
    """A status that is none of the eight."""

    def __init__(self, value: object) -> None:
        super().__init__(f'"{value}" is not a task status; choose one of {", ".join(LABELS)}')


class IllegalStep(ValueError):
    """A step between two statuses that the state machine does not allow."""

    def __init__(self, old: Status, new: Status) -> None:
        legal = ", ".join(status.label for status in sorted(STEPS[old]))
        super().__init__(f"a task cannot go from {old.label} to {new.label} (only to {legal})")
        self.old, self.new = old, new


def step(old: Status, new: Status) -> bool:
    """Check one step; staying in the same status changes nothing and is always legal.

    Returns
    -------
    bool
        Whether the step is a change.

    Raises
    ------
    IllegalStep
        The state machine has no such step.
    """
    if old == new:
        return False
    if new not in STEPS[old]:
        raise IllegalStep(old, new)
    return True
