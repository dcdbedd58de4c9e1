"""A plan: all writes of one request, planned first, then made in one transaction.

A route, a batch, an undo and a workflow are functions that plan writes::

    def wean(plan: Plan) -> None:
        for each in pups:
            plan.change(SUBJECT, each, lambda body: {**body, "wean_date": day})

    planned(call, wean)

`planned` runs the function and makes the planned writes, all or none. If others changed the
records that it read, it runs again from fresh reads. Meanwhile `catalog.table` includes the
planned writes, so the checks of the second write see the first.

How to write an effect
----------------------
The consequences of a write are declared once, with the record's resource::

    def end_with_death(plan: Plan, before: Body | None, after: Body | None, call: Call) -> None:
        if after is None or not after["death_date"] or (before and before["death_date"]):
            return
        mine = [Where("subject", "exact", after["nickname"])]
        for row in plan.select("water-restriction", mine):
            plan.change(RESTRICTION, row["id"], lambda each: {**each, "end_time": …})

    Resource(…, effects=(end_with_death,))

``before`` is None for a creation, ``after`` for a deletion. An effect plans further writes, with
the same checks (`Resource.prepare`) and effects of their own, but without checking the caller's
permissions: the caller asked for something else. It reads by `Plan.get` and `Plan.select` alone.
It only plans, because it may run again, and it first checks whether there is anything to do.
Writes of one record are merged, and a change without a difference has no effects. A decision from
several records is safe only if the effect also changes a record that all their writers change
(`Plan.change` to the same value is enough): so the second of two concurrent restrictions sees the
first.

One file, because a plan and the loop that runs it are one contract.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from functions.api.engine import identities, read_values, references, sendings, zones
from functions.api.engine.declarations import KINDS, Body, Resource, Row
from functions.api.engine.identities import PlannedRecord
from functions.api.errors import ApiError, not_found
from shared import catalog
from shared.records import documents, leaving
from shared.records.errors import Exists, Leaving, Missing
from shared.records.leaving import Name
from shared.records.optimistic import retried
from shared.records.transactions import ConditionFailed, Transaction
from shared.records.where import Where
from shared.records.writing import Write, write_all

if TYPE_CHECKING:
    from functions.api.call import Call

T = TypeVar("T")
Edit = Callable[[Body], Body]
Check = Callable[[Body | None, Body | None], None]
"""Takes the present and the new version of a record; raises to refuse the write."""

TRIES = 12
"""Tries of a plan while others write the same records."""

TRIES_OF_LEAVING = 4
"""Tries of a plan while a record that it names is being deleted."""

DEEPEST = 20
"""Deepest effects of effects; more are a circle."""


class Plan:
    """The writes of one request. Made by `planned`.

    Parameters
    ----------
    call : Call
    group : str, optional
        Group of the audit entries; a new UUID by default.
    whole : bool
        Whether it must be one transaction; else a large plan is written by several, which are
        undone if one of them is refused.
    """

    def __init__(self, call: Call, group: str | None = None, *, whole: bool = False) -> None:
        self.call = call
        self.group = group or str(uuid.uuid4())
        self.whole = whole
        self.rows: dict[str, dict[str, Body | None]] = {}
        self._records: dict[Name, PlannedRecord] = {}
        self._order: list[Name] = []
        self._first: list[Callable[[], None]] = []
        self._also: list[Callable[[Transaction], None]] = []
        self._then: list[Callable[[], None]] = []
        self._depth = 0
        self.is_again = False  # a former plan was overtaken by other writers

    # --- reading -------------------------------------------------------------------------------

    def get(self, kind: str, key: str) -> Body | None:
        """Return the planned version of a record, read strongly; None if it will not exist."""
        if not is_document(KINDS[kind]):
            return catalog.table(kind).get(key)
        return _copy(self.record(KINDS[kind], key).body)

    def select(self, kind: str, wheres: Sequence[Where] = ()) -> list[Body]:
        """Return the records that match conditions after the plan."""
        return catalog.table(kind).select(wheres).all()

    def record(self, resource: Resource, key: str) -> PlannedRecord:
        """Return a record of the plan; its first use reads it strongly."""
        name = (resource.kind, key)
        if name not in self._records:
            stored = documents.find(*name)
            body = dict(stored.body) if stored else None
            self._records[name] = PlannedRecord(resource, key, stored, body, {})
        return self._records[name]

    def version(self, kind: str, key: str) -> int | None:
        """Return the stored version of a record; None if there is none."""
        return self.record(KINDS[kind], key).version

    # --- planning ------------------------------------------------------------------------------

    def create(
        self,
        resource: Resource,
        body: Body,
        *,
        given: Body | None = None,
        check: Check | None = None,
    ) -> PlannedRecord:
        """Plan a new record.

        Parameters
        ----------
        resource : Resource
        body : dict
            Its fields; absent ones get their defaults.
        given : dict, optional
            Fields that the client sent, if it is the caller's own write.
        check : callable, optional
            Permissions of the caller's own write.

        Raises
        ------
        Invalid
            400 if it is not valid, or if the plan already has a record of its key.
        """
        whole = {**read_values.defaults(resource, self.call), **body}
        if "id" not in resource.fields:
            whole.setdefault("id", str(uuid.uuid4()))
        if resource.prepare:  # this may set its name
            whole = resource.prepare(whole, None, self.call)
        key = str(whole[resource.key])
        planned_before = self._records.get((resource.kind, key))
        if planned_before and planned_before.body is not None:
            text = f"Two {resource.kind}s of the list have the same key."
            raise identities.taken(resource, Exists(text, key))
        record = planned_before or PlannedRecord(resource, key, None, None, {})
        self._records[resource.kind, key] = record
        record.given = dict(given or {})
        self._put(record, whole, check)
        return record

    def change(
        self,
        resource: Resource,
        key: str,
        edit: Edit,
        *,
        given: Body | None = None,
        check: Check | None = None,
    ) -> PlannedRecord:
        """Plan a change of a record.

        Parameters
        ----------
        resource : Resource
        key : str
        edit : callable
            Takes the planned body and returns the changed one. If it returns the same body, the
            plan only checks that nobody else changes the record meanwhile.
        given, check : optional
            See `create`.

        Raises
        ------
        ApiError
            404, or 400 if the change is not valid.
        """
        record = self.record(resource, key)
        if record.body is None:
            raise not_found(resource.name)
        record.given = dict(given or record.given)
        body = edit(dict(record.body))
        if body != record.body and resource.prepare:
            body = resource.prepare(body, dict(record.body), self.call)
        self._put(record, body, check)
        return record

    def delete(self, resource: Resource, key: str, *, check: Check | None = None) -> None:
        """Plan to delete a record and the records that belong to it.

        The record is marked at once, so that nobody can write a reference to it. After that the
        existing references are searched.

        Raises
        ------
        ApiError
            404; 409 if others name it.
        """
        record = self.record(resource, key)
        body = record.body
        if body is None:
            raise not_found(resource.name)
        if check:
            check(body, None)
        self._take_leave(record)
        self._set(record, None)
        for other, part in list(references.belonging(resource, body)):
            self._delete_part(other, str(part[other.key]))
        self.run_effects(resource, body, None)

    def put_back(self, resource: Resource, key: str, body: Body | None, *, check: Check) -> None:
        """Plan to restore a former version of a record; None if it did not exist.

        Effects are not planned here: `run_effects` plans them when all is restored.

        Raises
        ------
        ApiError
            409 if other records name the record to remove, or belong to it.
        """
        record = self.record(resource, key)
        check(record.body, body)
        if body is None and record.body is not None:
            if part := next(references.belonging(resource, record.body), None):
                other, dependant = part
                text = f"{resource.name} {key} has {other.kind} {dependant[other.key]} by now."
                raise ApiError(409, text, fields={f"{resource.kind} {key}": [other.path]})
            self._take_leave(record)
        self._set(record, body)

    def _take_leave(self, record: PlannedRecord) -> None:
        """Check that no record names a record, and prevent new references."""
        resource, body = record.resource, record.body
        assert body is not None  # noqa: S101 - it is there
        if resource.allow_delete:
            resource.allow_delete(body, self.call)
        references.refuse_if_referred(resource, body)
        if record.before is not None and references.is_named(resource) and not record.mark:
            record.mark = leaving.new_mark(self.group)
            leaving.mark((resource.kind, record.key), record.mark)
            catalog.start_request()
            references.refuse_if_referred(resource, body)

    def _delete_part(self, resource: Resource, key: str) -> None:
        """Plan to delete a part of a record, unless another request has deleted it."""
        if is_document(resource):
            if self.record(resource, key).body is not None:
                self.delete(resource, key)
            return
        if self.whole:
            raise ApiError(409, f"Its /{resource.path} cannot be deleted with it; do so first.")
        self._first.append(lambda: references.delete_elsewhere(resource, key, self.call))

    def also(self, extra: Callable[[Transaction], None]) -> None:
        """Plan writes of items other than records, in the same transaction."""
        self._also.append(extra)

    def then(self, step: Callable[[], None]) -> None:
        """Run something after the writes, such as a queue message; a crash may lose it."""
        self._then.append(step)

    def _put(self, record: PlannedRecord, body: Body, check: Check | None) -> None:
        """Plan a record's new version: permitted, in its lab's time zone, with its effects."""
        resource, old = record.resource, record.body
        if body != old and check:
            check(old, body)
        body = zones.localise(resource, body, zones.lab_of(resource, body))
        self._set(record, body)
        if body != old:
            self.run_effects(resource, old, body)

    def restate(self, record: PlannedRecord, body: Body | None) -> PlannedRecord:
        """Plan an equivalent version of a record, without checks and effects."""
        self._set(record, body)
        return record

    def _set(self, record: PlannedRecord, body: Body | None) -> None:
        name = (record.resource.kind, record.key)
        record.lab = self._lab_of(record.resource, body or record.body or {})
        record.body = body
        if not record.touched:
            record.touched = True
            self._order.append(name)
        row = None if body is None else {**body, "key": record.key, "_version": 0}
        self.rows.setdefault(name[0], {})[record.key] = row

    def _lab_of(self, resource: Resource, body: Body) -> str | None:
        """Return the lab of a record, even if the record that leads to the lab is deleted too."""
        lab = zones.lab_of(resource, body)
        if lab is not None or resource.lab in ("", "lab"):
            return lab
        owner = self._records.get((resource.fields[resource.lab].to, str(body.get(resource.lab))))
        return owner.lab if owner else None

    def run_effects(self, resource: Resource, before: Body | None, after: Body | None) -> None:
        """Plan the effects of a write."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise RecursionError(f"The effects of {resource.path} go round in circles.")
        for effect in resource.effects:
            effect(self, _copy(before), _copy(after), self.call)
        self._depth -= 1

    # --- writing -------------------------------------------------------------------------------

    def commit(self) -> None:
        """Make the planned writes, all or none.

        Raises
        ------
        ConditionFailed, Missing, Leaving
            If others have changed the records that the plan has read.
        ApiError
            400 if a name or a unique value is taken.
        """
        for step in self._first:
            step()
        marked = [record for record in self._records.values() if record.mark]
        if not all(leaving.in_time(record.mark) for record in marked):
            raise ConditionFailed("The deletion took too long.")
        try:
            write_all(
                list(self._writes()),
                who=self.call.who.username,
                group=self.group,
                extra=self._write_extra if self._also else None,
                whole=self.whole,
            )
        except Exists as error:
            planned_record = self._records.get((error.kind, str(error.key)))
            again = planned_record and (planned_record.is_clients or planned_record.resource.title)
            if again and "with this" not in str(error):
                # A repeated request has just created it, or another lab has just taken the key
                raise ConditionFailed(str(error)) from None
            raise identities.taken(KINDS[error.kind], error) from None
        self._sweep()
        for step in self._then:
            step()

    def _writes(self) -> Iterator[Write]:
        """Yield the writes: creations first, deletions last and deepest first."""
        records = [self._records[name] for name in self._order]
        for record in [each for each in records if each.body is not None]:
            yield identities.write_of(record)
        for record in reversed([each for each in records if each.body is None]):
            if record.before is not None:
                yield identities.write_of(record)

    def _write_extra(self, writes: Transaction) -> None:
        for extra in self._also:
            extra(writes)

    def _sweep(self) -> None:
        """Delete notes and aggregates that were added to deleted records at the last moment."""
        gone = [
            (record.resource, record.before.body)
            for record in self._records.values()
            if record.touched and record.body is None and record.before and not record.mark
            if record.resource.kind != "note"
        ]
        if not gone:
            return
        catalog.start_request()
        for deleted in gone:
            for note in references.notes_about(*deleted):
                delete_if_there(KINDS["note"], note["id"], self.call)
            for item in references.aggregates_of(*deleted):
                references.delete_elsewhere(KINDS["dataset"], item.uuid, self.call)

    def unmark(self) -> None:
        """Remove the deletion marks."""
        for (kind, key), record in self._records.items():
            if record.mark:
                leaving.unmark((kind, key), record.mark)


def _copy(body: Body | None) -> Body | None:
    return None if body is None else dict(body)


def is_document(resource: Resource) -> bool:
    """Return whether a resource's records are documents, the kind that plans write."""
    return resource.store is None or bool(getattr(resource.store, "of_documents", False))


def delete_if_there(resource: Resource, key: str, call: Call) -> None:
    """Delete a record that belongs to a deleted one, if it still exists.

    The permission to delete the deleted record is enough.
    """

    def part(plan: Plan) -> None:
        if plan.record(resource, key).body is not None:
            plan.delete(resource, key)

    planned(call, part)


def delete_notes(resource: Resource, row: Row, call: Call) -> None:
    """Delete the notes about a record other than a document that was just deleted."""
    catalog.start_request()
    for note in references.notes_about(resource, row):
        delete_if_there(KINDS["note"], str(note["id"]), call)


def planned(
    call: Call, steps: Callable[[Plan], T], *, group: str | None = None, whole: bool = False
) -> T:
    """Plan writes and make them; start again if other requests were faster.

    Parameters
    ----------
    call : Call
    steps : callable
        Takes the `Plan` and plans; may be called several times.
    group, whole : optional
        See `Plan`.

    Returns
    -------
    any
        Result of ``steps``.

    Raises
    ------
    ApiError
        If the steps refuse; 409 if a named record is being deleted.
    Conflict
        If others kept writing the same records.
    """
    sent = sendings.group_of(call) if group is None else None
    group = group or sent or str(uuid.uuid4())
    tries = 0

    def once() -> T:
        nonlocal tries
        tries += 1
        if tries > 1:
            catalog.start_request()
        if sent:
            sendings.check_new(call, sent)
        plan = Plan(call, group, whole=whole)
        plan.is_again = tries > 1
        outer, call.plan = call.plan, plan
        try:
            with catalog.planned(plan.rows):
                result = steps(plan)
            if sent:
                plan.also(sendings.noted(call, sent))
            plan.commit()
            return result
        except (Leaving, Missing) as error:
            plan.unmark()
            if tries >= TRIES_OF_LEAVING:
                raise ApiError(409, f"{error} Try again.") from None
            raise ConditionFailed(str(error)) from None
        except BaseException:
            plan.unmark()
            raise
        finally:
            call.plan = outer

    return retried(once, "These records are being changed by others; try again.", tries=TRIES)
