"""Sessions: the declaration, the filters that reach into datasets, and their store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from functions.api import permissions
from functions.api.engine import read_values, show_values
from functions.api.engine.declarations import (
    KINDS,
    Access,
    Body,
    Resource,
    Row,
    choice,
    date,
    datetime,
    declare,
    flag,
    integer,
    json,
    ref,
    refs,
    text,
)
from functions.api.engine.filter_grammar import BadFilter, days, number_of
from functions.api.engine.filters import Select
from functions.api.engine.stores import Store
from functions.api.errors import ApiError, Invalid, not_found
from shared.records import queues, search, sessions, times
from shared.records.errors import Exists, NotFound
from shared.records.items import QC, Dataset, Document, Session
from shared.records.where import Where

if TYPE_CHECKING:
    from functions.api.call import Call

VISIBILITY = frozenset({"public", "embargo_until"})
"""Fields that say who may see a session; the site follows when they change."""


def personal_repositories() -> set[str]:
    """Return the repositories that are personal: their files are not there for everybody."""
    personal = Where("globus_is_personal", "exact", True)
    return search.table("data-repository").select([personal]).values("name")


def on_server() -> Where:
    """Return the condition on datasets that a repository for everybody has the file."""
    personal = personal_repositories()
    return Where("repositories", "test", lambda name: name is not None and name not in personal)


def quality(name: str, value: str) -> int:
    """Return the number of a QC name.

    Raises
    ------
    BadFilter
        If there is no such outcome.
    """
    found = QC.get(value.strip().upper())
    if found is None and value.strip() in {str(each) for each in QC.values()}:
        found = int(value)
    if found is None:
        raise BadFilter(f"{value!r} is not one of {', '.join(QC)}.", name)
    return found


def good_enough(call: Call) -> Where:
    """Return the condition on the QC of datasets that are asked for by name; FAIL is taken."""
    most = call.query.get("dataset_qc_lte") or "FAIL"
    return Where("qc", "lte", quality("dataset_qc_lte", most))


def _date_range(value: str, call: Call, select: Select) -> list[Where]:
    first, last = days("date_range", value)
    return [Where("start_time", "gte", first), Where("start_time", "lt", last)]


def _with_datasets(rows: list[list[Where]], select: Select, field: str = "id") -> list[Where]:
    """Return the conditions that a session has datasets of each kind."""
    return [Where(field, "in", select("dataset", each).values("session")) for each in rows]


def _datasets(value: str, call: Call, select: Select) -> list[Where]:
    good, there = good_enough(call), on_server()
    names = read_values.listed(value)
    return _with_datasets([[Where("name", "exact", name), good, there] for name in names], select)


def _dataset_qc(value: str, call: Call, select: Select) -> list[Where]:
    most = quality("dataset_qc_lte", value)
    if call.query.get("datasets"):
        return []
    return _with_datasets([[Where("qc", "lte", most)]], select)


def _dataset_types(value: str, call: Call, select: Select) -> list[Where]:
    return _with_datasets(
        [[Where("dataset_type", "exact", name)] for name in read_values.listed(value)], select
    )


def _users(value: str, call: Call, select: Select) -> list[Where]:
    return [Where("users", "exact", name) for name in read_values.listed(value)]


def _performance(name: str, lookup: str) -> Any:
    def condition(value: str, call: Call, select: Select) -> list[Where]:
        limit = number_of(name, value)
        rows = search.table("session").select([Where("n_trials", "gt", 0)])
        found = set()
        for row in rows.all(("id", "n_trials", "n_correct_trials")):
            if row.get("n_correct_trials") is not None:
                percent = 100 * row["n_correct_trials"] / row["n_trials"]
                if (percent >= limit) if lookup == "gte" else (percent <= limit):
                    found.add(row["id"])
        return [Where("id", "in", found)]

    return condition


def _qc(value: str, call: Call, select: Select) -> list[Where]:
    return [Where("qc", "exact", quality("qc", value))]


def _histology(value: str, call: Call, select: Select) -> list[Where]:
    done = select("session", [Where("procedures", "icontains", "histology")])
    wanted = value.strip().lower() not in ("false", "0")
    return [Where("subject", "in", done.values("subject"), not wanted)]


def _tag(value: str, call: Call, select: Select) -> list[Where]:
    return _with_datasets([[Where("tags", "icontains", value)]], select)


def _parent(value: str, call: Call, select: Select) -> list[Where]:
    return [Where("parent_session", "exact", read_values.last_part(value).lower())]


def atlas(lookup: str) -> Any:
    """Return the filter of sessions by where their probes or images are in the brain."""

    def condition(value: str, call: Call, select: Select) -> list[Where]:
        from functions.api.resources.ephys import insertions_in, views_in

        sessions_with = select("insertion", [Where("id", "in", insertions_in(lookup, value))])
        seen = sessions_with.values("session")
        images = select("field-of-view", [Where("id", "in", views_in(lookup, value))])
        return [Where("id", "in", seen | images.values("session"))]

    return condition


def check_uuid4(value: Any) -> str:
    """Return the id that a client gives a new record.

    Raises
    ------
    Invalid
        If it is not a UUID of version 3 or 4: the ONE client reads no other.
    """
    if not read_values.is_uuid(value) or str(value)[14] not in "34":
        raise Invalid({"id": ["Must be a UUID of version 4."]})
    return str(value).lower()


class Sessions(Store):
    """Sessions, with their datasets and what else is in their partition."""

    def get(self, resource: Resource, key: str, call: Call) -> Body:
        """Return a session with its contents.

        Raises
        ------
        ApiError
            404.
        """
        key = key.lower()
        try:
            # An eventually consistent read costs half; the feed tells whether it was behind.
            session, datasets, inside = sessions.contents(key)
            if _behind(session, datasets, inside):
                session, datasets, inside = sessions.contents(key, strong=True)
        except NotFound:
            if not search.table("session").newest(key):
                raise not_found("Session") from None
            session, datasets, inside = sessions.contents(key, strong=True)
        return {**session.row(), "_datasets": datasets, "_inside": inside, "_session": session}

    def create(self, resource: Resource, data: Mapping[str, Any], call: Call) -> Body:
        """Create a session; the users default to the caller.

        Raises
        ------
        Invalid
            400, also if the subject has a session of that number on that day.
        """
        body = read_values.read_body(resource, data, call, partial=False)
        eid = check_uuid4(data["id"]) if data.get("id") else None
        subject = search.table("subject").get(body.pop("subject")) or {}
        lab = body.pop("lab") or subject["lab"]
        permissions.check_lab(call.who, lab)
        body["users"] = body["users"] or [call.who.username]
        start = body.pop("start_time") or times.now().isoformat(timespec="seconds")
        try:
            made = sessions.create(
                subject=subject["nickname"],
                lab=lab,
                start_time=start,
                number=body.pop("number"),
                who=call.who.username,
                id=eid,
                **{name: value for name, value in body.items() if value is not None},
            )
        except Exists as error:
            raise Invalid(
                {"non_field_errors": [str(error)], "existing": [str(error.key)]}
            ) from None
        return {**made.row(), "_datasets": [], "_inside": {}, "_session": made}

    def update(self, resource: Resource, key: str, data: Mapping[str, Any], call: Call) -> Body:
        """Change a session; absent fields stay as they are.

        Raises
        ------
        ApiError
            404, 403 if it is not of the caller's lab, 400 with messages per field.
        """
        new = read_values.read_body(resource, data, call, partial=True)
        _check_match(data, key, call)

        def edit(old: dict[str, Any]) -> dict[str, Any]:
            permissions.check_lab(call.who, old["lab"])
            for name in ("subject", "lab"):
                if new.get(name) not in (None, old[name]):
                    raise Invalid({name: [f"The {name} of a session cannot be changed."]})
            if "start_time" in new and new["start_time"] is None:
                raise Invalid({"start_time": ["This field may not be null."]})
            kept = {"subject", "lab"} | ({"number"} if new.get("number") is None else set())
            return {name: value for name, value in new.items() if name not in kept}

        try:
            sessions.update(key.lower(), edit, who=call.who.username)
        except NotFound:
            raise not_found("Session") from None
        except Exists as error:
            raise Invalid({"number": [str(error)]}) from None
        if not new.keys().isdisjoint(VISIBILITY):
            queues.tell("dispatch", kind="session.shown", session=key.lower())
        session, datasets, inside = sessions.contents(key.lower(), strong=True)
        return {**session.row(), "_datasets": datasets, "_inside": inside, "_session": session}

    def delete(self, resource: Resource, key: str, call: Call) -> None:
        """Delete a session; one with protected datasets only for an administrator.

        Raises
        ------
        ApiError
            404, 403.
        """
        from functions.api.resources.data import protected_tags

        try:
            session, datasets, inside = sessions.contents(key.lower(), strong=True)
        except NotFound:
            raise not_found("Session") from None
        permissions.check_lab(call.who, session.lab)
        protected = protected_tags()
        if call.who.role != "administrator" and any(
            set(item.tags or ()) & protected for item in datasets
        ):
            raise ApiError(
                403, "The session has protected datasets; only administrators can delete it."
            )
        from functions.api.resources.ephys import delete_tracks

        for insertion in inside.get("insertion", ()):
            delete_tracks(insertion.body, call)
        sessions.delete(session.id, who=call.who.username)


def _behind(
    session: Session, datasets: Sequence[Dataset], inside: Mapping[str, Sequence[Document]]
) -> bool:
    """Return whether the feed knows of something newer in a session than what was read."""
    read = {"session": {session.id: int(session.version)}}
    read["dataset"] = {f"{session.id}|{item.path}": int(item.edition) for item in datasets}
    for kind in ("insertion", "field-of-view", "note", "watering"):
        read[kind] = {item.id: int(item.version) for item in inside.get(kind, ())}
    return any(
        (key in versions) if row is None else versions.get(key, 0) < version
        for kind, versions in read.items()
        for key, (version, row) in search.table(kind).newest(session.id).items()
    )


def _check_match(data: Mapping[str, Any], key: str, call: Call) -> None:
    """Refuse a change of a session that was changed since the client read it (If-Match)."""
    wanted = call.request.headers.get("if-match")
    if not wanted:
        return
    row = search.table("session").get(key.lower())
    if row and wanted.strip('" ') != str(row.get("version")):
        raise ApiError(412, "The session was changed since you read it; read it again.")


def short_row(row: Row, call: Call) -> Body:
    """Return a session as rows of lists show it."""
    return {
        "id": row["id"],
        "subject": row["subject"],
        "start_time": row["start_time"],
        "number": row["number"],
        "lab": row["lab"],
        "projects": list(row["projects"]),
        "url": call.url(f"/sessions/{row['id']}"),
        "task_protocol": row["task_protocol"],
    }


def _show(shown: Body, row: Row, call: Call) -> Body:
    return shown if "_session" in row else short_row(row, call)


def _show_detail(shown: Body, row: Row, call: Call) -> Body:
    from functions.api.resources.data import session_dataset

    session: Session = row["_session"]
    inside: Mapping[str, Sequence[Document]] = row["_inside"]
    datasets: Sequence[Dataset] = row["_datasets"]
    repositories = {r["name"]: r for r in search.table("data-repository").rows()}
    shown["url"] = call.url(f"/sessions/{session.id}")
    shown["auto_datetime"] = session.auto_datetime
    shown["notes"] = _inner("note", inside, call)
    shown["wateradmin_session_related"] = [
        {
            "id": each.id,
            "name": each.body.get("name") or "",
            "water_type": each.body.get("water_type"),
            "water_administered": each.body.get("water_administered"),
        }
        for each in inside.get("watering", ())
    ]
    shown["data_dataset_session_related"] = [
        session_dataset(session, item, repositories, call)
        for item in datasets
        if downloadable(item, repositories)
    ]
    shown["probe_insertion"] = _inner("insertion", inside, call)
    shown["field_of_view"] = _inner("field-of-view", inside, call)
    return shown


def downloadable(item: Dataset, repositories: Mapping[str, Row]) -> bool:
    """Return whether a repository for everybody may have the file, once there is any such.

    A file of which nobody said where it is (exists None) is shown; one known to be absent is not.
    """
    if not any(each.get("globus_is_personal") is False for each in repositories.values()):
        return True
    return any(
        record[1] is not False
        and (
            record[0] is None or not (repositories.get(record[0]) or {}).get("globus_is_personal")
        )
        for record in item.records or []
    )


def _inner(kind: str, inside: Mapping[str, Sequence[Document]], call: Call) -> list[Body]:
    resource = KINDS[kind]
    return [show_values.show(resource, each.body, call) for each in inside.get(kind, ())]


SESSION = Resource(
    path="sessions",
    kind="session",
    model="actions.session",
    access=Access(read="public", rig="read create change", worker="read change"),
    lab="lab",
    public_by="id",
    store=Sessions(),
    fields={
        "subject": ref("subject", required=True, null=False),
        "users": refs("user"),
        "location": ref("location"),
        "procedures": refs("procedure"),
        "lab": ref("lab"),
        "projects": refs("project"),
        "type": text(null=True, maximum=255),
        "task_protocol": text(maximum=1023),
        "number": integer(minimum=0, maximum=999),
        "start_time": datetime(),
        "end_time": datetime(),
        "narrative": text(),
        "parent_session": ref("session", by="url"),
        "n_trials": integer(minimum=0),
        "n_correct_trials": integer(minimum=0),
        "extended_qc": json(),
        "qc": choice(QC, default=0, null=False),
        "json": json(),
        "auto_datetime": datetime(read_only=True),
        "name": text(null=True, read_only=True, hidden=False),
        "public": flag(param=False),
        "embargo_until": date(param=False),
        "synthetic": flag(param=False),
    },
    filters={
        "id": "id",
        "name": "name__icontains",
        "json": "json",
        "extended_qc": "extended_qc",
        "subject": "subject__iexact",
        "nickname": "subject__iexact",
        "lab": "lab__iexact",
        "location": "location__icontains",
        "task_protocol": "task_protocol__icontains",
        "procedures": "procedures__icontains",
        "project": "projects__icontains",
        "projects": "projects__icontains",
        "type": "type__iexact",
        "users": _users,
        "date_range": _date_range,
        "parent_session": _parent,
        "dataset_types": _dataset_types,
        "datasets": _datasets,
        "dataset_qc_lte": _dataset_qc,
        "performance_gte": _performance("performance_gte", "gte"),
        "performance_lte": _performance("performance_lte", "lte"),
        "qc": _qc,
        "tag": _tag,
        "histology": _histology,
        "atlas_acronym": atlas("acronym"),
        "atlas_id": atlas("id"),
        "atlas_name": atlas("name"),
    },
    reverse={
        "data_dataset_session_related": ("dataset", "session", "id"),
        "datasets": ("dataset", "session", "id"),
        "probe_insertion": ("insertion", "session", "id"),
        "field_of_view": ("field-of-view", "session", "id"),
        "tasks": ("task", "session", "id"),
        "wateradmin_session_related": ("watering", "session", "id"),
    },
    columns=("id", "subject", "start_time", "number", "lab", "projects", "task_protocol"),
    show=_show,
    show_detail=_show_detail,
    example={"subject": "FI_001", "start_time": "2024-07-01T10:00:00", "number": 1},
)
declare(SESSION)
