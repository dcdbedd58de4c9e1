"""The stored items: sessions, datasets, and documents for everything else.

Keys::

    session              SES#<eid> / A                  gsi1 SUBJ#<subject> / S#<date>#<number>
                                                        gsi2 LAB#<lab>#<year> / <date>#…
    its committed sets   SES#<eid> / B
    dataset              SES#<eid> / D#<collection>/#<revision>#/<name>
    documents in it      SES#<eid> / E# insertion, F# field of view, G# note, H# watering
    unique session       UNIQ#<subject>#<date>#<number> / A  → eid
    prefix of its ids    EID#<first 12 hex of eid> / A       → eid
    document             DOC#<kind>#<key> / A           gsi1 <PARENT>#<key> / <kind>#<time>
    unique value         UNIQ#<kind>#<field>#<value> / A     → key
    dataset by id        DSID#<id> / A (ids that came from elsewhere, and aggregate datasets)
    dataset, no session  AGG#<content type>#<object id> / D#…
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import Any

from pynamodb.attributes import (
    Attribute,
    BooleanAttribute,
    JSONAttribute,
    ListAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
)
from pynamodb.constants import BINARY, NUMBER, STRING

from shared.model import copies, json, moment
from shared.model.dataset import Checksums, FileRecord
from shared.model.identity import (
    SessionKey,
    dashed,
    data_key,
    dataset_id,
    nickname_of,
    split_path,
)
from shared.records import keys
from shared.records.feed import first_version
from shared.records.table import Record


class HexAttribute(Attribute[str]):
    """A string of hexadecimal digits, stored as half as many bytes."""

    attr_type = BINARY

    def serialize(self, value: str) -> Any:
        """Return the bytes."""
        return bytes.fromhex(value)

    def deserialize(self, value: Any) -> str:
        """Return the digits."""
        return bytes(value).hex()


class RecordsAttribute(Attribute[list[FileRecord]]):
    """File records, stored as JSON lists of their values."""

    attr_type = STRING

    def serialize(self, value: list[FileRecord]) -> Any:
        """Return the JSON text."""
        return json.encode(value).decode()

    def deserialize(self, value: Any) -> list[FileRecord]:
        """Return the records."""
        return json.decode(value, list[FileRecord])


class InstantAttribute(Attribute[str]):
    """A UTC time, stored as microseconds since 1970."""

    attr_type = NUMBER

    def serialize(self, value: str) -> Any:
        """Return the microseconds as text."""
        return str(round(moment.utc(value).timestamp() * 1e6))

    def deserialize(self, value: Any) -> str:
        """Return the ISO time, UTC and naive, as clients get it."""
        return _iso(value)


@lru_cache(8192)
def _iso(microseconds: str) -> str:
    """Return microseconds since 1970 as an ISO time; the datasets of a session share times."""
    return datetime.fromtimestamp(int(microseconds) / 1e6, UTC).replace(tzinfo=None).isoformat()


ROW_FIELDS = (
    *("id", "subject", "lab", "date", "number", "type", "task_protocol", "location"),
    *("narrative", "parent_session", "n_trials", "n_correct_trials", "qc", "extended_qc", "json"),
    *("public", "embargo_until", "synthetic", "auto_datetime", "version"),
)
"""Attributes of a session that its row in the search index copies."""


class Session(Record, discriminator="Session"):
    """One recording session of one subject; ``start_time`` has the lab's UTC offset in it."""

    id = UnicodeAttribute()
    subject = UnicodeAttribute()
    lab = UnicodeAttribute()
    date = UnicodeAttribute()
    number = NumberAttribute()
    start_time = UnicodeAttribute()
    end_time = UnicodeAttribute(null=True)
    type = UnicodeAttribute(null=True)
    task_protocol = UnicodeAttribute(default="")
    projects: ListAttribute[Any] = ListAttribute(of=UnicodeAttribute, default=list)
    users: ListAttribute[Any] = ListAttribute(of=UnicodeAttribute, default=list)
    procedures: ListAttribute[Any] = ListAttribute(of=UnicodeAttribute, default=list)
    location = UnicodeAttribute(null=True)
    narrative = UnicodeAttribute(null=True)
    parent_session = UnicodeAttribute(null=True)
    n_trials = NumberAttribute(null=True)
    n_correct_trials = NumberAttribute(null=True)
    qc = NumberAttribute(default=0)
    extended_qc = JSONAttribute(null=True)
    json = JSONAttribute(null=True)
    public = BooleanAttribute(default=False)
    embargo_until = UnicodeAttribute(null=True)
    synthetic = BooleanAttribute(default=False)
    version = NumberAttribute(default=1)
    created = UnicodeAttribute(null=True)
    auto_datetime = UnicodeAttribute(null=True)

    def row(self) -> dict[str, Any]:
        """Return the session's row in the search index; times are the lab's wall clock."""
        row = {name: getattr(self, name) for name in ROW_FIELDS}
        row["start_time"] = moment.naive(self.start_time)
        row["end_time"] = moment.naive(self.end_time)
        row["number"] = int(self.number)
        for name in ("projects", "users", "procedures"):
            row[name] = list(getattr(self, name) or [])
        return row

    @property
    def key(self) -> SessionKey:
        """The session's natural key."""
        return SessionKey(self.lab, nickname_of(self.subject), self.date, int(self.number))

    @property
    def folder(self) -> str:
        """Path of the session below a repository: ``lab/Subjects/subject/date/NNN``."""
        return self.key.folder


class Book(Record, discriminator="Book"):
    """The sets of a session's datasets that are complete, and so visible."""

    sets: UnicodeSetAttribute = UnicodeSetAttribute(null=True)
    version = NumberAttribute(default=0)


class Pointer(Record, discriminator="Pointer"):
    """A unique value, or an alias of a record; it points to the record."""

    to = UnicodeAttribute()
    to_sk = UnicodeAttribute(null=True)
    batch = UnicodeAttribute(attr_name="b", null=True)  # see `shared.records.staging`


class Dataset(Record, discriminator="Dataset"):
    """One registered file of a session or, as an aggregate, of another record.

    Make one with `Dataset.of`. Its path (collection, revision, name) is its key. ``default_at`` is
    the time at which it became the default revision. The latest one is the default, so there is
    never more than one, and a new revision needs no write to the old. `sessions.datasets` sets
    ``default`` accordingly.

    ``records`` are the places of the file. ``stored_in`` is its folder in the own store, written
    at registration, because the session's folder may change later.
    """

    id = HexAttribute(attr_name="i")
    dataset_type = UnicodeAttribute(attr_name="t", default="unknown")
    data_format = UnicodeAttribute(attr_name="f", null=True)
    file_size = NumberAttribute(attr_name="z", null=True)
    hash = HexAttribute(attr_name="h", null=True)
    sha256 = HexAttribute(attr_name="x", null=True)
    qc = NumberAttribute(attr_name="q", default=0)
    default_at = InstantAttribute(attr_name="d", null=True)
    rows = NumberAttribute(attr_name="n", null=True)
    version = UnicodeAttribute(attr_name="v", null=True)
    created_by = UnicodeAttribute(attr_name="u", null=True)
    created = InstantAttribute(attr_name="c", null=True)
    changed = InstantAttribute(attr_name="m", null=True)
    provenance = JSONAttribute(attr_name="p", null=True)
    stored_in = UnicodeAttribute(attr_name="k", null=True)
    tags: ListAttribute[Any] = ListAttribute(of=UnicodeAttribute, attr_name="g", null=True)
    records = RecordsAttribute(attr_name="r", default=list)
    json = JSONAttribute(attr_name="j", null=True)
    batch = UnicodeAttribute(attr_name="b", null=True)
    edition = NumberAttribute(attr_name="e", default=first_version)
    default: bool = False

    @classmethod
    def of(
        cls,
        session: str,
        path: str,
        *,
        id: str | None = None,
        default: bool = True,
        exists: bool = True,
        repository: str = copies.OWN,
        records: list[FileRecord] | None = None,
        **values: Any,
    ) -> Dataset:
        """Return a new dataset, not yet saved.

        Parameters
        ----------
        session : str
            The session's id, or ``"<content type>#<object id>"`` for an aggregate.
        path : str
            ``collection/#revision#/name`` below the session.
        id : str, optional
            A UUID; by default it is made from the session and the path.
        default : bool
            Whether it becomes the default revision.
        exists : bool
            Whether ``repository`` has the file.
        repository : str
            Name of the data repository; this installation's own store by default.
        records : list of FileRecord, optional
            Replaces ``exists`` and ``repository``.
        **values
            Other attributes: dataset_type, data_format, file_size, hash (MD5), sha256, qc, rows,
            version, created_by, provenance, stored_in, tags, json.
        """
        head = "AGG" if "#" in session else "SES"
        now = moment.utc(values.pop("created", None) or moment.now().isoformat())
        item = cls(pk=f"{head}#{session}", sk=f"D#{path}", **values)
        item.id = (id or dataset_id(session, path)).replace("-", "")
        item.created = now.replace(tzinfo=None).isoformat()
        item.changed = item.created
        item.default = default
        item.default_at = item.created if default else None
        item.records = [FileRecord(repository, exists)] if records is None else records
        return item

    @property
    def uuid(self) -> str:
        """The id with its dashes."""
        return dashed(self.id)

    @cached_property
    def path(self) -> str:
        """``collection/#revision#/name`` below the session."""
        return self.sk[2:]

    @property
    def owner(self) -> str:
        """The session's id, or ``content type#object id``."""
        return self.pk[4:]

    @property
    def session(self) -> str | None:
        """The session's id; None for an aggregate."""
        return self.owner if keys.is_session(self.pk) else None

    @property
    def name(self) -> str:
        """File name."""
        return split_path(self.path)[2]

    @property
    def collection(self) -> str:
        """Folder below the session, without the revision."""
        return split_path(self.path)[0]

    @property
    def revision(self) -> str | None:
        """Revision, without the ``#``."""
        return split_path(self.path)[1]

    @property
    def has_external_id(self) -> bool:
        """Whether the id does not lead to the session, so that another item must."""
        return self.session is None or self.uuid != dataset_id(self.owner, self.path)

    @property
    def in_own_store(self) -> bool:
        """Whether this installation's own store has the file."""
        return copies.in_own_store(self.records)

    @property
    def stored_key(self) -> str | None:
        """S3 key of its bytes; None if the own store does not have them."""
        return self.stored_in and data_key(self.stored_in, self.path, self.uuid)

    @property
    def checksums(self) -> Checksums:
        """The known checksums of the content."""
        return Checksums(self.sha256, self.hash)

    def row(self) -> dict[str, Any]:
        """Return the dataset's row in the search index."""
        row: dict[str, Any] = {
            "session": self.owner,
            "path": self.path,
            "dataset_type": self.dataset_type,
            "data_format": self.data_format,
            "file_size": None if self.file_size is None else int(self.file_size),
            "hash": self.hash,
            "qc": int(self.qc),
            "default_dataset": self.default,
            "version": self.version,
            "created_by": self.created_by,
            "created_datetime": self.created,
            "tags": list(self.tags or []),
            "repositories": copies.existing(self.records),
        }
        if (uuid := self.uuid) != dataset_id(self.owner, self.path):
            row["foreign_id"] = uuid
        return row


class Document(Record, discriminator="Doc"):
    """Any other record; ``body`` has the fields that its resource declares.

    ``made`` is the place of the audit entry of its creation, if several records share that entry.
    """

    what = UnicodeAttribute(attr_name="w")
    id = UnicodeAttribute()
    version = NumberAttribute(default=1)
    body: JSONAttribute = JSONAttribute()
    batch = UnicodeAttribute(attr_name="b", null=True)  # see `shared.records.staging`
    made = UnicodeAttribute(attr_name="m", null=True)
