"""Words of notices: how far one is, and how a way of telling ended."""

from __future__ import annotations

import re
from enum import StrEnum

HOURS = re.compile(r"((?:[01]\d|2[0-3]):[0-5]\d)-((?:[01]\d|2[0-3]):[0-5]\d)")
"""Quiet hours, as ``22:00-07:00``."""


class State(StrEnum):
    """How far a notice is, as it is stored; the first three are Alyx's."""

    WAITS = "to-send"
    SENT = "sent"
    FAILED = "no"
    READ = "read"


class Outcome(StrEnum):
    """How a way of telling a person ended.

    An e-mail is *sending* until the mail service has answered, *sent* when it has taken it, and
    *bounced* or *complained* when it says so later.
    """

    SHOWN = "shown"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    NOWHERE = "no address"
