"""The board: the state of a lab's workers and tasks, and a session's expected and present data.

It is for people: sessions have names, and reasons come first. Machines see their own lab only.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from chalice.app import Blueprint

from functions.api import permissions
from functions.api.call import Call
from functions.api.errors import not_found
from shared import catalog
from shared.datasets.read import content_hashes
from shared.model.identity import SessionKey
from shared.model.json import plain
from shared.model.messages import ChangesDue, NoticesDue, Sweep
from shared.records import keys, queues
from shared.records.items import Session
from shared.records.where import Where
from shared.sessions.contents import session_and_datasets
from shared.tasks.description import BadDescription, description_in
from shared.tasks.planning import unprocessed
from shared.tasks.registry import declaration
from shared.tasks.states import TERMINAL, Status
from shared.work import board, read
from shared.work.item import Task, task_row

routes = Blueprint(__name__)

LISTED = (Status.STARTED, Status.WAITING, Status.HELD, Status.ERRORED)
"""Statuses whose tasks are listed; all are counted."""

FUNCTIONS = ("ingest", "dispatch", "analysis", "notices")
"""Functions with a queue."""

SHOWN = 50
"""Most tasks listed per status, the latest first."""

SESSIONS = 20
"""Latest sessions in the median time to a result."""

LOOKED_AT = 20
"""Most messages shown of a dead-letter queue."""

LAST_LINE = 300
"""Most characters of a log's last line."""


@routes.route("/board", methods=["GET"])
def lab_board() -> dict[str, Any]:
    """Show a lab's workers, queue and tasks: what runs, waits, is held and has failed."""
    call = Call(routes.current_request)
    lab = call.query.get("lab") or (call.who.labs[0] if call.who.labs else "")
    permissions.check_lab(call.who, lab)
    now = datetime.now(UTC)
    by_status = {status: _tasks_in(lab, status) for status in Status}
    last = {status: by_status[status].page(0, SHOWN) for status in LISTED}
    logs = read.logs(task for rows in last.values() for task in rows)
    names = _names(task for rows in last.values() for task in rows)
    waiting = _tasks_in(lab, Status.WAITING, "datetime").page(0, 1)
    waited = _age(waiting[0], now) if waiting else 0
    done = by_status[Status.COMPLETE].page(0, 10 * SHOWN)
    return {
        "lab": lab,
        "at": now.isoformat(timespec="seconds"),
        "workers": [plain(worker) for worker in board.workers(lab)],
        "queue": _queue(lab),
        "counts": {status.label: len(by_status[status]) for status in Status},
        "oldest_waiting": waited,
        "silent": board.silence(lab, waited, now),
        "median_seconds": _median_seconds(done),
        "time_to_result": _median_to_result(done),
        **{
            status.label.lower(): [_entry(task, names, logs, now) for task in rows]
            for status, rows in last.items()
        },
    }


@routes.route("/board/{session}", methods=["GET"])
def session_board(session: str) -> dict[str, Any]:
    """Show what a session should have against what it has, and what nobody here processes."""
    call = Call(routes.current_request)
    item, datasets = session_and_datasets(session.lower(), strong=True)
    permissions.check_lab(call.who, item.lab)
    paths = content_hashes(datasets)
    now = datetime.now(UTC)
    tasks = read.of_session(item.id)
    try:
        reasons = unprocessed(paths, description_in(item.json), item.task_protocol)
    except BadDescription as error:
        reasons = [str(error)]
    task_views = [_task(task, paths, now) for task in tasks]
    counts = Counter(output["present"] for task in task_views for output in task["expected"])
    return {
        "session": item.id,
        "name": _name(item),
        "protocol": item.task_protocol,
        "tasks": task_views,
        "expected": sum(counts.values()),
        "present": counts[True],
        "not_processed": reasons,
        "time_to_result": _time_to_result(item, tasks),
    }


@routes.route("/queues", methods=["GET"])
def show_queues() -> dict[str, Any]:
    """Show how many messages each queue holds, and what lies in its dead-letter queue."""
    call = Call(routes.current_request)
    view = {}
    for name in _queue_names(call.query.get("lab")):
        url = queues.address(name)
        dead = queues.look(queues.dead(url), LOOKED_AT)
        view[name] = {
            "messages": queues.depth(url),
            "dead": queues.depth(queues.dead(url)),
            "dead_messages": dead,
        }
    return view


@routes.route("/queues/{queue}/redrive", methods=["POST"])
def redrive(queue: str) -> dict[str, Any]:
    """Send the messages of a dead-letter queue again; events of schedules are dropped."""
    if queue not in _queue_names(queue.partition("work-")[2] or None):
        raise not_found("queue")
    sent, dropped = queues.redrive(queue, drop=(Sweep, NoticesDue, ChangesDue))
    return {"queue": queue, "sent": sent, "dropped": dropped}


def _queue_names(lab: str | None) -> list[str]:
    labs = [lab] if lab else sorted(catalog.table("lab").select().values("name"))
    return [*FUNCTIONS, *(f"work-{laboratory}" for laboratory in sorted(labs))]


def _queue(lab: str) -> dict[str, int | None]:
    """Return how many messages a lab's queue holds; None if unknown."""
    url = queues.address(f"work-{lab}")
    return {"messages": queues.depth(url), "dead": queues.depth(queues.dead(url))}


def _tasks_in(lab: str, status: Status, order: str = "-datetime") -> Any:
    """Return the rows of a lab's tasks in a status, the latest first."""
    wanted = [Where("lab", "exact", lab), Where("status", "exact", status.label)]
    return catalog.table("task").select(wanted, order=(order, "id"))


def _names(rows: Any) -> dict[str, str]:
    """Return the names of sessions for people, by id."""
    names = {}
    for eid in {str(record["session"]) for record in rows}:
        record = catalog.table("session").get(eid)
        if record:
            day = str(record["start_time"])[:10]
            key = SessionKey(record["lab"], record["subject"], day, int(record["number"]))
            names[eid] = f"{key.lab}/{key.short}"
    return names


def _name(session: Session) -> str:
    return f"{session.lab}/{session.key.short}"


def _age(row: Mapping[str, Any], now: datetime) -> int:
    """Return the seconds since the last change of a task."""
    changed = datetime.fromisoformat(str(row["datetime"])).replace(tzinfo=UTC)
    return max(0, round((now - changed).total_seconds()))


def _entry(
    row: Mapping[str, Any], names: Mapping[str, str], logs: Mapping[str, str], now: datetime
) -> dict[str, Any]:
    return {
        "reason": row.get("hold") or _last_line(logs.get(str(row["id"]))),
        "name": row["name"],
        "session": names.get(str(row["session"]), row["session"]),
        "id": row["id"],
        "age": _age(row, now),
        "owner": row.get("owner"),
        "lease_until": row.get("lease_until"),
        "attempt": row.get("attempt"),
    }


def _last_line(log: str | None) -> str | None:
    lines = (log or "").strip().splitlines()
    return lines[-1][:LAST_LINE] if lines else None


def _median_seconds(rows: list[Mapping[str, Any]]) -> dict[str, float]:
    """Return the median seconds that tasks took, by name."""
    from statistics import median  # imports fractions and decimal, only needed here

    times: dict[str, list[float]] = {}
    for task in rows:
        if task.get("time_elapsed_secs") is not None:
            times.setdefault(str(task["name"]), []).append(float(task["time_elapsed_secs"]))
    return {name: round(median(durations), 3) for name, durations in sorted(times.items())}


def _median_to_result(rows: list[Mapping[str, Any]]) -> int | None:
    """Return the median seconds from a session's registration to its last task's end.

    It is over the sessions whose tasks ended last; None if there are none.
    """
    from statistics import median  # as above

    ends: dict[str, str] = {}
    for task in rows:
        eid = str(task["session"])
        ends[eid] = max(ends.get(eid, ""), str(task["datetime"]))
    latest = sorted(ends, key=lambda eid: ends[eid], reverse=True)[:SESSIONS]
    times = [
        (_instant(ends[session.id]) - _instant(str(session.created))).total_seconds()
        for session in Session.batch_get([(keys.session(eid), "A") for eid in latest])
    ]
    return max(0, round(median(times))) if times else None


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _task(task: Task, paths: Mapping[str, str], now: datetime) -> dict[str, Any]:
    """Return a task with its expected outputs, and whether they exist."""
    row = task_row(task)
    declared = declaration(task.executable, task.arguments)
    return {
        **_entry(row, {}, {task.id: task.log or ""}, now),
        "session": row["session"],
        "status": task.status,
        "arguments": row["arguments"],
        "upload": task.upload,
        "run_record": json.loads(task.run_record) if task.run_record else None,
        "expected": [
            {
                "path": str(output),
                "required": output.required,
                "present": any(map(output.matches, paths)),
            }
            for output in (declared.outputs if declared else ())
        ],
    }


def _time_to_result(session: Session, tasks: list[Task]) -> int | None:
    """Return the seconds from a session's registration to the end of its last task."""
    if not tasks or any(task.state not in TERMINAL for task in tasks):
        return None
    last = max(_instant(task.datetime) for task in tasks)
    return max(0, round((last - _instant(str(session.created))).total_seconds()))
