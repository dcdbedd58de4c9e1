"""``GET /export``: all records of a kind as stored, so that users who leave can take everything.

Lists show names instead of ids, and leave out fields that clients of the Alyx REST contract do not
expect. The export has the ids, in a form that ``POST /import`` accepts. Passwords and tokens are
not part of any record.
"""

from __future__ import annotations

import json
from typing import Any

from chalice.app import Blueprint

from functions.api.call import Call
from functions.api.engine.declarations import RESOURCES, Body, Resource, Row
from functions.api.engine.plan import is_document
from functions.api.errors import Invalid
from shared import catalog
from shared.model import moment
from shared.records.where import Where

routes = Blueprint(__name__)

MOST_ROWS = 1_000
"""Most rows of an answer."""

MOST_BYTES = 3_000_000
"""Most bytes of an answer; Lambda's answers hold six million."""


@routes.route("/export", methods=["GET"])
def give_away() -> dict[str, Any]:
    """Return rows of ``resource`` after the key ``after``, and the key to continue from."""
    call = Call(routes.current_request)
    resource = RESOURCES.get(call.query.get("resource", ""))
    if resource is None or not is_document(resource):
        names = sorted(name for name, declared in RESOURCES.items() if is_document(declared))
        raise Invalid({"resource": [f"One of {', '.join(names)}."]})
    after = call.query.get("after")
    wheres = [Where(resource.key, "gt", after)] if after else []
    selection = catalog.table(resource.kind).select(wheres, order=(resource.key,))
    rows: list[Body] = []
    size = 0
    for row in selection.page(0, MOST_ROWS):
        record = _stored(resource, row)
        size += len(json.dumps(record))
        if rows and size > MOST_BYTES:
            break
        rows.append(record)
    more = len(rows) < len(selection)
    return {"rows": rows, "next": rows[-1][resource.key] if rows and more else None}


def _stored(resource: Resource, row: Row) -> Body:
    """Return a record with its id, its stored choices, and its times on the lab's clock."""
    record: Body = {"id": row.get("id")}
    for name, spec in resource.fields.items():
        if spec.hidden:
            continue
        value = row.get(name)
        record[name] = moment.naive(value) if spec.type == "datetime" and value else value
    return record
