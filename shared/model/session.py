"""Sessions: the fields that a client may give a new one."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from shared.model.limits import TEXT_CHARACTERS

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Names = Annotated[tuple[Name, ...], msgspec.Meta(max_length=100)]
Instant = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class SessionMetadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Optional fields of a new session; types and bounds are those of the session's resource.

    Attributes
    ----------
    start_time, end_time : str, optional
        ISO times; naive ones are the lab's wall clock.
    json : dict, optional
        Further notes of the rig.
    """

    task_protocol: Annotated[str, msgspec.Meta(max_length=1023)] | None = None
    projects: Names | None = None
    procedures: Names | None = None
    users: Names | None = None
    start_time: Instant | None = None
    end_time: Instant | None = None
    location: Name | None = None
    json: dict[str, Any] | None = None
    narrative: Annotated[str, msgspec.Meta(max_length=TEXT_CHARACTERS)] | None = None
    type: Annotated[str, msgspec.Meta(max_length=255)] | None = None
    synthetic: bool | None = None

    def given(self) -> dict[str, Any]:
        """Return the fields that are not empty, as plain values."""
        values = msgspec.to_builtins(self)
        return {name: value for name, value in values.items() if value not in (None, "", [])}
