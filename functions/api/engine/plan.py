"""A plan: all that one request writes, worked out first, then written in one transaction.

A route, a batch, an undo and a workflow are functions that plan writes::

    def wean(plan: Plan) -> None:
        for each in pups:
            plan.change(SUBJECT, each, lambda body: {**body, "wean_date": day})

    planned(call, wean)

`planned` runs the function, writes what it planned, all or none, and runs it again from fresh
reads when others have changed meanwhile what it was decided by. While it runs, `catalog.table`
shows what is planned so far, so what checks the second write knows of the first.

How to write an effect
----------------------
What follows from a write of a record is written down once, where the record is declared::

    def end_with_death(plan: Plan, before: Body | None, after: Body | None, call: Call) -> None:
        if after is None or not after["death_date"] or (before and before["death_date"]):
            return
        mine = [Where("subject", "exact", after["nickname"])]
        for row in plan.select("water-restriction", mine):
            plan.change(RESTRICTION, row["id"], lambda each: {**each, "end_time": …})

    Resource(…, effects=(end_with_death,))

``before`` is None for a creation, ``after`` for a deletion. An effect plans further writes, with
the same checks (`Resource.prepare`) and effects of their own, but without the permissions of the
caller, who asked for something else. It decides from `Plan.get` and `Plan.select` alone, does
nothing but plan, for it may be run again, and asks whether there is anything to do: writes of one
record fold into one, and a change that changes nothing has no effects. What it decides from
several records holds only if it also changes one that all their writers change (`Plan.change` to
what it is already counts): so of two restrictions begun at once the second sees the first.

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
"""Takes a record as it is and as it is to be; raises to refuse the write."""

TRIES = 12
"""Times a plan is made and written, while others write the same records."""

TRIES_OF_LEAVING = 4
"""Times it is tried while a record that it names is being deleted."""

DEEPEST = 20
"""Effects of effects; more go round in circles."""


class Plan:
    """Writes of one request that are made together. Made by `planned`.

    Parameters
    ----------
    call : Call
    group : str, optional
        What the audit entries have in common; a new UUID by default.
    whole : bool
        Whether all of it has to be one transaction; else what does not fit is written by several,
        and taken back if one of them is refused.
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
        self.is_again = False  # others have written meanwhile what an earlier one was to

    # --- reading -------------------------------------------------------------------------------

    def get(self, kind: str, key: str) -> Body | None:
        """Return a record as it will be, read strongly; None if there will be none."""
        if not is_document(KINDS[kind]):
            return catalog.table(kind).get(key)
        return _copy(self.record(KINDS[kind], key).body)

    def select(self, kind: str, wheres: Sequence[Where] = ()) -> list[Body]:
        """Return the records that will fulfil some conditions."""
        return catalog.table(kind).select(wheres).all()

    def record(self, resource: Resource, key: str) -> PlannedRecord:
        """Return a record of the plan; it is read strongly when it is asked for first."""
        name = (resource.kind, key)
        if name not in self._records:
            stored = documents.find(*name)
            body = dict(stored.body) if stored else None
            self._records[name] = PlannedRecord(resource, key, stored, body, {})
        return self._records[name]

    def version(self, kind: str, key: str) -> int | None:
        """Return the version of a record as it is stored; None if there is none."""
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
            Its fields; absent ones have their defaults.
        given : dict, optional
            What the client sent of it, if it is the caller's own write.
        check : callable, optional
            Permissions of the caller's own write.

        Raises
        ------
        Invalid
            400 if it is not valid, or if the plan has another one of its key.
        """
        whole = {**read_values.defaults(resource, self.call), **body}
        if "id" not in resource.fields:
            whole.setdefault("id", str(uuid.uuid4()))
        if resource.prepare:  # it may give it a name
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
            Takes the body as planned so far, returns it changed. Returned as it was, it is only
            checked that nobody else changes the record meanwhile.
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
        """Plan to delete a record, with what belongs to it.

        From now on nobody can write anything that names it. It is marked at once, for what names
        it is looked for afterwards.

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
        """Plan that a record is again as it was, None if it was not there.

        Nothing follows from it here: `run_effects` is asked when all is put back.

        Raises
        ------
        ApiError
            409 if others name what was not there, or something belongs to it by now.
        """
        record = self.record(resource, key)
        check(record.body, body)
        if body is None and record.body is not None:
            if part := next(references.belonging(resource, record.body), None):
                other, row = part
                text = f"{resource.name} {key} has {other.kind} {row[other.key]} by now."
                raise ApiError(409, text, fields={f"{resource.kind} {key}": [other.path]})
            self._take_leave(record)
        self._set(record, body)

    def _take_leave(self, record: PlannedRecord) -> None:
        """See that nobody names a record, and that from now on nobody can."""
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
        """Plan to delete what belongs to a record; others may have been faster."""
        if is_document(resource):
            if self.record(resource, key).body is not None:
                self.delete(resource, key)
            return
        if self.whole:
            raise ApiError(409, f"Its /{resource.path} cannot be deleted with it; do so first.")
        self._first.append(lambda: references.delete_elsewhere(resource, key, self.call))

    def also(self, extra: Callable[[Transaction], None]) -> None:
        """Plan writes of items that are no records, in the same transaction."""
        self._also.append(extra)

    def then(self, step: Callable[[], None]) -> None:
        """Do something when all is written, such as to tell a queue; it may be lost by a stop."""
        self._then.append(step)

    def _put(self, record: PlannedRecord, body: Body, check: Check | None) -> None:
        """Plan what a record is to be: permitted, in its lab's time zone, with its effects."""
        resource, old = record.resource, record.body
        if body != old and check:
            check(old, body)
        body = zones.localise(resource, body, zones.lab_of(resource, body))
        self._set(record, body)
        if body != old:
            self.run_effects(resource, old, body)

    def restate(self, record: PlannedRecord, body: Body | None) -> PlannedRecord:
        """Plan what a record is to be, unchecked and with no effects, for it says the same."""
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
        """Return whose a record is, also when it goes with the one by which that is known."""
        lab = zones.lab_of(resource, body)
        if lab is not None or resource.lab in ("", "lab"):
            return lab
        owner = self._records.get((resource.fields[resource.lab].to, str(body.get(resource.lab))))
        return owner.lab if owner else None

    def run_effects(self, resource: Resource, before: Body | None, after: Body | None) -> None:
        """Plan what follows from a write of a record."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise RecursionError(f"The effects of {resource.path} go round in circles.")
        for effect in resource.effects:
            effect(self, _copy(before), _copy(after), self.call)
        self._depth -= 1

    # --- writing -------------------------------------------------------------------------------

    def commit(self) -> None:
        """Write what is planned, all or none.

        Raises
        ------
        ConditionFailed, Missing, Leaving
            If others have changed what it was decided by.
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
                # It was sent twice and is there now, or another lab has just taken the key
                raise ConditionFailed(str(error)) from None
            raise identities.taken(KINDS[error.kind], error) from None
        self._sweep()
        for step in self._then:
            step()

    def _writes(self) -> Iterator[Write]:
        """Yield the writes: what is made first, what is deleted last and deepest first."""
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
        """Delete what came to deleted records without a mark at the last moment."""
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
        """Take back that records are being deleted."""
        for (kind, key), record in self._records.items():
            if record.mark:
                leaving.unmark((kind, key), record.mark)


def _copy(body: Body | None) -> Body | None:
    return None if body is None else dict(body)


def is_document(resource: Resource) -> bool:
    """Return whether a resource's records are documents, which plans write."""
    return resource.store is None or bool(getattr(resource.store, "of_documents", False))


def delete_if_there(resource: Resource, key: str, call: Call) -> None:
    """Delete a record that belongs to one that is deleted; others may have been faster.

    Whether the caller may is decided by the record that it belongs to.
    """

    def part(plan: Plan) -> None:
        if plan.record(resource, key).body is not None:
            plan.delete(resource, key)

    planned(call, part)


def delete_notes(resource: Resource, row: Row, call: Call) -> None:
    """Delete the notes about a record that is no document and was deleted just now."""
    catalog.start_request()
    for note in references.notes_about(resource, row):
        delete_if_there(KINDS["note"], str(note["id"]), call)


def planned(
    call: Call, steps: Callable[[Plan], T], *, group: str | None = None, whole: bool = False
) -> T:
    """Plan writes and make them; from the beginning when others were faster.

    Parameters
    ----------
    call : Call
    steps : callable
        Takes the `Plan`, plans; may be called several times.
    group, whole : optional
        See `Plan`.

    Returns
    -------
    any
        What ``steps`` returned.

    Raises
    ------
    ApiError
        What the steps refuse; 409 if a record that is named is being deleted.
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
