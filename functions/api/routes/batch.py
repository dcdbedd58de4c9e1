"""Several writes in one request: one action of a person, perhaps made offline.

A batch has an id, its group. A repeated batch is done once and gets the first answer again, for
`shared.records.answers.KEPT`. An atomic batch is written all or none in one transaction, with the
effects of its writes and its answer. The writes of other batches are made one by one; each is done
once, even if the request was interrupted.
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
"""Most writes of an atomic batch; each takes up to five of a transaction's hundred items."""

MOST = 200
"""Most writes of a batch, limited by the time of one request."""


class AskedWrite(msgspec.Struct, frozen=True):
    """One write of a batch.

    Attributes
    ----------
    op : str
    resource : str
        Path of the resource.
    key : str
        Key of the record to change or delete.
    version : int
        Version that the device knows; 0 for any.
    body : dict
        Fields, as its own route accepts them.
    """

    op: Literal["create", "update", "delete"]
    resource: str
    key: str = ""
    version: int = 0
    body: dict[str, Any] = {}


class Batch(msgspec.Struct, frozen=True):
    """The request: a group (UUID), a description in words, the writes."""

    group: str
    writes: list[AskedWrite]
    what: str = ""
    atomic: bool = True


class WriteResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """The result of a write: its own route's answer, with the row in the replica's form."""

    status: int
    key: str = ""
    version: int = 0
    row: dict[str, Any] | None = None
    errors: dict[str, list[str]] = {}
    detail: str = ""


class Replayed(Exception):
    """The group was already done by a concurrent request."""


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
        400 with the errors.
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
    """Refuse a group that another user sent, or that had another content.

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
    """Return the answer to an atomic batch with a refused write: nothing is written."""
    results = [
        _refusal(error) if i == place else WriteResult(424, detail="Another write was refused.")
        for i in range(len(asked.writes))
    ]
    bodies = [msgspec.to_builtins(result) for result in results]
    detail = f"Nothing was written: number {place + 1} of {len(asked.writes)} was refused."
    return ApiError(error.status, detail, group=asked.group, results=bodies)


def _refusal(error: Exception) -> WriteResult:
    """Return the answer to a refused write, as from its own route."""
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
            catalog.start_request()  # the next write sees the writes of others
    return _shown(call, asked, results, [])


def _one(call: Call, asked: Batch, digest: str, each: AskedWrite, part: str) -> WriteResult:
    """Make a write of a batch in one transaction with its answer."""
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
        if refused.status < 500:  # temporary errors are not stored as the answer
            stored_answer = answers.answer(asked.group, part, who, digest, refused, asked.what)
            with suppress(ConditionFailed), transaction() as writes:
                writes.save(stored_answer, Record.pk.does_not_exist())
        return refused


def replay(call: Call, value: Any, asked: Batch) -> dict[str, Any]:
    """Return the first answer to a group, with the present versions of its records."""
    return _shown(call, asked, msgspec.convert(value, list[WriteResult]), [])


def _shown(
    call: Call, asked: Batch, results: list[WriteResult], rows: list[HeldRow]
) -> dict[str, Any]:
    """Return the answer: results with their rows, and the rows of effects."""
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
