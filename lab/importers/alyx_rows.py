"""Convert rows of Alyx into rows of Fornix."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Protocol
from uuid import UUID
from zoneinfo import available_timezones

from lab.importers.carrier import Carrier, Row
from lab.importers.identifiers import derived
from lab.importers.journal import Journal
from shared.alf.names import is_name

MAX_NICKNAME = 56
"""Characters of a line's nickname; the names of its animals add a number."""

AGGREGATE = re.compile(
    r"(?:^|/)aggregates/(?:Subjects/(?P<lab>[^/]+)/(?P<subject>[^/]+)|Tags/(?P<tag>[^/]+))/"
)
"""Paths of datasets that belong to a subject or a release."""

AGGREGATE_OF = (("subjects.subject", "subjects", "subject"), ("data.tag", "tags", "tag"))
"""Model, route and part of the path of the owners of such datasets."""

NAMED = {
    "species": "species",
    "strain": "strains",
    "source": "sources",
    "model": "probe-models",
    "coordinate_system": "coordinate-systems",
    "imaging_type": "imaging-types",
    "repository_type": "data-repository-type",
}
"""Fields that refer to rows of which Alyx has no list, and the resources of those rows."""

SECRET_KEYS = ("Access key ID", "Secret access key")
"""Credentials that Alyx stores in the ``json`` of data repositories; never copied."""


class RowUnfit(Exception):
    """A row of the source cannot be carried; the message says why."""


class RowLeft(RowUnfit):
    """A row of the source stays there on purpose; the message says why."""


ENDED = frozenset({"Complete", "Incomplete", "Empty", "Errored", "Abandoned"})
"""Statuses of tasks that are over, as Alyx names them."""


class RowContext(Protocol):
    """The part of the running import that conversions use."""

    carrier: Carrier
    journal: Journal

    def lab_time(self, subject: Any, text: Any) -> Any:
        """Convert a time of the server to the wall clock of the subject's lab."""

    def name_of(self, resource: str, reference: Any) -> str:
        """Return the name of a row from a reference by identifier or by name."""

    def animal(self, nickname: Any, lab: str | None = None) -> Any:
        """Return the reference to an animal that is unique among labs with the same nickname."""


def _bare(reference: Any) -> str | None:
    """Return the UUID of a row given by its address or identifier."""
    if reference in (None, ""):
        return None
    try:
        return str(UUID(str(reference)[-36:]))
    except ValueError:
        raise RowUnfit(
            f"refers to {str(reference)[:100]!r}, which is no address of a row"
        ) from None


def _items(row: Row, field: str) -> list[Any]:
    """Return the items of a row's list; a missing list is empty."""
    items = row.get(field) or []
    if not isinstance(items, list):
        raise RowUnfit(f"its {field.replace('_', ' ')} are not a list")
    return items


def session_row(job: RowContext, row: Row) -> None:
    """Refer to the parent session by its identifier, and to the animal with its lab."""
    row["subject"] = job.animal(row.get("subject"), row.get("lab"))
    row["parent_session"] = _bare(row.get("parent_session"))


def dataset_row(_: RowContext, row: Row) -> None:
    """Refer to the session by its identifier; keep the file records' fields that Fornix stores."""
    row["session"] = _bare(row.get("session"))
    row["hash"], row["revision"] = row.get("hash") or None, row.get("revision") or None
    records = _items(row, "file_records")
    if not all(isinstance(r, dict) for r in records):
        raise RowUnfit("its file records are not a list of rows")
    stored_fields = ("data_repository", "relative_path", "exists", "json")
    row["file_records"] = [{k: r[k] for k in stored_fields if k in r} for r in records]


def aggregate_row(job: RowContext, row: Row) -> None:
    """Find the owner of a dataset without session: Alyx's row lacks it, but its path has it.

    ``aggregates/Subjects/<lab>/<subject>/…`` and ``aggregates/Tags/<tag>/…`` (ONE convention).
    """
    dataset_row(job, row)
    if row.get("content_type"):
        return  # a Fornix names the owner
    for record in row["file_records"]:
        match = AGGREGATE.search(str(record.get("relative_path")))
        for model, resource, part in AGGREGATE_OF:
            if match and (name := match[part]):
                row["content_type"] = model
                if part == "subject":
                    name = job.animal(name, match["lab"])
                row["object_id"] = job.journal.state(f"id of {resource}", name) or name
                return
    raise RowUnfit("a dataset of no session, and no path that says what it belongs to")


def repository_row(job: RowContext, row: Row) -> None:
    """Remove access keys."""
    named_row(job, row)
    settings = row.get("json")
    if isinstance(settings, dict) and any(key in settings for key in SECRET_KEYS):
        row["json"] = {k: v for k, v in settings.items() if k not in SECRET_KEYS}
        job.journal.note("data-repository: access keys in the json are not copied")


def lab_row(job: RowContext, row: Row) -> None:
    """Remember the lab's time zone."""
    zone = row.get("timezone")
    if isinstance(zone, str) and zone in available_timezones():
        job.journal.mark("zone of lab", [str(row.get("name"))], zone)


def short_name(line: str) -> str:
    """Return a short name of a line, used in its animals' names; Alyx does not show its own.

    Names that need changes get a suffix of their own, so that no two become equal.
    """
    if len(line) <= MAX_NICKNAME and is_name("subject", line):
        return line
    tail = hashlib.sha256(line.encode()).hexdigest()[:6]
    return re.sub(r"[^\w-]", "_", line)[: MAX_NICKNAME - 7] + f"_{tail}"


def subject_row(job: RowContext, row: Row) -> None:
    """Remember the subject's lab; create the line, the litter and the alleles that it names.

    Alyx shows only the names of these.
    """
    named_row(job, row)
    line, litter = row.get("line") or None, row.get("litter") or None
    if isinstance(line, str):
        made = {"name": line, "nickname": short_name(line), "lab": row.get("lab")}
        job.carrier.ensure("lines", line, made)
    if isinstance(litter, str) and line:
        job.carrier.ensure("litters", litter, {"name": litter, "line": line})
    elif litter:
        row["litter"] = None
        job.journal.note("litters of animals without a line are not copied: a litter has one")
    for entry in _items(row, "zygosities"):
        if isinstance(entry, dict) and isinstance(entry.get("allele"), str):
            job.carrier.ensure("alleles", entry["allele"], {"nickname": entry["allele"]})
    nickname, lab = str(row.get("nickname")), str(row.get("lab"))
    known_lab = job.journal.state("lab of subject", nickname)
    if known_lab in (None, lab):
        job.journal.mark("lab of subject", [nickname], lab)
        return
    job.journal.mark("namesakes", [nickname], known_lab)
    for entry in (known_lab, lab):
        job.journal.mark("lab of subject", [f"{nickname}@{entry}"], entry)


def event_row(job: RowContext, row: Row) -> None:
    """Convert the time to the lab's wall clock."""
    animal_row(job, row)
    row["date_time"] = job.lab_time(row.get("subject"), row.get("date_time"))


def user_row(job: RowContext, row: Row) -> None:
    """Keep the delegates for later."""
    if delegates := row.pop("allowed_users", None):
        # Delegates may come later in the list.
        job.journal.mark("delegates", [str(row.get("username"))], json.dumps(delegates))
    job.journal.note("users come without passwords: invite them")


def animal_row(job: RowContext, row: Row) -> None:
    """Refer to the animal of the lab being read, if several labs share the nickname."""
    row["subject"] = job.animal(row.get("subject"))


def restriction_row(job: RowContext, row: Row) -> None:
    """Give a restriction an identifier, which Alyx does not show."""
    animal_row(job, row)
    if not row.get("subject") or not row.get("start_time"):
        raise RowUnfit("the restriction has no subject or no start")
    if "id" not in row:  # Alyx does not show it
        key = ("water-restriction", str(row["subject"]), str(row["start_time"]))
        row["id"] = str(derived(*key))


def named_row(job: RowContext, row: Row) -> None:
    """Create the probe models and similar rows that a row names; Alyx has no lists of them."""
    for field, resource in NAMED.items():
        if isinstance(name := row.get(field), str) and name:
            job.carrier.ensure(resource, name, {"name": name})


def chronic_row(job: RowContext, row: Row) -> None:
    """Refer to the animal, and create the probe model."""
    animal_row(job, row)
    named_row(job, row)


def surgery_row(job: RowContext, row: Row) -> None:
    """Replace the identifiers in Alyx's raw rows by the names that the API's relations use."""
    row["subject"] = job.animal(job.name_of("subjects", row.get("subject")))
    for field, resource in (("users", "users"), ("procedures", "procedures")):
        row[field] = [job.name_of(resource, i) for i in _items(row, field)]
    for field in ("start_time", "end_time"):
        row[field] = job.lab_time(row["subject"], row.get(field))


def task_row(_: RowContext, row: Row) -> None:
    """Carry a task that has ended; Fornix plans anew what has still to be done."""
    status = row.get("status")
    if not isinstance(status, str) or status not in ENDED:
        raise RowLeft("tasks that have not ended are made anew from the sessions' data")
    row["session"] = _bare(row.get("session"))
    if row["session"] is None:
        raise RowLeft("tasks of no session")
    row["name"] = row.get("name") or row.get("executable")
