"""``fornix import alyx``: copy a running Alyx, in the order in which rows refer to each other.

Lists are read by limit and offset. Several of Alyx's lists have no order, so that a page may
repeat rows of another and miss some: identifiers seen are counted against the list's ``count``
and the list is read again while some are missing. Sessions and their datasets are read one
session at a time, because only the session's detail has all its fields.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from lab.client import ClientError, NotFound, Refused

from .alyx_source import AlyxSource
from .bytes import Mover, Remote
from .carrier import Carrier, Row
from .identifiers import derived

CHUNK = 25
"""Sessions read and sent between two commits of the journal."""

AGGREGATE = re.compile(
    r"(?:^|/)aggregates/(?:Subjects/[^/]+/(?P<subject>[^/]+)|Tags/(?P<tag>[^/]+))/"
)
"""Paths of datasets that belong to a subject or a release."""

AGGREGATE_OF = (("subjects.subject", "subjects", "subject"), ("data.tag", "tags", "tag"))
"""Model, route and part of the path of what such datasets belong to."""

PASSES = 3
"""Times that a list without order is read before rows that did not show up are given up."""

SHORT_LIST = f"the source counts more rows than its list showed in {PASSES} readings"

NAMED = {
    "species": "species",
    "strain": "strains",
    "source": "sources",
    "model": "probe-models",
    "coordinate_system": "coordinate-systems",
    "imaging_type": "imaging-types",
    "repository_type": "data-repository-type",
}
"""Fields that name rows of which Alyx has no list, and the resources of those."""

SECRET_KEYS = ("Access key ID", "Secret access key")
"""Credentials that Alyx keeps in the ``json`` of data repositories; never copied."""


class Unfit(Exception):
    """A row of the source cannot be carried; the message says why."""


@dataclass(frozen=True)
class Step:
    """One list of Alyx that is copied row by row.

    Attributes
    ----------
    resource : str
        Route of the list, and resource of Fornix.
    carried : str
        Fields that are copied, separated by spaces.
    computed : str
        Fields that Fornix computes itself, or that repeat other rows.
    key : str
        Field that names a row in the report; ``'id'`` for the identifier.
    convert : callable, optional
        Changes a row before it is sent; raises :class:`Unfit`.
    filters : tuple of (str, str)
        Query of the list.
    """

    resource: str
    carried: str
    computed: str = ""
    key: str = "id"
    convert: Callable[[AlyxImport, Row], None] | None = None
    filters: tuple[tuple[str, str], ...] = ()


class AlyxImport:
    """Copies an Alyx into Fornix.

    Parameters
    ----------
    source : AlyxSource
        Where to read.
    carrier : Carrier
        Where to send, with the journal.
    server_zone : ZoneInfo, optional
        Time zone of the Alyx server, in which it keeps weighings, waterings and surgeries; they
        become the lab's wall-clock times, as Alyx itself shifts them before it counts a day's
        water. None: they are the lab's already.
    mover : Mover, optional
        Brings the bytes too.
    """

    def __init__(
        self,
        source: AlyxSource,
        carrier: Carrier,
        server_zone: ZoneInfo | None = None,
        mover: Mover | None = None,
    ) -> None:
        self.mover = mover
        self._chunk = 1 if mover else CHUNK
        self._remotes: dict[str, list[Remote]] = {}
        self.source = source
        self.server_zone = server_zone
        self.carrier = carrier
        self.journal = carrier.journal

    def run(self) -> None:
        """Copy everything that is not yet behind, according to the journal."""
        for step in BEFORE_SESSIONS:
            self._copy_list(step)
        self._copy_delegates()
        self._list_sessions()
        self._copy_sessions()
        for step in AFTER_SESSIONS:
            self._copy_list(step)
        self._mention_the_rest()

    # Lists

    def _copy_list(self, step: Step) -> None:
        """Copy a list, from the page that was reached."""
        name = " ".join([step.resource, *(f"{k}={v}" for k, v in step.filters)])
        if self.journal.get(name + " done"):
            return
        for _ in range(PASSES):
            count = self._read_list(name, step)
            missing = count - self.journal.count(name)
            if missing <= 0:
                break
            self.journal.set(name + " offset", 0)
        else:
            self.carrier.refuse(step.resource, f"{missing} rows", SHORT_LIST)
        self.journal.set(name + " done", True)

    def _read_list(self, name: str, step: Step) -> int:
        """Read a list once, from the offset reached; return its length."""
        offset = self.journal.get(name + " offset", 0)
        while True:
            try:
                count, rows = self.source.page("/" + step.resource, offset, **dict(step.filters))
            except NotFound:
                if offset:
                    raise
                self.journal.note(f"the source has no {step.resource}")
                return 0
            with self.journal.transaction():
                self.carrier.carry(step.resource, self._fit_rows(name, step, rows))
                offset += len(rows)
                self.journal.set(name + " offset", offset)
            self.carrier.progress(step.resource, offset, count)
            if offset >= count or not rows:
                return count

    def _fit_rows(self, name: str, step: Step, rows: list[Any]) -> Iterator[Row]:
        """Yield what is sent of the rows not seen before."""
        for row in rows:
            try:
                if not isinstance(row, dict):
                    raise Unfit("the source shows something that is no row")
                key = str(_identifier(row) or "" if step.key == "id" else row.get(step.key) or "")
                fit = self.fit(step, row)
                key = key or str(fit.get("id") or "")
                if not key:
                    raise Unfit("the row has no identifier")
            except Unfit as problem:
                shown = str(row)[:200]
                if self.journal.add(name, ["unfit " + shown], "unfit"):
                    self.carrier.refuse(step.resource, shown, str(problem))
                continue
            # What later rows refer to by id and Fornix by name is kept as the item's state.
            if self.journal.add(name, [key], "seen"):
                if "id" in fit and step.key != "id":
                    self.journal.add(f"name of {step.resource}", [str(fit["id"])], key)
                    self.journal.add(f"id of {step.resource}", [key], str(fit["id"]))
                yield fit

    def fit(self, step: Step, row: Row) -> Row:
        """Return the part of a row that is carried; note fields that nothing is known about."""
        carried, computed = step.carried.split(), step.computed.split()
        result = {k: row[k] for k in carried if k in row}
        if identifier := _identifier(row):
            result["id"] = identifier
        for field, value in row.items():
            if field not in {"id", "url", *carried, *computed} and value not in (None, "", [], {}):
                self.journal.note(f"{step.resource}: the field {field!r} is not carried")
        if step.convert:
            step.convert(self, result)
        return result

    def _copy_delegates(self) -> None:
        """Say who may act for whom, when all users are there."""
        for username, delegates in self.journal.states("delegates"):
            try:
                if not self.carrier.dry_run:
                    path = f"/users/{quote(username, safe='')}"
                    self.carrier.api.patch(path, {"allowed_users": json.loads(delegates)})
            except Refused as error:
                reason = "the server refuses the users who may act for this one"
                self.carrier.refuse("users", username, reason, f"{username}: {error}")

    # Sessions and datasets

    def _list_sessions(self) -> None:
        """Write down the identifiers of all sessions."""
        if self.journal.get("sessions listed"):
            return
        for _ in range(PASSES):
            offset, count = self.journal.get("sessions offset", 0), 1
            while offset < count:
                count, rows = self.source.page("/sessions", offset)
                with self.journal.transaction():
                    for row in rows:
                        self._note_session(row)
                    offset += len(rows)
                    self.journal.set("sessions offset", offset)
                self.carrier.progress("list of sessions", offset, count)
                if not rows:
                    break
            if self.journal.count("sessions") >= count:
                break
            self.journal.set("sessions offset", 0)
        else:
            missing = count - self.journal.count("sessions")
            self.carrier.refuse("sessions", f"{missing} rows", SHORT_LIST)
        self.journal.set("sessions listed", True)

    def _note_session(self, row: Any) -> None:
        identifier = _identifier(row) if isinstance(row, dict) else None
        if identifier:
            self.journal.add("sessions", [identifier], "turn 0")
        elif self.journal.add("sessions", ["unfit " + str(row)[:200]], "unfit"):
            self.carrier.refuse("sessions", str(row)[:200], "the row has no identifier")

    def _copy_sessions(self) -> None:
        """Copy the sessions listed with their datasets; children after their parents.

        A session whose parent is still to come waits for the next turn. A turn in which nothing
        got on leaves only sessions that wait for each other: they are carried without parents.
        """
        turn, behind = self.journal.get("turn", (0, -1))
        while True:
            while chunk := self.journal.items("sessions", f"turn {turn}", self._chunk):
                self._copy_chunk(chunk, f"turn {turn + 1}")
            if not self.journal.count("sessions", f"turn {turn + 1}"):
                return
            done = self.journal.count("sessions", "done")
            if done == behind:
                self.journal.set("cut parents", True)
            turn, behind = turn + 1, done
            self.journal.set("turn", (turn, behind))

    def _copy_chunk(self, eids: list[str], waiting: str) -> None:
        """Copy some sessions and their datasets; commit when the server has all.

        Parameters
        ----------
        eids : list of str
            The sessions.
        waiting : str
            State of those that must wait.
        """
        with self.journal.transaction():
            rows = []
            for eid in eids:
                row = self._session(eid)
                if row is None:
                    self.journal.mark("sessions", [eid], "not carried")
                elif self._must_wait(row):
                    self.journal.mark("sessions", [eid], waiting)
                else:
                    rows.append(row)
            refused = self.carrier.carry("sessions", rows)
            self.journal.mark("sessions", refused, "not carried")
            for eid in refused:
                self._leave_datasets(eid)
            sent = [row["id"] for row in rows if row["id"] not in refused]
            self.carrier.carry("datasets", (d for eid in sent for d in self._datasets(eid)))
            if self.mover:
                for eid in sent:
                    self.mover.move(eid, self._remotes.pop(eid, []))
            self.journal.mark("sessions", sent, "done")
        behind = self.journal.count("sessions", "done")
        self.carrier.progress("sessions", behind, self.journal.count("sessions"))

    def _leave_datasets(self, eid: str) -> None:
        """Account for the datasets of a session that the server refused."""
        count = int(self.source.get("/datasets", session=eid, limit=1)["count"])
        if count:
            reason = "its session was not carried"
            detail = f"{count} datasets of session {eid}"
            self.carrier.refuse("datasets", f"of session {eid}", reason, detail, n=count)

    def _session(self, eid: str) -> Row | None:
        """Return a session's row, or None after accounting for why there is none."""
        try:
            row = self.source.get(f"/sessions/{eid}")
            if not isinstance(row, dict) or _identifier(row) != eid:
                raise Unfit("the source shows another row under the session's address")
            return self.fit(SESSIONS, row)
        except Unfit as problem:
            self.carrier.refuse("sessions", eid, str(problem))
        except NotFound as error:
            self.carrier.refuse("sessions", eid, "deleted from the source meanwhile", str(error))
        except Refused as error:
            if error.status != 500:
                raise
            self.carrier.refuse("sessions", eid, "the source fails to show it", str(error))
        return None

    def _must_wait(self, row: Row) -> bool:
        """Say whether a session's parent is still to come; cut the link if it never will."""
        parent = row.get("parent_session")
        if not parent:
            return False
        state = self.journal.state("sessions", parent)
        if state == "done":
            return False
        if state in (None, "not carried") or self.journal.get("cut parents"):
            row["parent_session"] = None
            self.journal.note("sessions whose parent session could not be carried: carried alone")
            return False
        return True

    def _datasets(self, eid: str) -> Iterator[Row]:
        """Yield the rows of a session's datasets, each once."""
        seen: set[str] = set()
        for _ in range(PASSES):
            offset, count = 0, 1
            while offset < count:
                count, rows = self.source.page("/datasets", offset, session=eid)
                for row in rows:
                    key = str(row.get("url") if isinstance(row, dict) else row)
                    if key not in seen:
                        seen.add(key)
                        yield from self._dataset(row, eid)
                offset += len(rows)
                if not rows:
                    break
            if len(seen) >= count:
                return
        self.carrier.refuse("datasets", f"{count - len(seen)} rows of session {eid}", SHORT_LIST)

    def _dataset(self, row: Any, eid: str) -> Iterator[Row]:
        """Yield what is sent of a dataset, or account for why it is not."""
        try:
            if not isinstance(row, dict) or not _identifier(row):
                raise Unfit("the row has no identifier")
            fit = self.fit(DATASETS, row)
            if fit.get("session") != eid:
                raise Unfit("the source shows a dataset of another session")
            if self.mover:
                self._remotes.setdefault(eid, []).append(_remote(row, fit))
            yield fit
        except Unfit as problem:
            self.carrier.refuse("datasets", str(row)[:200], str(problem))

    def _mention_the_rest(self) -> None:
        """Note how many rows there are of what is not copied."""
        for route, why in NOT_COPIED.items():
            try:
                count = int(self.source.get("/" + route, limit=1)["count"])
            except (ClientError, KeyError, TypeError, ValueError):
                continue
            if count:
                self.journal.note(f"{count} rows of {route} are not copied: {why}")

    def lab_time(self, subject: Any, text: Any) -> Any:
        """Return a time of the server's as the wall clock of the subject's lab shows it.

        Raises
        ------
        Unfit
            The text is no time.
        """
        lab = self.journal.state("lab of subject", str(subject))
        zone = lab and self.journal.state("zone of lab", lab)
        if self.server_zone is None or not zone or text is None:
            return text
        try:
            time = datetime.fromisoformat(text)
        except (TypeError, ValueError):
            raise Unfit(f"{str(text)[:50]!r} is no time") from None
        time = time if time.tzinfo else time.replace(tzinfo=self.server_zone)
        return time.astimezone(ZoneInfo(zone)).replace(tzinfo=None).isoformat()

    def name_of(self, resource: str, reference: Any) -> str:
        """Return the name of a row that was referred to by its identifier, or by its name.

        Raises
        ------
        Unfit
            No such row was seen.
        """
        name = self.journal.state(f"name of {resource}", str(reference))
        if name is None and self.journal.state(resource, str(reference)) is None:
            raise Unfit(f"refers to a row of {resource} that the source does not list")
        return name or str(reference)


def _remote(row: Row, fit: Row) -> Remote:
    """Return where a dataset's bytes are: its first file record that exists and has an address."""
    records = [r for r in row.get("file_records") or [] if r.get("exists") and r.get("data_url")]
    revision = f"#{fit['revision']}#" if fit.get("revision") else ""
    parts = (fit.get("collection"), revision, fit.get("name"))
    return Remote(
        id=fit["id"],
        path="/".join(str(part) for part in parts if part),
        url=records[0]["data_url"] if records else None,
        size=fit.get("file_size"),
        md5=fit["hash"],
    )


def _identifier(row: Row) -> str | None:
    """Return a row's UUID, from its ``id`` or else from the end of its ``url``."""
    for text in (row.get("id"), str(row.get("url") or "")[-36:]):
        try:
            return str(UUID(text))
        except (TypeError, ValueError, AttributeError):
            continue
    return None


def _bare(reference: Any) -> str | None:
    """Return the UUID of a row given by its address or identifier."""
    if reference in (None, ""):
        return None
    try:
        return str(UUID(str(reference)[-36:]))
    except ValueError:
        raise Unfit(f"refers to {str(reference)[:100]!r}, which is no address of a row") from None


def _session(_: AlyxImport, row: Row) -> None:
    row["parent_session"] = _bare(row.get("parent_session"))


def _dataset(_: AlyxImport, row: Row) -> None:
    row["session"] = _bare(row.get("session"))
    row["hash"], row["revision"] = row.get("hash") or None, row.get("revision") or None
    records = row.get("file_records") or []
    if not isinstance(records, list) or not all(isinstance(r, dict) for r in records):
        raise Unfit("its file records are not a list of rows")
    kept = ("id", "data_repository", "relative_path", "exists", "json")
    row["file_records"] = [{k: r[k] for k in kept if k in r} for r in records]


def _aggregate(job: AlyxImport, row: Row) -> None:
    """Find what a dataset of no session belongs to: Alyx does not say, but its path does.

    ``aggregates/Subjects/<lab>/<subject>/…`` and ``aggregates/Tags/<tag>/…`` (ONE convention).
    """
    _dataset(job, row)
    if row.get("content_type"):
        return  # Fornix says
    for record in row["file_records"]:
        match = AGGREGATE.search(str(record.get("relative_path")))
        for model, resource, part in AGGREGATE_OF:
            if match and (name := match[part]):
                row["content_type"] = model
                row["object_id"] = job.journal.state(f"id of {resource}", name) or name
                return
    raise Unfit("a dataset of no session, and no path that says what it belongs to")


def _repository(job: AlyxImport, row: Row) -> None:
    _named(job, row)
    settings = row.get("json")
    if isinstance(settings, dict) and any(key in settings for key in SECRET_KEYS):
        row["json"] = {k: v for k, v in settings.items() if k not in SECRET_KEYS}
        job.journal.note("data-repository: access keys in the json are not copied")


def _lab(job: AlyxImport, row: Row) -> None:
    zone = row.get("timezone")
    if isinstance(zone, str) and zone in available_timezones():
        job.journal.mark("zone of lab", [str(row.get("name"))], zone)


def _subject(job: AlyxImport, row: Row) -> None:
    _named(job, row)
    job.journal.mark("lab of subject", [str(row.get("nickname"))], str(row.get("lab")))


def _event(job: AlyxImport, row: Row) -> None:
    row["date_time"] = job.lab_time(row.get("subject"), row.get("date_time"))


def _user(job: AlyxImport, row: Row) -> None:
    if delegates := row.pop("allowed_users", None):
        # They may come later in the list.
        job.journal.mark("delegates", [str(row.get("username"))], json.dumps(delegates))
    job.journal.note("users come without passwords: invite them")


def _restriction(_: AlyxImport, row: Row) -> None:
    if not row.get("subject") or not row.get("start_time"):
        raise Unfit("the restriction has no subject or no start")
    if "id" not in row:  # Alyx does not show it
        key = ("water-restriction", str(row["subject"]), str(row["start_time"]))
        row["id"] = str(derived(*key))


def _named(job: AlyxImport, row: Row) -> None:
    """Make the probe models and the like that a row names; Alyx has no lists of them."""
    for field, resource in NAMED.items():
        if isinstance(name := row.get(field), str) and name:
            job.carrier.ensure(resource, name, {"name": name})


def _surgery(job: AlyxImport, row: Row) -> None:
    """Turn the identifiers of Alyx's raw rows into the names that the API's relations use."""
    row["subject"] = job.name_of("subjects", row.get("subject"))
    for field, resource in (("users", "users"), ("procedures", "procedures")):
        row[field] = [job.name_of(resource, i) for i in row.get(field) or []]
    for field in ("start_time", "end_time"):
        row[field] = job.lab_time(row["subject"], row.get(field))


SESSIONS = Step(
    "sessions",
    "subject users location procedures lab projects type task_protocol number start_time end_time"
    " narrative parent_session n_trials n_correct_trials extended_qc qc json auto_datetime"
    # of a Fornix:
    " public embargo_until synthetic",
    "project notes wateradmin_session_related data_dataset_session_related probe_insertion"
    " field_of_view",
    convert=_session,
)

DATASETS = Step(
    "datasets",
    "name created_by created_datetime dataset_type data_format collection session file_size hash"
    " version file_records auto_datetime revision default_dataset tags qc json",
    "experiment_number protected public",
    convert=_dataset,
)

BEFORE_SESSIONS = (
    Step(
        "data-repository",
        "name timezone globus_path globus_endpoint_id hostname data_url repository_type"
        " globus_is_personal json",
        key="name",
        convert=_repository,
    ),
    Step(
        "labs",
        "name institution address timezone repositories reference_weight_pct zscore_weight_pct"
        " json",
        key="name",
        convert=_lab,
    ),
    Step(
        "users",
        "username email lab allowed_users is_stock_manager is_public_user is_active",
        "subjects_responsible",
        key="username",
        convert=_user,
    ),
    Step("projects", "name description users json", key="name"),
    Step("dataset-types", "name filename_pattern description created_by json", key="name"),
    Step(
        "data-formats",
        "name description file_extension matlab_loader_function python_loader_function json",
        key="name",
    ),
    Step("revisions", "name description created_datetime json", key="name"),
    Step("tags", "name description protected public hash json", "datasets sessions", key="name"),
    Step("water-type", "name json", key="name"),
    Step("procedures", "name description json", key="name"),
    Step("locations", "name lab json", key="name"),
    Step(
        "subjects",
        "nickname responsible_user birth_date death_date species sex litter strain source line"
        " projects lab description json"
        # of a Fornix:
        " wean_date genotype_date reduced_date cage ear_mark adverse_effects actual_severity"
        " to_be_genotyped to_be_culled zygosities",
        "protocol_number age_weeks session_projects alive reference_weight last_water_restriction"
        " expected_water remaining_water weighings water_administrations",
        key="nickname",
        convert=_subject,
    ),
)

AFTER_SESSIONS = (
    Step(
        "datasets",
        DATASETS.carried + " content_type object_id",
        DATASETS.computed,
        convert=_aggregate,
        filters=(("django", "session__isnull,True"),),
    ),
    Step(
        "chronic-insertions",
        "name subject lab model start_time serial json",
        "probe_insertion",
        convert=_named,
    ),
    Step(
        "insertions",
        "session model name json serial auto_datetime chronic_insertion",
        "session_info datasets",
        convert=_named,
    ),
    Step(
        "trajectories",
        "probe_insertion chronic_insertion x y z depth theta phi roll provenance"
        " coordinate_system datetime json",
        "session probe_name subject",
        convert=_named,
    ),
    Step(
        "brain-regions",
        "id acronym name description parent ontology",
        "related_descriptions",
        key="acronym",
    ),
    Step("channels", "axial lateral x y z brain_region trajectory_estimate json"),
    Step("imaging-stack", "name json", "slices"),
    Step("fields-of-view", "session imaging_type name stack json", "location", convert=_named),
    Step(
        "fov-location",
        "field_of_view provenance default_provenance x y z n_xyz brain_region coordinate_system",
        "auto_datetime",
        convert=_named,
    ),
    Step("weighings", "subject date_time weight user", convert=_event),
    Step(
        "water-administrations",
        "subject date_time water_administered water_type user session adlib",
        convert=_event,
    ),
    Step(
        "water-restriction",
        "subject start_time end_time water_type reference_weight",
        convert=_restriction,
    ),
    Step(
        "surgeries",
        "name json subject users procedures narrative start_time end_time outcome_type"
        " implant_weight",
        "lab",
        convert=_surgery,
    ),
    Step("notes", "user date_time content_type object_id text json"),
)

NOT_COPIED = {
    "tasks": "they are made anew from the sessions' data",
    "downloads": "a record of the old server's use",
    "data-notices": "they speak of the old server's data",
}
"""Routes that are left behind, and why."""
