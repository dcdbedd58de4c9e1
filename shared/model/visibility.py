"""Facts that decide the visibility of a record, and its audience."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Audience(StrEnum):
    """The people who may see a record."""

    PUBLIC = "public"
    """Anybody."""
    ACCOUNT = "account"
    """Everybody with an account: the laboratories of a collaboration share their data."""


class Visibility(msgspec.Struct, frozen=True):
    """The facts of a record that decide its visibility.

    Attributes
    ----------
    public : bool
        Whether its session is marked public.
    embargo_until : str, optional
        First day (ISO date) of its session in public, in the calendar of the lab.
    timezone : str
        IANA name of the lab's zone, in which that day begins.
    tags : tuple of str
        Tags of a dataset; none of a session.
    """

    public: bool = False
    embargo_until: str | None = None
    timezone: str = "UTC"
    tags: tuple[str, ...] = ()
