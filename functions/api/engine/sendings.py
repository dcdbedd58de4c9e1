"""Repeated requests: a request that is sent again, because its answer was lost, is done once.

A device names each request by the header ``X-Fornix-Group`` (a UUID), which becomes the group of
the audit trail. The writes of the request include a note that it was done. A batch keeps its whole
answer (`functions.api.routes.batch`); other routes answer a repeat by saying that it was done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from functions.api.engine import read_values
from functions.api.errors import ApiError, Invalid
from shared.records import answers
from shared.records.table import Record
from shared.records.transactions import Transaction

if TYPE_CHECKING:
    from functions.api.call import Call

HEADER = "x-fornix-group"


def group_of(call: Call) -> str | None:
    """Return the group that a request names, for its first plan only.

    Raises
    ------
    Invalid
        400 if it is not a UUID.
    """
    header = call.request.headers.get(HEADER)
    if not header or call.is_begun:
        return None
    if not read_values.is_uuid(header):
        raise Invalid({"X-Fornix-Group": ["Must be a valid UUID."]})
    call.is_begun = True
    return str(header).lower()


def check_new(call: Call, group: str) -> None:
    """Answer a repeated request by an exception with status 200.

    Raises
    ------
    ApiError
        200 if the group was this request, 409 if it was another one.
    """
    previous = answers.of_group(group).get(answers.WHOLE)
    if previous is None:
        return
    if previous.who != call.who.username or previous.asked != _asked(call):
        raise ApiError(409, "This group was sent before and was another; give it a new id.")
    raise ApiError(200, "This was done before; nothing was done again.", group=group)


def noted(call: Call, group: str) -> Callable[[Transaction], None]:
    """Return a function that adds the note of a done group to a transaction."""

    def note(writes: Transaction) -> None:
        who, digest = call.who.username, _asked(call)
        answer = answers.answer(group, answers.WHOLE, who, digest, [], call.path)
        writes.save(answer, Record.pk.does_not_exist())

    return note


def _asked(call: Call) -> str:
    return answers.digest([call.method, call.path, call.data])
