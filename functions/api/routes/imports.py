"""``POST /import``: import rows of another store with their identifiers, many at a time.

Each row goes through the declaration of its resource, as if it were posted alone. An existing
record is compared with the row: equal content is ``unchanged``, other content is refused with 409
and the record stays. So requests can be repeated, and an import can be killed and resumed.

One file, because the ways in (records, sessions, datasets, tasks) compare and answer alike.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec
from chalice.app import Blueprint

from functions.api.call import Call
from functions.api.engine import meanings, read_values, zones
from functions.api.engine.declarations import RESOURCES, Body, Resource
from functions.api.engine.stores import store_of
from functions.api.errors import ApiError, Invalid, response_to
from functions.api.resources.datasets import checked_hash
from functions.api.resources.owners import owner_of, record_of
from functions.api.resources.sessions import check_folder, check_uuid4
from shared import catalog
from shared.alf.dataset_types import data_format, match_dataset_type
from shared.alf.errors import ALFError
from shared.alf.path import parse_dataset_path
from shared.datasets.identities import sessions_alike
from shared.datasets.partition import Partition, read_partition
from shared.datasets.register import register_datasets
from shared.model import moment
from shared.model.copies import OWN
from shared.model.dataset import FileRecord
from shared.model.identity import dataset_path
from shared.model.json import Faulty, read
from shared.model.messages import SnapshotDue
from shared.model.registration import ImportRequest
from shared.records import documents, keys, queues
from shared.records.errors import Exists
from shared.records.items import Dataset, Pointer
from shared.sessions import store as sessions

if TYPE_CHECKING:
    from shared.work.item import Task

routes = Blueprint(__name__)
T = TypeVar("T")

PLACES = 50
"""Most file records of one dataset."""

TOGETHER = 20
"""Documents of one transaction; each takes up to four of the hundred items that it may have."""


class Different(ApiError):
    """409: the existing record has other content, or another identifier.

    Parameters
    ----------
    detail : str
    existing : str, optional
        Identifier of the existing record, if it differs.
    """

    def __init__(self, detail: str, existing: str | None = None) -> None:
        super().__init__(409, detail)
        self.existing = existing


class CarriedRow(NamedTuple):
    """A row that has been imported.

    Attributes
    ----------
    outcome : str
        ``created`` or ``unchanged``.
    stored : Dataset, Session, Task or dict
        The stored record; for a document its body.
    """

    outcome: str
    stored: Any


@routes.route("/import", methods=["POST"])
def take_over() -> dict[str, Any]:
    """Store rows; answer how many are new, how many were there, and which are refused."""
    call = Call(routes.current_request)
    resource, rows = _request(call)
    answer: dict[str, Any] = {"created": 0, "unchanged": 0, "refused": []}
    imported: list[tuple[Body, Any]] = []
    waiting: list[Body] = rows
    places = {id(row): i for i, row in enumerate(rows)}
    while waiting:
        before, invalid = answer["created"], []
        for row, outcome in _take(resource, waiting, call):
            if isinstance(outcome, CarriedRow):
                answer[outcome.outcome] += 1
                imported.append((row, outcome.stored))
            elif outcome.body["status_code"] == 400:
                invalid.append((row, outcome))
            else:
                answer["refused"].append(_refusal(resource, row, outcome, places))
        if answer["created"] == before:
            answer["refused"] += [_refusal(resource, row, e, places) for row, e in invalid]
            break
        # A row may refer to a later one: invalid rows are tried again while others succeed.
        catalog.start_request()
        waiting = [row for row, _ in invalid]
    return answer


@routes.route("/import/end", methods=["POST"])
def end() -> dict[str, Any]:
    """Say that an import has ended: the search index and ONE's tables are written anew now.

    Until then each process of the API holds what came as changes beside the last snapshot.
    """
    queues.notify("analysis", SnapshotDue())
    return {}


def _request(call: Call) -> tuple[Resource, list[Body]]:
    """Return the resource and the rows of a request.

    Raises
    ------
    Invalid
        400 if the request is invalid.
    """
    try:
        wanted = read(call.body, ImportRequest)
    except Faulty as error:
        raise Invalid(error.fields) from None
    resource = RESOURCES.get(wanted.resource)
    if resource is None:
        raise Invalid({"resource": [f"One of {', '.join(sorted(RESOURCES))}."]})
    call.imports = resource.kind
    return resource, wanted.rows


def _take(
    resource: Resource, rows: list[Body], call: Call
) -> Iterator[tuple[Body, CarriedRow | ApiError]]:
    """Yield each row with its outcome, or with the error that refuses it."""
    if resource.kind == "dataset":
        yield from _datasets(resource, rows, call)
    elif resource.kind == "task":
        yield from _tasks(resource, rows, call)
    elif resource.kind == "session":
        for row in rows:
            yield row, _outcome(lambda row=row: _session(resource, row, call))  # type: ignore[misc]
    else:
        for start in range(0, len(rows), TOGETHER):
            yield from _records_of(resource, rows[start : start + TOGETHER], call)


def _outcome(action: Callable[[], T]) -> T | ApiError:
    """Return the result of an action, or its error.

    Raises
    ------
    Exception
        Temporary errors, for which the request can be repeated.
    """
    try:
        return action()
    except ApiError as error:
        return error
    except Exception as error:
        answer = response_to(error)
        if answer.status_code in (429, 503):
            raise
        return ApiError(answer.status_code, answer.body["detail"])


def _refusal(resource: Resource, row: Body, error: ApiError, places: Mapping[int, int]) -> Body:
    body = {name: value for name, value in error.body.items() if name != "status_code"}
    refusal = {
        "id": row.get(resource.key) or row.get("id") or row.get("name"),
        "row": places[id(row)],
        "status": error.body["status_code"],
        "detail": body["detail"] if set(body) == {"detail"} else body,
    }
    if isinstance(error, Different) and error.existing:
        refusal["existing"] = error.existing
    return refusal


def _records_of(
    resource: Resource, rows: list[Body], call: Call
) -> Iterator[tuple[Body, CarriedRow | ApiError]]:
    """Import a few documents: the new ones in one transaction, or alone if one is refused."""
    outcomes = [_outcome(lambda row=row: _existing(resource, row, call)) for row in rows]  # type: ignore[misc]
    new = [row for row, outcome in zip(rows, outcomes, strict=True) if outcome is None]
    store = store_of(resource)
    made: list[CarriedRow | ApiError] = []
    if len(new) > 1 and store.of_documents:
        together = _outcome(lambda: store.create_many(resource, new, call))
        if not isinstance(together, ApiError):
            made = [CarriedRow("created", body) for body in together]
    if not made:
        made = [_outcome(lambda row=row: _record(resource, row, call)) for row in new]  # type: ignore[misc]
    rest = iter(made)
    for row, outcome in zip(rows, outcomes, strict=True):
        yield row, next(rest) if outcome is None else outcome


def _record(resource: Resource, row: Body, call: Call) -> CarriedRow:
    """Import a record that is a document, alone; one before it may have made the same record."""
    if existing := _existing(resource, row, call):
        return existing
    return CarriedRow("created", store_of(resource).create(resource, row, call))


def _existing(resource: Resource, row: Body, call: Call) -> CarriedRow | None:
    """Return a row's outcome if its record exists, else None.

    Raises
    ------
    Different
        It exists with other content.
    """
    key = _key_of(resource, row)
    existing = catalog.table(resource.kind).get(key) if key is not None else None
    if existing is None:
        return None
    _check_same(resource, row, existing)
    _compare(resource, row, existing, call)
    document = documents.find(resource.kind, str(key))
    return CarriedRow("unchanged", document.body if document else row)


def _check_same(resource: Resource, row: Body, there: Mapping[str, Any]) -> None:
    """Check that a laboratory's record has the id in the row of the same name.

    Words, people and laboratories with the same name are the same record; animals, litters and
    places are not.

    Raises
    ------
    Different
        The ids differ.
    """
    if not resource.lab or resource.lab == resource.key or not read_values.is_uuid(row.get("id")):
        return
    if there.get("id") and str(there["id"]) != str(row["id"]).lower():
        key = row[resource.key]
        raise Different(f"Another {resource.kind} is called {key}.", str(there["id"]))


def _key_of(resource: Resource, row: Body) -> str | None:
    """Return the key of a row's record, if it exists; names are unique within a lab."""
    key = row.get(resource.key)
    if key is None or not resource.within:
        return None if key is None else str(key)
    return meanings.key_of(resource.kind, str(key), lab=str(row.get(resource.within)))


def _session(resource: Resource, row: Body, call: Call) -> CarriedRow:
    """Import a session; unknown users are left out."""
    eid = check_uuid4(row.get("id"))
    existing = catalog.table("session").get(eid)
    if existing is not None:
        _compare(resource, row, existing, call)
        return CarriedRow("unchanged", sessions.get(eid))
    body = read_values.read_body(resource, row, call, partial=False)
    if not body["start_time"]:
        raise Invalid({"start_time": ["This field is required."]})
    animal = catalog.table("subject").get(body["subject"]) or {}
    lab = body["lab"] = body["lab"] or animal["lab"]
    check_folder(animal, lab)
    try:
        item = sessions.create(
            **{name: value for name, value in body.items() if value is not None},
            id=eid,
            zone=zones.zone_of(lab) or "UTC",
            animal=animal,
            who=call.who.username,
        )
    except Exists as error:
        raise Different(str(error), error.key) from None
    return CarriedRow("created", item)


def _tasks(
    resource: Resource, rows: list[Body], call: Call
) -> Iterator[tuple[Body, CarriedRow | ApiError]]:
    """Import ended tasks as records of what was done elsewhere, twenty in one transaction."""
    from shared.work import write  # most processes of the API need no tasks

    def record(tasks: list[Task]) -> set[str] | ApiError:
        return _outcome(lambda: write.record(tasks, call.who.username))

    for start in range(0, len(rows), write.RECORDED_AT_ONCE):
        some = rows[start : start + write.RECORDED_AT_ONCE]
        read = [_outcome(lambda row=row: _ended_task(resource, row, call)) for row in some]  # type: ignore[misc]
        tasks = [task for task in read if not isinstance(task, ApiError)]
        there = record(tasks) if tasks else set()
        for row, task in zip(some, read, strict=True):
            if isinstance(task, ApiError):
                yield row, task
                continue
            present = record([task]) if isinstance(there, ApiError) else there
            if isinstance(present, ApiError):
                yield row, present
            else:
                outcome = "unchanged" if task.id in present else "created"
                yield row, CarriedRow(outcome, task)


def _ended_task(resource: Resource, row: Body, call: Call) -> Task:
    """Return the task that a row describes, not yet stored.

    Raises
    ------
    Invalid
        400, also of a task that has not ended: nobody here would end it.
    """
    from shared.tasks.states import TERMINAL
    from shared.work import item, write

    body = read_values.read_body(resource, row, call, partial=False)
    session = catalog.table("session").get(body["session"]) or {}
    sent = {name: value for name, value in body.items() if name in row and name != "parents"}
    try:
        task = write.described(session["id"], session["lab"], sent)
    except item.TaskInvalid as error:
        name, _, message = str(error).partition(": ")
        raise Invalid({name: [message]}) from None
    if task.state not in TERMINAL:
        raise Invalid({"status": ["Only tasks that have ended are imported."]})
    task.session_start = session.get("start_time")
    if body.get("datetime"):
        task.datetime = item.stamp(moment.utc(body["datetime"]))
    return task


class _Incoming(msgspec.Struct):
    """A dataset of a request, with its row and the fields of the row."""

    row: Body
    given: Body
    item: Dataset


def _datasets(
    resource: Resource, rows: list[Body], call: Call
) -> Iterator[tuple[Body, CarriedRow | ApiError]]:
    """Import datasets, those of a session in one transaction."""
    by_owner: dict[str, list[_Incoming]] = defaultdict(list)
    for row in rows:
        try:
            incoming = _incoming(resource, row, call)
        except ApiError as error:
            yield row, error
        else:
            by_owner[incoming.item.owner].append(incoming)
    alike = sessions_alike(each.item for group in by_owner.values() for each in group)
    for owner, group in by_owner.items():
        partition = _outcome(lambda owner=owner: read_partition(owner))  # type: ignore[misc]
        if isinstance(partition, ApiError):
            yield from ((incoming.row, partition) for incoming in group)
            continue
        known = dict(partition.datasets)
        new: list[_Incoming] = []
        for incoming in group:
            try:
                if _is_new(incoming, known):
                    new.append(incoming)
                else:
                    yield incoming.row, CarriedRow("unchanged", known[incoming.item.path])
            except Different as error:
                yield incoming.row, error
        if new:
            yield from _registered(partition, new, alike, call)


def _registered(
    partition: Partition, new: list[_Incoming], alike: Mapping[str, str], call: Call
) -> Iterator[tuple[Body, CarriedRow | ApiError]]:
    """Store new datasets of one owner, except those whose ids another owner has."""
    owner = partition.owner

    def register(some: list[_Incoming], read: Partition | None = None) -> None:
        _register(owner, some, call, partition=read, alike=alike)

    refused = _outcome(lambda: register(new, partition))
    if isinstance(refused, ApiError) and refused.body["status_code"] == 400:
        owners = _owners(candidate.item for candidate in new)
        taken = [each for each in new if owners.get(each.item.uuid, owner) != owner]
        for candidate in taken:
            place = f"a dataset of {owners[candidate.item.uuid]}"
            yield candidate.row, Different(f"Its id is that of {place}.")
        if taken:
            new = [each for each in new if owners.get(each.item.uuid, owner) == owner]
            refused = _outcome(lambda: register(new)) if new else None
    for candidate in new:
        yield candidate.row, refused or CarriedRow("created", candidate.item)


def _incoming(resource: Resource, row: Body, call: Call) -> _Incoming:
    """Return the dataset that a row describes, not yet stored."""
    body = read_values.read_body(resource, row, call, partial=False)
    owner = body["session"] or owner_of(row)
    if owner is None:
        raise Invalid({"session": ["Give a session, or a content_type and object_id."]})
    path = dataset_path(body["collection"], body["revision"], body["name"])
    created = row.get("created_datetime")
    try:
        parse_dataset_path(path)
        created = created and moment.instant(created)
    except ValueError as error:
        raise Invalid({"name": [str(error)]}) from None
    item = Dataset.of(
        owner,
        path,
        id=check_uuid4(row["id"]) if row.get("id") else None,
        default=body["default_dataset"] is not False,
        created=created,
        dataset_type=body["dataset_type"] or _type_of(body["name"]),
        data_format=body["data_format"] or _format_of(body["name"]),
        file_size=body["file_size"],
        hash=checked_hash(body["hash"]),
        qc=body["qc"],
        version=body["version"],
        created_by=body["created_by"] if "created_by" in row else call.who.username,
        tags=body["tags"] or None,
        json=body["json"],
    )
    item.records = _records(row, call)
    sent = {name: body[name] for name in body if name in row}
    return _Incoming(row, sent, item)


def _records(row: Body, call: Call) -> list[FileRecord]:
    """Return a dataset's file records as they are stored.

    Raises
    ------
    Invalid
        400 if they are invalid, or if a repository does not exist.
    """
    records = row.get("file_records") or []
    resource = RESOURCES["files"]
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise Invalid({"file_records": ["A list of JSON objects."]})
    if len(records) > PLACES:
        raise Invalid({"file_records": [f"At most {PLACES} for one dataset."]})
    stored = []
    for record in records:
        body = read_values.read_body(resource, record, call, partial=True)
        if "data_repository" not in body:
            raise Invalid({"file_records": ["Each needs its data_repository."]})
        if body["data_repository"] == OWN:  # another installation's own store; bytes are uploaded
            continue
        stored.append(
            FileRecord(
                body["data_repository"],
                bool(body.get("exists")),
                body.get("relative_path") or None,
                body.get("json"),
            )
        )
    return stored


def _type_of(name: str) -> str:
    try:
        return match_dataset_type(name).name
    except ALFError:
        return "unknown"


def _format_of(name: str) -> str | None:
    try:
        return data_format(name).name
    except ALFError:
        return None


def _owners(items: Iterable[Dataset]) -> dict[str, str]:
    """Return the owners of the registered datasets, by id."""
    wanted = {(keys.external(item.uuid), "A") for item in items if item.has_external_id}
    pointers = Pointer.batch_get(sorted(wanted), consistent_read=True) if wanted else ()
    return {keys.external_of(pointer.pk): pointer.to for pointer in pointers}


def _is_new(incoming: _Incoming, there: dict[str, Dataset]) -> bool:
    """Compare a dataset with the one at its place; return whether the place is free.

    Raises
    ------
    Different
        Another dataset is at the place, or the dataset has other content or another place.
    """
    item = incoming.item
    old = there.get(item.path)
    if old is None:
        same_id = next((dataset for dataset in there.values() if dataset.id == item.id), None)
        if same_id:
            raise Different(f"Its id is that of {same_id.path}.")
        there[item.path] = item
        return True
    if incoming.row.get("id") and old.uuid != item.uuid:
        raise Different(f"{item.path} is registered under another id.", old.uuid)
    others = [name for name in incoming.given if _stored(old, name) != _stored(item, name)]
    if "file_records" in incoming.row and _places(old) != _places(item):
        others.append("file_records")
    if others:
        raise Different(f"It is there with other values of {', '.join(others)}.")
    return False


def _stored(item: Dataset, name: str) -> Any:
    """Return a dataset's value for a field of its resource; empty values are None."""
    value = getattr(item, {"default_dataset": "default"}.get(name, name))
    return sorted(value) if name == "tags" and value else value or None


def _places(item: Dataset) -> list[list[Any]]:
    """Return a dataset's other repositories; the own store is not compared."""
    return sorted([r.repository, bool(r.exists)] for r in item.records if r.repository != OWN)


def _register(
    owner: str,
    new: list[_Incoming],
    call: Call,
    *,
    partition: Partition | None,
    alike: Mapping[str, str],
) -> None:
    """Store new datasets of one owner; see `register_datasets`."""
    items = [candidate.item for candidate in new]
    manifest = "import " + " ".join(sorted(item.uuid for item in items))
    register_datasets(
        owner,
        items,
        manifest=manifest,
        who=call.who.username,
        belongs_to=record_of(owner),
        partition=partition,
        alike=alike,
    )


def _compare(resource: Resource, row: Body, there: Mapping[str, Any], call: Call) -> None:
    """Check that a row agrees with the existing record.

    Raises
    ------
    Different
        It does not; the message names the fields.
    """
    sent = read_values.read_body(resource, row, call, partial=True)
    zone = zones.zone_of(zones.lab_of(resource, there))
    others = [
        name
        for name, value in sent.items()
        if _plain(resource, name, value, zone) != _plain(resource, name, there.get(name), zone)
        and not (name == resource.key and value == resource.title_of(str(there[name])))
    ]
    if others:
        raise Different(f"It is there with other values of {', '.join(others)}.")


def _plain(resource: Resource, name: str, value: Any, zone: str | None) -> Any:
    """Return a comparable value: empty values are None, times are naive."""
    if value in (None, "", [], {}, ()):
        return None
    if resource.fields[name].type == "datetime":
        return moment.naive(moment.instant(value, zone))
    return list(value) if isinstance(value, tuple) else value
