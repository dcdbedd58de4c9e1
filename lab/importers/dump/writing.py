"""``fornix export alyx-dump``: all records as a dump that Alyx's ``loaddata`` takes.

`lab.importers.dump.models` declares how Alyx's fields become fields here; the export applies it in
reverse. Rows keep their ids as primary keys. Times are those of the labs' clocks, as Alyx stores
sessions; passwords are empty.
"""

from __future__ import annotations

import gzip
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

from lab.importers.dump import models
from lab.importers.dump.finish import MOVED
from lab.importers.dump.models import MODELS, ORDER, AlyxModel
from lab.importers.dump.parts import CarriedField, is_uuid
from lab.importers.identifiers import derived
from shared.model.copies import OWN
from shared.model.identity import nickname_of
from shared.model.quality import QC

Row = dict[str, Any]

PAGE = 1_000
"""Rows in one request of a list."""

HUSBANDRY = "Husbandry"
"""Alyx's group of the people who keep animals."""

NO_PASSWORD = "!"  # noqa: S105 - Django's sign for a password that nothing matches

NOT_OF_ALYX = (
    *("licences", "templates", "own-fields", "views", "signatures", "subject-tags", "images"),
    *("tasks", "downloads", "notifications", "releases"),
)
"""Fields that Alyx lacks, or computes itself."""

FROM_FIXTURES = "experiments.brainregion"
"""The atlas's regions, which each Alyx loads from a file of its own."""


class RecordServer(Protocol):
    """The part of an HTTP client that an export needs."""

    def get(self, path: str, **query: Any) -> Any:
        """Return the JSON answer of a GET."""


class AlyxDump:
    """Writes a dump.

    Parameters
    ----------
    api : RecordServer
        Client of an administrator.
    progress : callable, optional
        Called with a model and the number of its rows written so far.
    """

    def __init__(
        self, api: RecordServer, progress: Callable[[str, int], None] = lambda model, n: None
    ) -> None:
        self.api = api
        self.progress = progress
        self.counts: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self._ids: dict[str, dict[str, str]] = {}
        self._looked_up: set[str] = set()
        self.animals: dict[tuple[str, str], str] = {}

    def write(self, path: Path) -> None:
        """Write all rows into a file, gzipped if its name ends in ``.gz``; all or nothing."""
        with _whole(path) as file:
            for n, row in enumerate(self.rows()):
                file.write((",\n" if n else "[\n") + json.dumps(row, ensure_ascii=False))
            file.write("\n]\n" if self.counts else "[]\n")

    def rows(self) -> Iterator[Row]:
        """Iterate over the rows of the dump, each after the rows that it refers to."""
        # Without a key Django looks the group up by its name.
        yield self._row("auth.group", None, {"name": HUSBANDRY, "permissions": []})
        for model in ORDER:
            if model.name in (FROM_FIXTURES, "actions.chronicrecording"):
                continue
            for stored in self._stored(model):
                yield from self._converted(model, stored)
                self.progress(model.name, self.counts[model.name])
            self._looked_up.add(model.name)

    def _row(self, model: str, pk: Any, fields: Row) -> Row:
        self.counts[model] += 1
        return {"model": model, "pk": pk, "fields": fields}

    # Reading

    def _stored(self, model: AlyxModel) -> Iterator[Row]:
        """Iterate over the records that become rows of a model; remember their ids."""
        ids = self._ids.setdefault(model.name, {})
        reads = {"sessions": self._sessions, "datasets": self._datasets}
        read = reads.get(model.resource)
        for record in read() if read else self._documents(model.resource):
            name = record.get(NAMED_BY.get(model.name, model.name_field))
            if model.name == "data.datarepository" and name == OWN:
                continue
            record["id"] = record.get("id") or str(derived("alyx", model.name, str(name)))
            if name is not None:
                ids[str(name)] = str(record["id"])
            if model.name == models.SUBJECT:
                self.animals[str(record.get("lab")), nickname_of(str(name))] = str(record["id"])
            yield record

    def _documents(self, resource: str) -> Iterator[Row]:
        after: Any = None
        while True:
            more = {} if after is None else {"after": after}
            answer = self.api.get("/export", resource=resource, **more)
            yield from answer["rows"]
            after = answer["next"]
            if after is None:
                return

    def _list(self, resource: str) -> Iterator[Row]:
        offset, count = 0, 1
        while offset < count:
            answer = self.api.get(f"/{resource}", limit=PAGE, offset=offset)
            count, rows = answer["count"], answer["results"]
            yield from rows
            offset += len(rows)
            if not rows:
                return

    def _sessions(self) -> Iterator[Row]:
        for session in self._list("sessions"):
            yield self.api.get(f"/sessions/{session['id']}")

    def _datasets(self) -> Iterator[Row]:
        for dataset in self._list("datasets"):
            dataset["id"] = str(dataset.get("id") or dataset["url"])[-36:]
            yield dataset

    # Converting

    def _converted(self, model: AlyxModel, stored: Row) -> Iterator[Row]:
        """Yield a row, and the rows that Alyx separates from it."""
        fields: Row = {}
        for field in model.parts:
            value = self._value(model, field, stored.get(field.to))
            if value is not None or field.model or field.kind in ("time", "day"):
                fields[field.field] = value
        finish = FINISH.get(model.name)
        before = list(finish(self, stored, fields)) if finish else []
        yield self._row(model.name, stored["id"], fields)
        yield from before

    def _value(self, model: AlyxModel, field: CarriedField, value: Any) -> Any:
        """Return a value in Alyx's form."""
        if field.codes is not None:
            words = {word: code for code, word in field.codes.items()}
            return value if value in field.codes else words.get(value)
        if field.is_list:
            keys = [self._pk_of(model, field, key) for key in value or ()]
            return [key for key in keys if key is not None]
        if field.model:
            single = value[0] if isinstance(value, list) and value else value
            return self._pk_of(model, field, single) if single else None
        return value

    def _pk_of(self, model: AlyxModel, field: CarriedField, name: Any) -> str | None:
        """Return the primary key of a record from its name."""
        if name in (None, OWN):
            return None
        text = str(name)
        ids = self._ids.get(field.model, {})
        pk = ids.get(text)
        if pk is None and is_uuid(text[-36:]):
            pk = text[-36:]
        if pk is None:
            forward = self._ahead(field.model).get(text)
            if forward is None:
                self.notes[f"{model.name}: {field.field} names a record that is not there"] += 1
            return forward
        return pk

    def _ahead(self, name: str) -> dict[str, str]:
        """Return the ids of records that come later in the dump, such as litters of animals."""
        ahead = self._ids.setdefault(name, {})
        if name in MODELS and name not in self._looked_up and MODELS[name].resource:
            self._looked_up.add(name)
            for _ in self._stored(MODELS[name]):
                pass
        return ahead


NAMED_BY = {models.SUBJECT: "nickname"}
"""Fields by which records refer to a model's records, if not those of the import."""


def _lab(dump: AlyxDump, stored: Row, fields: Row) -> Iterator[Row]:
    fields["timezone"] = stored.get("timezone") or "UTC"
    yield from ()


def _user(dump: AlyxDump, stored: Row, fields: Row) -> Iterator[Row]:
    fields["groups"] = [[HUSBANDRY]] if stored.get("is_husbandry") else []
    fields["password"] = NO_PASSWORD
    is_head = stored.get("role") == "administrator"
    fields |= {"is_staff": True, "is_superuser": is_head, "user_permissions": []}
    ahead = dump._ahead(models.USER)
    names = [str(username) for username in stored.get("allowed_users") or ()]
    fields["allowed_users"] = [ahead[username] for username in names if username in ahead]
    yield from ()


def _subject(dump: AlyxDump, stored: Row, fields: Row) -> Iterator[Row]:
    fields["nickname"] = nickname_of(str(fields["nickname"]))
    fields["protocol_number"] = stored.get("protocol_number") or "1"
    for zygosity in stored.get("zygosities") or ():
        allele = dump._ids["subjects.allele"].get(str(zygosity.get("allele")))
        if allele:
            pk = str(derived("zygosity", str(stored["id"]), allele))
            fields_of_zygosity = {
                "subject": stored["id"],
                "allele": allele,
                "zygosity": zygosity["zygosity"],
            }
            yield dump._row("subjects.zygosity", pk, fields_of_zygosity)


def _cage(dump: AlyxDump, stored: Row, fields: Row) -> Iterator[Row]:
    own = dict(fields.get("json") or {})
    fields["cage_cleaning_frequency_days"] = own.pop("cage_cleaning_frequency_days", None)
    fields["json"] = own or None
    yield from ()


def _dataset(dump: AlyxDump, stored: Row, fields: Row) -> Iterator[Row]:
    _about(dump, stored, fields)
    for name in ("hash", "version", "collection"):
        fields[name] = fields.get(name) or ""
    fields["qc"] = QC.get(str(fields.get("qc")), 0)
    for record in stored.get("file_records") or ():
        place = dump._ids["data.datarepository"].get(str(record["data_repository"]))
        if not place or record["data_repository"] == OWN:
            continue
        pk = record.get("id") or str(derived("file", str(stored["id"]), place))
        yield dump._row(
            "data.filerecord",
            pk,
            {
                "dataset": stored["id"],
                "data_repository": place,
                "relative_path": record["relative_path"],
                "exists": record["exists"],
                "json": record.get("json"),
            },
        )


def _session(dump: AlyxDump, stored: Row, fields: Row) -> Iterator[Row]:
    fields["qc"] = QC.get(str(fields.get("qc")), 0)
    # A session's record names its animal by nickname, which is unique only within a lab.
    animal = dump.animals.get((str(stored.get("lab")), str(stored.get("subject"))))
    fields["subject"] = animal or fields["subject"]
    yield from ()


def _about(dump: AlyxDump, stored: Row, fields: Row) -> None:
    """Name the target's kind as Django does, and the target by its primary key."""
    kind = stored.get("content_type")
    if not kind:
        fields["content_type"] = fields["object_id"] = None
        return
    model = BACK.get(str(kind).lower(), str(kind).lower())
    if "." not in model:
        model = next((name for name in MODELS if name.endswith(f".{model}")), model)
    fields["content_type"] = model.split(".")
    target = str(stored.get("object_id"))
    fields["object_id"] = dump._ids.get(model, {}).get(target, target)


def _note(dump: AlyxDump, stored: Row, fields: Row) -> Iterator[Row]:
    _about(dump, stored, fields)
    own = dict(fields.get("json") or {})
    fields["image"] = own.pop("image", "")
    fields["json"] = own or None
    if stored.get("image"):
        dump.notes["misc.note: pictures are files, and not in a dump"] += 1
    yield from ()


def _chronic(dump: AlyxDump, stored: Row, fields: Row) -> Iterator[Row]:
    """Move the fields of the parent's table to a row of its own, with the same key."""
    parent_fields: Row = {name: fields.pop(name) for name in ("serial", "model") if name in fields}
    above = dict(fields)
    fields.clear()
    fields.update(parent_fields)
    yield dump._row("actions.chronicrecording", stored["id"], above)


def _request(dump: AlyxDump, stored: Row, fields: Row) -> Iterator[Row]:
    fields["date_time"] = str(fields["date_time"])[:10]
    yield from ()


def _notice(dump: AlyxDump, stored: Row, fields: Row) -> Iterator[Row]:
    for name in ("affected_date_start", "affected_date_end"):
        fields[name] = fields[name] and str(fields[name])[:10]
    yield from ()


BACK = {new: old for old, new in MOVED.items()}

FINISH: dict[str, Callable[[AlyxDump, Row, Row], Iterator[Row]]] = {
    models.LAB: _lab,
    models.USER: _user,
    models.SUBJECT: _subject,
    "misc.housing": _cage,
    models.SESSION: _session,
    "data.dataset": _dataset,
    "misc.note": _note,
    "experiments.chronicinsertion": _chronic,
    "subjects.subjectrequest": _request,
    "data.datanotice": _notice,
}


@contextmanager
def _whole(path: Path) -> Iterator[IO[str]]:
    """Write a file that gets its name when it is complete."""
    partial = path.with_name(path.name + ".part")
    try:
        if path.suffix == ".gz":
            with gzip.open(partial, "wt", encoding="utf-8") as file:
                yield file
        else:
            with open(partial, "w", encoding="utf-8") as file:
                yield file
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
