"""Tasks as ibllib reads and patches them; claims and leases are in `routes.claims`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from functions.api import permissions
from functions.api.engine import read_values
from functions.api.engine.concurrency import check_match
from functions.api.engine.declarations import (
    Access,
    Body,
    Field,
    Resource,
    Row,
    datetime,
    declare,
    integer,
    json,
    number,
    ref,
    text,
)
from functions.api.engine.plan import delete_notes
from functions.api.engine.relations import check_references
from functions.api.engine.stores import Store
from functions.api.errors import Invalid, not_found
from shared import catalog
from shared.access import policy
from shared.alf import names
from shared.catalog.rows import Selection
from shared.records.errors import Exists, NotFound

if TYPE_CHECKING:
    from functions.api.call import Call
    from shared.work.item import Task

STATUSES = (
    *("Waiting", "Held", "Started", "Errored"),
    *("Abandoned", "Empty", "Incomplete", "Complete"),
)
SMALL = 32_767


class Tasks(Store):
    """Tasks, changed only through the state machine of `shared.work`."""

    def get(self, resource: Resource, key: str, call: Call) -> Body:
        """Return a task with its log.

        Raises
        ------
        ApiError
            404.
        """
        from shared.work import item, read

        try:
            return item.task_row(read.get_task(key.lower()), full=True)
        except NotFound:
            raise not_found("Task") from None

    def fill(self, resource: Resource, rows: list[Body], call: Call) -> list[Body]:
        """Return rows of the index with the logs, which are only in the table."""
        from shared.work import read

        logs = read.logs(rows)
        return [{**task, "log": logs.get(task["id"])} for task in rows]

    def create(self, resource: Resource, data: Mapping[str, Any], call: Call) -> Body:
        """Create a task; the same session, graph, name and arguments make the same task.

        Raises
        ------
        Invalid
            400.
        """
        from shared.work import write

        body = read_values.read_body(resource, data, call, partial=False)
        session = catalog.table("session").get(body["session"]) or {}
        permissions.check_lab(call.who, session["lab"])
        permissions.check_fields(call, resource, None, body)
        check_references(call, resource, None, body)
        start = session.get("start_time")
        sent = {name: value for name, value in body.items() if name in data}
        by = call.who.username
        return self._worded(lambda: write.create(session["id"], session["lab"], start, sent, by))

    def update(self, resource: Resource, key: str, data: Mapping[str, Any], call: Call) -> Body:
        """Change a task, its status by the state machine.

        Raises
        ------
        ApiError
            404, 403, 400.
        """
        from shared.work import item, patch

        new = read_values.read_body(resource, data, call, partial=True)

        def check(task: Task) -> None:
            present = item.task_row(task, full=True)
            permissions.check_lab(call.who, present["lab"])
            check_match(call, self.etag(resource, present))
            permissions.check_fields(call, resource, present, new)
            check_references(call, resource, present, new)

        return self._worded(lambda: patch.patch_task(key.lower(), new, call.who.username, check))

    def delete(self, resource: Resource, key: str, call: Call) -> None:
        """Delete a task.

        Raises
        ------
        ApiError
            404, 403.
        """
        from shared.work import item, write

        def check(task: Task) -> None:
            permissions.check_lab(call.who, task.lab)
            check_match(call, self.etag(resource, item.task_row(task, full=True)))

        try:
            write.delete(key.lower(), call.who.username, check)
        except NotFound:
            raise not_found("Task") from None
        delete_notes(resource, {"id": key.lower()}, call)

    def _worded(self, change: Any) -> Body:
        from shared.work import item

        try:
            return item.task_row(change(), full=True)
        except NotFound:
            raise not_found("Task") from None
        except Exists as error:
            raise Invalid(
                {"non_field_errors": [str(error)], "existing": [str(error.key)]}
            ) from None
        except item.TaskInvalid as error:
            name, _, message = str(error).partition(": ")
            raise Invalid({name: [message]}) from None


def _status(value: Any) -> None:
    if value not in STATUSES:
        raise ValueError(f'"{value}" is not a valid choice.')


def _parents_of(found: Selection) -> set[str]:
    """Return the tasks that some tasks wait for."""
    return {
        str(parent) for task in found.all(("parents",)) for parent in task.get("parents") or ()
    }


def _show(shown: Body, row: Row, call: Call) -> Body:
    """Return a task as it is shown; outside of lists with its worker and run record."""
    return {
        "id": row["id"],
        **shown,
        "parents": list(row.get("parents") or []),
        "lab": row.get("lab"),
        "attempt": row.get("attempt"),
        **(_run_of(row, call) if "run_record" in row else {}),
    }


def _run_of(row: Row, call: Call) -> Body:
    """Return a task's run; only callers who may read the lab's files see names of computers."""
    owner, record = row.get("owner"), row["run_record"]
    if not policy.may_see_files(call.who, row.get("lab")):
        owner, record = None, record and {**record, "worker": None, "host": None}
    return {"owner": owner, "lease_until": row.get("lease_until"), "run_record": record}


declare(
    Resource(
        path="tasks",
        kind="task",
        model="jobs.task",
        access=Access(worker="read create change", rig="read"),
        lab="session",
        store=Tasks(),
        fields={
            "name": text(null=True, maximum=64),
            "executable": text(null=True, maximum=128),
            "graph": text(null=True, maximum=64),
            "status": text(default="Waiting", check=_status),
            "priority": integer(maximum=SMALL),
            "io_charge": integer(maximum=SMALL),
            "level": integer(maximum=SMALL),
            "gpu": integer(maximum=SMALL),
            "cpu": integer(maximum=SMALL),
            "ram": integer(maximum=SMALL),
            "time_out_secs": integer(maximum=SMALL),
            "time_elapsed_secs": number(),
            "log": text(null=True, indexed=False),
            "hold": text(null=True, maximum=1000),
            "session": ref("session", by="id", required=True, null=False, on_delete="cascade"),
            "version": text(null=True, maximum=64),
            "parents": Field("json", to="task", shape="texts", default=()),
            "arguments": json(check=names.check_arguments),
            "data_repository": ref("data-repository"),
            "datetime": datetime(read_only=True, imported=True),
        },
        filters={"lab": "session__lab"},
        reverse={"children": ("task", _parents_of, "id")},
        order=("level", "-priority", "-session_start", "id"),
        show=_show,
        example={"session": "<session id>", "executable": "task.trials", "graph": "local"},
    ),
)
