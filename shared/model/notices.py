"""Words of notices: the states of a notice, and the outcomes of sending it."""

from __future__ import annotations

from enum import StrEnum

HOURS = r"((?:[01]\d|2[0-3]):[0-5]\d)-((?:[01]\d|2[0-3]):[0-5]\d)"
"""Quiet hours, as ``22:00-07:00``."""


class State(StrEnum):
    """State of a notice, as stored; the first three are Alyx's."""

    WAITS = "to-send"
    SENT = "sent"
    FAILED = "no"
    READ = "read"


class Outcome(StrEnum):
    """Outcome of one way of informing a person.

    An e-mail is *sending* until the mail service has answered, *sent* once the service has
    accepted it, and *bounced* or *complained* if the service says so later.
    """

    SHOWN = "shown"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    NOWHERE = "no address"
