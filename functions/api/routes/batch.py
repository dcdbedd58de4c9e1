"""Several writes in one request: what a person did in one go, on a device that may be offline.

A batch has an id, its group. However often it is sent, it is done once and answered as the first
time, for `shared.records.answers.KEPT`. An atomic batch is written all or none, with what follows
from its writes and its answer, in one transaction. Any other is written one by one; each write is
done once, also when the request was cut off in between.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Literal

import msgspec
from chalice.app import Blueprint

from functions.api.call import Call
from functions.api.engine import meanings, read_values
from functions.api.engine.declarations import RESOURCES, Resource
from functions.api.engine.identities import PlannedRecord
from functions.api.engine.plan import Plan, is_document, planned
from functions.api.engine.writes import write
from functions.api.errors import ApiError, Invalid, response_to
from functions.api.replica import HeldRow, Scope
from shared import catalog
from shared.records import answers
from shared.records.errors import RecordError
from shared.records.table import Record
from shared.records.transactions import ConditionFailed, Transaction, transaction

routes = Blueprint(__name__)

MOST_ATOMIC = 20
"""Writes of an atomic batch; each takes up to five of a transaction's hundred items."""

MOST = 200
"""Writes of a batch: one request's time."""


class AskedWrite(msgspec.Struct, frozen=True):
    """One write of a batch.

    Attributes
    ----------
    op : str
    resource : str
        Path of the resource.
    key : str
        Of the record to be changed or deleted.
    version : int
        That it has as the device knows it; 0 for any.
    body : dict
        Fields, as its own route takes them.
    """

    op: Literal["create", "update", "delete"]
    resource: str
    key: str = ""
    version: int = 0
    body: dict[str, Any] = {}


class Batch(msgspec.Struct, frozen=True):
    """What is sent: a group (UUID), what it is in words, its writes."""

    group: str
    writes: list[AskedWrite]
    what: str = ""
    atomic: bool = True


class WriteResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a write: as its own route answers, with the row as a replica has it."""

    status: int
    key: str = ""
    version: int = 0
    row: dict[str, Any] | None = None
    errors: dict[str, list[str]] = {}
    detail: str = ""


class Replayed(Exception):
    """The group was done already, by another request at the same time."""


@routes.route("/batch", methods=["POST"])
def batch() -> dict[str, Any]:
    """Do the writes of a group, once."""
    call = Call(routes.current_request)
    wanted = read(call)
    previous = answers.of_group(wanted.group)
    digest = answers.digest(wanted)
    check_sender(call, previous, digest)
    if answers.WHOLE in previous:
        return replay(call, previous[answers.WHOLE].value, wanted)
    if wanted.atomic:
        return _all_or_none(call, wanted, digest)
    return _one_by_one(call, wanted, digest, previous)


def read(call: Call) -> Batch:
    """Return the batch of a request.

    Raises
    ------
    Invalid
        400 that names what is wrong.
    """
    try:
        wanted = msgspec.convert(call.body, Batch)
    except msgspec.ValidationError as error:
        raise Invalid({"writes": [str(error)]}) from None
    wrong: dict[str, list[str]] = {}
    if not read_values.is_uuid(wanted.group):
        wrong["group"] = ["Must be a valid UUID."]
    if len(wanted.what) > 500:
        wrong["what"] = ["Ensure this field has no more than 500 characters."]
    most = MOST_ATOMIC if wanted.atomic else MOST
    if not 0 < len(wanted.writes) <= most:
        wrong["writes"] = [f"A batch has 1 to {most} writes; send several."]
    for item in wanted.writes:
        resource = RESOURCES.get(item.resource)
        if resource is None or not is_document(resource):
            wrong["writes"] = [f"No batch writes /{item.resource[:100]}."]
        elif item.op != "create" and not item.key:
            wrong["writes"] = [f"A write that is no create names the key of its {resource.kind}."]
    if wrong:
        raise Invalid(wrong)
    return wanted


def check_sender(call: Call, known: dict[str, answers.Answer], digest: str) -> None:
    """Refuse a group that was somebody else's, or something else.

    Raises
    ------
    ApiError
        409.
    """
    for answer in known.values():
        if answer.who != call.who.username or answer.asked != digest:
            raise ApiError(409, "This group was sent before and was another; give it a new id.")


def _all_or_none(call: Call, asked: Batch, digest: str) -> dict[str, Any]:
    results: list[WriteResult] = []
    rows: list[HeldRow] = []

    def steps(plan: Plan) -> None:
        if (previous := answers.of_group(asked.group)) and plan.is_again:
            raise Replayed(previous)
        results.clear()
        records: list[tuple[AskedWrite, PlannedRecord | None]] = []
        for i, wanted in enumerate(asked.writes):
            try:
                records.append((wanted, _plan_one(plan, wanted)))
            except ApiError as error:
                raise _refused(asked, i, error) from None

        def answer(writes: Transaction) -> None:
            written = {(kind, key): version for kind, key, version, _ in writes.rows}
            results[:] = [_result(*record, written) for record in records]
            rows[:] = [HeldRow(kind, key, version, None) for kind, key, version, _ in writes.rows]
            stored_answer = answers.answer(
                asked.group, answers.WHOLE, call.who.username, digest, results, asked.what
            )
            writes.save(stored_answer, Record.pk.does_not_exist())

        plan.also(answer)

    try:
        planned(call, steps, group=asked.group, whole=True)
    except Replayed:
        previous = answers.of_group(asked.group)
        check_sender(call, previous, digest)
        return replay(call, previous[answers.WHOLE].value, asked)
    return _shown(call, asked, results, rows)


def _plan_one(plan: Plan, each: AskedWrite) -> PlannedRecord | None:
    resource = RESOURCES[each.resource]
    key = meanings.key_in_address(plan.call, resource, each.key) if each.key else None
    return write(plan, each.op, resource, key, each.body, each.version or None)


def _refused(asked: Batch, place: int, error: ApiError) -> ApiError:
    """Return the answer to an atomic batch of which one write is refused: none is done."""
    results = [
        _refusal(error) if i == place else WriteResult(424, detail="Another write was refused.")
        for i in range(len(asked.writes))
    ]
    bodies = [msgspec.to_builtins(result) for result in results]
    detail = f"Nothing was written: number {place + 1} of {len(asked.writes)} was refused."
    return ApiError(error.status, detail, group=asked.group, results=bodies)


def _refusal(error: Exception) -> WriteResult:
    """Return what a refused write is told, as its own route would."""
    response = response_to(error)
    body: dict[str, Any] = dict(response.body)
    errors = {
        name: value
        for name, value in body.items()
        if isinstance(value, list) and all(isinstance(text, str) for text in value)
    }
    detail = body.get("detail")
    return WriteResult(
        response.status_code,
        version=int(body.get("version") or 0),
        errors=errors,
        detail=detail if isinstance(detail, str) else "",
    )


def _result(
    each: AskedWrite, record: PlannedRecord | None, written: dict[tuple[str, str], int]
) -> WriteResult:
    resource = RESOURCES[each.resource]
    if record is None:
        return WriteResult(204, key=each.key, version=written.get((resource.kind, each.key), 0))
    version = written.get((resource.kind, record.key), record.version or 0)
    status = 201 if each.op == "create" and not record.is_repeated else 200
    return WriteResult(status, key=record.key, version=version)


def _one_by_one(
    call: Call, asked: Batch, digest: str, known: dict[str, answers.Answer]
) -> dict[str, Any]:
    results: list[WriteResult] = []
    for i, wanted in enumerate(asked.writes):
        part = f"W#{i:03d}"
        if part in known:
            results.append(msgspec.convert(known[part].value, WriteResult))
        else:
            results.append(_one(call, asked, digest, wanted, part))
            catalog.start_request()  # the next one sees what others have written meanwhile
    return _shown(call, asked, results, [])


def _one(call: Call, asked: Batch, digest: str, each: AskedWrite, part: str) -> WriteResult:
    """Do a write of a batch in its own transaction, with what is answered."""
    results: list[WriteResult] = []
    who = call.who.username

    def steps(plan: Plan) -> None:
        if plan.is_again and part in (previous := answers.of_group(asked.group)):
            raise Replayed(previous)
        record = _plan_one(plan, each)

        def answer(writes: Transaction) -> None:
            written = {(kind, key): version for kind, key, version, _ in writes.rows}
            results[:] = [_result(each, record, written)]
            stored_answer = answers.answer(asked.group, part, who, digest, results[0], asked.what)
            writes.save(stored_answer, Record.pk.does_not_exist())

        plan.also(answer)

    try:
        planned(call, steps, group=asked.group)
        return results[0]
    except Replayed:
        return msgspec.convert(answers.of_group(asked.group)[part].value, WriteResult)
    except (ApiError, RecordError) as error:
        refused = _refusal(error)
        if refused.status < 500:  # what is to be tried again is no answer
            stored_answer = answers.answer(asked.group, part, who, digest, refused, asked.what)
            with suppress(ConditionFailed), transaction() as writes:
                writes.save(stored_answer, Record.pk.does_not_exist())
        return refused


def replay(call: Call, value: Any, asked: Batch) -> dict[str, Any]:
    """Return the first answer to a group, with its records as they are now."""
    return _shown(call, asked, msgspec.convert(value, list[WriteResult]), [])


def _shown(
    call: Call, asked: Batch, results: list[WriteResult], rows: list[HeldRow]
) -> dict[str, Any]:
    """Return the answer: results with their rows, and what else was written."""
    scope = Scope(call)
    bodies = []
    own = set()
    for wanted, result in zip(asked.writes, results, strict=True):
        resource: Resource = RESOURCES[wanted.resource]
        own.add((resource.kind, result.key))
        now = catalog.table(resource.kind).get(result.key) if result.key else None
        if now is not None and result.status < 300 and wanted.op != "delete":
            version = max(result.version, int(now["_version"]))
            result = msgspec.structs.replace(
                result, row=scope.shown(resource.kind, now), version=version
            )
        bodies.append(msgspec.to_builtins(result))
    also = [
        msgspec.to_builtins(scope.now(row.kind, row.key, row.version))
        for row in rows
        if (row.kind, row.key) not in own and row.kind in scope.kinds
    ]
    return {"group": asked.group, "results": bodies, "rows": also}
