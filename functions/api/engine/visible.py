"""What of a resource a caller may see, as conditions on the index."""

from __future__ import annotations

from functions.api.call import Call
from functions.api.engine import filters
from functions.api.engine.declarations import KINDS, Resource
from shared import catalog
from shared.catalog.versions import Selection
from shared.model import moment
from shared.model.people import Caller
from shared.records.where import Either, Where


def public_sessions() -> Where:
    """Return the condition on sessions that anybody may see: public and not under embargo."""
    today = moment.now().date().isoformat()
    return Where("embargo_until", "test", lambda until: until is None or until <= today)


def visible_to(who: Caller, resource: Resource) -> list[Where]:
    """Return the conditions that hide from a caller what is not public."""
    if not who.is_public:
        return []
    shown = [Where("public", "exact", True), public_sessions()]
    if resource.kind == "session":
        return shown
    if resource.access.read == "public" and not resource.public_by:
        return []
    sessions = catalog.table("session").select(shown)
    if resource.kind == "subject":
        return [Where("nickname", "in", sessions.values("subject"))]
    if not resource.public_by:
        return [Where("id", "in", set())]
    of_session = Where(resource.public_by, "in", sessions.values("id"))
    if resource.kind == "dataset":
        released = catalog.table("tag").select([Where("public", "exact", True)]).values("name")
        return [Either(value=[of_session, Where("tags", "in", released)])]
    return [of_session]


def selector(call: Call, as_of: str | None = None) -> filters.Select:
    """Return the look-up of related records, as the caller may see them."""

    def select(kind: str, wheres: list[Where]) -> Selection:
        seen = visible_to(call.who, KINDS[kind])
        return catalog.table(kind).select([*wheres, *seen], as_of=as_of)

    return select
