"""Sessions: the declaration and their store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from functions.api import permissions
from functions.api.engine import meanings, read_values, zones
from functions.api.engine.concurrency import check_match, merge_json
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
from functions.api.engine.plan import delete_if_there
from functions.api.engine.references import refuse_if_referred
from functions.api.engine.relations import check_references
from functions.api.engine.standing import check_record
from functions.api.engine.stores import Store
from functions.api.engine.visible import listable, nested, shown_briefly
from functions.api.errors import Invalid, not_found
from shared import catalog
from shared.access import policy
from shared.catalog import visible
from shared.model import moment
from shared.model.identity import nickname_of
from shared.model.messages import SessionShown
from shared.model.quality import QC
from shared.records import queues
from shared.records.errors import Exists, NotFound
from shared.records.items import Dataset, Document, Session
from shared.records.where import Where
from shared.sessions import store as sessions
from shared.sessions.contents import session_contents
from shared.sessions.delete import delete_session

if TYPE_CHECKING:
    from functions.api.call import Call
from functions.api.resources import session_filters
from functions.api.shown.datasets import session_dataset
from functions.api.shown.insertions import DATASETS, probe_of
from functions.api.shown.repositories import personal_repositories, repositories
from functions.api.shown.sessions import short_row
from shared.model import copies

VISIBILITY = frozenset({"public", "embargo_until"})
"""Fields that decide who may see a session; the site is updated when they change."""


def check_uuid4(value: Any) -> str:
    """Return the id that a client gives a new record.

    Raises
    ------
    Invalid
        If it is not a UUID of version 3 or 4: the ONE client reads no others.
    """
    if not read_values.is_uuid(value) or str(value)[14] not in "34":
        raise Invalid({"id": ["Must be a UUID of version 4."]})
    return str(value).lower()


def check_folder(subject: Row, lab: str) -> None:
    """Refuse a session of another lab's animal if the lab has an animal of the same nickname.

    Raises
    ------
    Invalid
        400: their sessions would have one folder.
    """
    others = meanings.keys_called(KINDS["subject"], nickname_of(subject["nickname"]))
    wheres = [Where("nickname", "in", others), Where("lab", "exact", lab)]
    if lab != subject["lab"] and len(catalog.table("subject").select(wheres)):
        text = (
            f"{lab} has a {nickname_of(subject['nickname'])} of its own; the sessions of the two"
        )
        raise Invalid({"lab": [f"{text} would share folders. Choose another lab."]})


class Sessions(Store):
    """Sessions, with their datasets and the other records in their partition."""

    def get(self, resource: Resource, key: str, call: Call) -> Body:
        """Return a session with its contents.

        Raises
        ------
        ApiError
            404.
        """
        key = key.lower()
        try:
            # An eventually consistent read costs half; the feed shows whether it was outdated.
            session, datasets, inside = session_contents(key)
            if _behind(session, datasets, inside):
                session, datasets, inside = session_contents(key, strong=True)
        except NotFound:
            if not catalog.table("session").newest(key):
                raise not_found("Session") from None
            session, datasets, inside = session_contents(key, strong=True)
        return {**session.row(), "_datasets": datasets, "_inside": inside, "_session": session}

    def create(self, resource: Resource, data: Mapping[str, Any], call: Call) -> Body:
        """Create a session; the users default to the caller.

        Raises
        ------
        Invalid
            400, also if the subject has a session of that number on that day.
        """
        body = read_values.read_body(resource, data, call, partial=False)
        permissions.check_fields(call, resource, None, body)
        check_references(call, resource, None, body)
        eid = check_uuid4(data["id"]) if data.get("id") else None
        subject = catalog.table("subject").get(body.pop("subject")) or {}
        lab = body.pop("lab") or subject["lab"]
        check_folder(subject, lab)
        new_session = {"lab": lab, "subject": subject.get("nickname")}
        check_record(call, resource, new_session, is_new=True)
        body["users"] = body["users"] or [call.who.username]
        start = body.pop("start_time") or moment.now().isoformat(timespec="seconds")
        try:
            session = sessions.create(
                subject=subject["nickname"],
                lab=lab,
                zone=zones.zone_of(lab) or "UTC",
                start_time=start,
                number=body.pop("number"),
                who=call.who.username,
                id=eid,
                animal=subject,
                **{name: value for name, value in body.items() if value is not None},
            )
        except Exists as error:
            raise Invalid(
                {"non_field_errors": [str(error)], "existing": [str(error.key)]}
            ) from None
        return {**session.row(), "_datasets": [], "_inside": {}, "_session": session}

    def update(self, resource: Resource, key: str, data: Mapping[str, Any], call: Call) -> Body:
        """Change a session; absent fields stay as they are.

        Raises
        ------
        ApiError
            404, 403 if it is not of the caller's lab, 400 with messages per field.
        """
        existing = catalog.table("session").get(key.lower())
        new = read_values.read_body(resource, data, call, partial=True, old=existing)

        def edit(old: dict[str, Any]) -> dict[str, Any]:
            check_match(call, _tag(old["version"]))
            check_record(call, resource, old)
            permissions.check_fields(call, resource, old, new)
            check_references(call, resource, old, new)
            for name in ("subject", "lab"):
                if new.get(name) not in (None, old[name]):
                    raise Invalid({name: [f"The {name} of a session cannot be changed."]})
            if "start_time" in new and new["start_time"] is None:
                raise Invalid({"start_time": ["This field may not be null."]})
            fixed = {"subject", "lab"} | ({"number"} if new.get("number") is None else set())
            merged = merge_json(resource, key.lower(), old, new, call)
            return {name: value for name, value in merged.items() if name not in fixed}

        try:
            sessions.update(key.lower(), edit, who=call.who.username)
        except NotFound:
            raise not_found("Session") from None
        except Exists as error:
            raise Invalid({"number": [str(error)]}) from None
        if not new.keys().isdisjoint(VISIBILITY):
            queues.notify("dispatch", SessionShown(key.lower()))
        session, datasets, inside = session_contents(key.lower(), strong=True)
        return {**session.row(), "_datasets": datasets, "_inside": inside, "_session": session}

    def delete(self, resource: Resource, key: str, call: Call) -> None:
        """Delete a session; one with protected datasets only for an administrator.

        Raises
        ------
        ApiError
            404, 403.
        """
        eid = key.lower()

        def check(session: Session) -> None:
            check_record(call, resource, session.row())
            check_match(call, _tag(session.version))

        def first() -> None:
            catalog.start_request()  # now read what was added meanwhile; the mark prevents more
            session, datasets, inside = session_contents(eid, strong=True)
            protected = permissions.protecting()
            if any(set(item.tags or ()) & protected for item in datasets):
                permissions.require(policy.may_delete_protected(call.who))
            refuse_if_referred(resource, session.row())
            for kind in PARTS:
                for document in inside.get(kind, ()):
                    delete_if_there(KINDS[kind], document.id, call)
            for kind in TRACKS:
                left = catalog.table(kind).select([Where("session", "exact", eid)])
                for record in left.all():
                    delete_if_there(KINDS[kind], str(record["id"]), call)

        try:
            delete_session(eid, who=call.who.username, check=check, first=first)
        except NotFound:
            raise not_found("Session") from None

    def etag(self, resource: Resource, row: Row) -> str:
        """Return the ETag of a session: its version."""
        return _tag(row["_session"].version)


PARTS = ("insertion", "field-of-view")
"""Kinds in a session's partition that have parts elsewhere."""

TRACKS = ("channel", "trajectory", "fov-location", "note")
"""Kinds outside of a session's partition that are deleted with it; deepest first."""


def _tag(version: Any) -> str:
    return f'"{int(version)}"'


def _behind(
    session: Session, datasets: Sequence[Dataset], inside: Mapping[str, Sequence[Document]]
) -> bool:
    """Return whether the feed has something newer in a session than the version read."""
    read = {"session": {session.id: int(session.version)}}
    read["dataset"] = {f"{session.id}|{item.path}": int(item.edition) for item in datasets}
    for kind in ("insertion", "field-of-view", "note", "watering"):
        read[kind] = {item.id: int(item.version) for item in inside.get(kind, ())}
    return any(
        (key in versions) if row is None else versions.get(key, 0) < version
        for kind, versions in read.items()
        for key, (version, row) in catalog.table(kind).newest(session.id).items()
    )


def _show(shown: Body, row: Row, call: Call) -> Body:
    return shown if "_session" in row else short_row(row, call)


def _show_detail(shown: Body, row: Row, call: Call) -> Body:
    session: Session = row["_session"]
    inside: Mapping[str, Sequence[Document]] = row["_inside"]
    datasets: Sequence[Dataset] = row["_datasets"]
    stores, personal = repositories(), personal_repositories()
    shown["url"] = call.url(f"/sessions/{session.id}")
    shown["auto_datetime"] = session.auto_datetime
    shown["notes"] = _inner("note", inside, call)
    shown["wateradmin_session_related"] = [
        {
            "id": watering.id,
            "name": watering.body.get("name") or "",
            "water_type": watering.body.get("water_type"),
            "water_administered": watering.body.get("water_administered"),
        }
        for watering in inside.get("watering", ())
        if listable(call, "watering", [watering.body])
    ]
    shown["data_dataset_session_related"] = [
        session_dataset(session, item, stores, call)
        for item in datasets
        if copies.maybe_for_everybody(item.records, personal)
    ]
    shown["probe_insertion"] = nested(call, "insertion", _insertions(inside, datasets))
    shown["field_of_view"] = _inner("field-of-view", inside, call)
    return _brief(shown, datasets, call) if shown_briefly(call, session.id) else shown


BRIEF = frozenset({"id", "subject", "start_time", "number", "lab", "projects", "task_protocol"})
"""Fields of a session in rows of lists (beside its address)."""


def _brief(shown: Body, datasets: Sequence[Dataset], call: Call) -> Body:
    """Return a session known from a public release: its row with the release's datasets."""
    released = visible.released_tags(catalog.table)
    visible_ids = {item.uuid for item in datasets if released & set(item.tags or ())}
    listed = shown["data_dataset_session_related"]
    blank = {
        name: value if name in BRIEF or name == "url" else type(value)() if value else value
        for name, value in shown.items()
    }
    return {**blank, "data_dataset_session_related": [d for d in listed if d["id"] in visible_ids]}


def _insertions(
    inside: Mapping[str, Sequence[Document]], datasets: Sequence[Dataset]
) -> list[Row]:
    """Return the rows of a session's insertions, with the datasets that were read with it."""
    insertions = inside.get("insertion", ())
    rows = [item.row() for item in datasets if insertions and probe_of(item.collection)]
    return [{**insertion.body, DATASETS: rows} for insertion in insertions]


def _inner(kind: str, inside: Mapping[str, Sequence[Document]], call: Call) -> list[Body]:
    return nested(call, kind, [document.body for document in inside.get(kind, ())])


SESSION = Resource(
    path="sessions",
    kind="session",
    model="actions.session",
    access=Access(read="public", rig="read create change", worker="read change"),
    lab="lab",
    public_by="id",
    store=Sessions(),
    fields={
        "subject": ref("subject", required=True, null=False, on_delete="cascade"),
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
        "embargo_until": date(param=False, latest="9999-12-31"),
        "synthetic": flag(param=False),
    },
    filters=session_filters.FILTERS,
    reverse={
        "data_dataset_session_related": ("dataset", "session", "id"),
        "datasets": ("dataset", "session", "id"),
        "probe_insertion": ("insertion", "session", "id"),
        "field_of_view": ("field-of-view", "session", "id"),
        "tasks": ("task", "session", "id"),
        "wateradmin_session_related": ("watering", "session", "id"),
        "session": ("session", "parent_session", "id"),
        "notes": ("note", "object_id", "id"),
    },
    columns=("id", "subject", "start_time", "number", "lab", "projects", "task_protocol"),
    show=_show,
    show_detail=_show_detail,
    brief=BRIEF
    | {"nickname", "date_range", "project", "tag", "datasets", "dataset_types", "dataset_qc_lte"},
    example={"subject": "FI_001", "start_time": "2024-07-01T10:00:00", "number": 1},
)
declare(SESSION)
