"""``fornix import dump``: carry the rows on the shelf, each after the rows that it refers to."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from lab.importers.alyx_rows import RowUnfit
from lab.importers.carrier import CONFLICT, Carrier, Row, batches, message, pattern
from lab.importers.dump import models
from lab.importers.dump.after import carry_delegates, carry_pictures
from lab.importers.dump.genealogy import generations
from lab.importers.dump.models import ALIASES, LEFT, MODELS, ORDER, AlyxModel
from lab.importers.dump.parts import EMPTY, Lost, PartOf, is_uuid
from lab.importers.dump.reading import NO_MODEL, DumpRow, read_dump
from lab.importers.dump.shelf import HERE, SENT, WAITING, Shelf, Shelved, natural_text
from lab.importers.dump.stripping import stripped
from lab.importers.identifiers import derived

PAGE = 500
"""Rows taken from the shelf at a time."""

NOT_ASKED = "it was not asked for (--only)"

LOST_OWNER = "the row that it is a part of was not carried"


class DumpImport:
    """Carries a dump into Fornix.

    Parameters
    ----------
    path : Path
        The dump.
    carrier : Carrier
        Sends the rows, with the journal.
    shelf : Path or None
        File for the dump's rows; None stores them in a temporary one.
    server_zone : ZoneInfo, optional
        Time zone of the Alyx server's clock, by which it stores weighings, waterings and actions.
        None: these times are the lab's already.
    only : tuple of str
        Models, or resources, to carry; empty for all.
    media : Path, optional
        Alyx's folder of uploaded files, with the pictures of notes.
    """

    def __init__(
        self,
        path: Path,
        carrier: Carrier,
        shelf: Path | None,
        server_zone: ZoneInfo | None = None,
        only: tuple[str, ...] = (),
        media: Path | None = None,
    ) -> None:
        self.path = path
        self.carrier = carrier
        self.journal = carrier.journal
        self.server_zone = server_zone
        self.only = only
        self.media = media
        file_status = path.stat()
        self._about = [str(path.resolve()), file_status.st_size, file_status.st_mtime_ns]
        self._is_on_shelf = bool(shelf and shelf.exists() and self._shelved())
        if shelf and not self._is_on_shelf:
            for ending in ("", "-wal", "-shm"):  # SQLite would read an older log into a new file
                shelf.with_name(shelf.name + ending).unlink(missing_ok=True)
        self.shelf = Shelf(shelf)

    def _shelved(self) -> bool:
        return bool(self.journal.get("shelved") == self._about)

    def run(self) -> None:
        """Carry everything that is not yet done, and write the outcomes.

        Raises
        ------
        BadDump
            The file cannot be read completely; then nothing is sent.
        """
        try:
            self._run()
        finally:
            self.shelf.close()

    def _run(self) -> None:
        if not self._is_on_shelf:
            self._fill()
        self._leave()
        for model in models.BEFORE_ANIMALS:
            self._carry_all(model)
            if model.name == models.USER:
                carry_delegates(self)
        self._carry_generations(models.ANIMALS, ("litter", "breeding_pair", *PARENTS))
        for model in models.AFTER_ANIMALS:
            self._carry_all(model)
        self._carry_generations((models.SESSIONS,), ("parent_session",))
        for model in models.AFTER_SESSIONS:
            self._carry_all(model)
        if self.media and not self.carrier.dry_run:
            carry_pictures(self, self.media)
        self._settle_parts()
        self._account()

    # The shelf

    def _fill(self) -> None:
        def natural(row: DumpRow) -> str | None:
            value = row.fields.get(models.NATURAL.get(row.model, "name"))
            return natural_text([value]) if isinstance(value, str) else None

        def owner(row: DumpRow) -> str | None:
            field = MODELS[row.model].owner if row.model in MODELS else ""
            value = row.fields.get(field) if field else None
            if isinstance(value, list):  # by its natural key
                owner_row = self.shelf.find(OWNERS[field], value)
                return owner_row.pk if owner_row else None
            return None if value is None else str(value).lower()

        rows = (
            DumpRow(ALIASES.get(row.model, row.model), row.pk, row.fields)
            for row in read_dump(self.path)
        )
        self.shelf.fill(
            rows, natural, owner, stripped, lambda n: self.carrier.progress("rows read", n, None)
        )
        self.journal.set("shelved", self._about)

    def _leave(self) -> None:
        """Record the models that are not carried as a whole."""
        known_models = {*MODELS, NO_MODEL}
        with self.shelf.transaction():
            self.shelf.mark_all(NO_MODEL, "not carried", "it is no row of a dump")
            for model in self.shelf.models():
                if model in LEFT:
                    self.shelf.mark_all(model, "left out", LEFT[model])
                elif model not in known_models:
                    self.shelf.mark_all(model, "not carried", "nothing is known of such rows")
            for other in ORDER if self.only else ():
                if other.name not in self.only and other.resource not in self.only:
                    self._leave_unasked(other)

    def _leave_unasked(self, model: AlyxModel) -> None:
        """Mark rows of other models as left out; others may refer to them, if they exist here."""
        after = 0
        while rows := self.shelf.waiting(model.name, after, PAGE):
            for row in rows:
                field = models.NATURAL.get(model.name, "name")
                name = str(row.fields.get(field) or "") if model.name_field != "id" else ""
                self.shelf.name(row, name or self.identity(row))
                self.shelf.mark(row, "left out", NOT_ASKED)
            after = rows[-1].n

    # Carrying

    def _carry_all(self, model: AlyxModel) -> None:
        """Carry the rows of a model in the dump's order."""
        after = 0
        while rows := self.shelf.waiting(model.name, after, PAGE):
            self._carry(model, rows)
            after = rows[-1].n

    def _carry(self, model: AlyxModel, rows: Iterable[Shelved]) -> None:
        """Convert and send rows; commit the outcomes of a batch after the server's answer."""
        converted = (
            (row, out) for row in rows if (out := self._converted(model, row)) is not None
        )
        for batch in batches(converted, lambda pair: pair[1]):
            if self.carrier.dry_run:
                with self.shelf.transaction():
                    for row, _ in batch:
                        self.shelf.mark(row, "to send")
            else:
                self._send(model, batch)
        total = self.shelf.count(model.name)
        self.carrier.progress(model.name, total - self.shelf.count(model.name, WAITING), total)

    def _send(self, model: AlyxModel, batch: list[tuple[Shelved, Row]]) -> None:
        answer = self.carrier.deliver(model.resource, [out for _, out in batch])
        refused = {item["row"]: item for item in answer["refused"]}
        with self.shelf.transaction():
            for outcome in ("created", "unchanged"):
                self.shelf.tally(model.name, outcome, answer[outcome])
            for i, (row, _) in enumerate(batch):
                if (item := refused.get(i)) is None:
                    self.shelf.mark(row, SENT)
                elif item["status"] == CONFLICT and not item.get("existing"):
                    self.shelf.mark(row, "kept", "", message(item["detail"]))
                else:
                    detail = message(item["detail"])
                    reason = f"the server refuses it: {pattern(detail)}"
                    self.shelf.mark(row, "not carried", reason, detail)

    def _converted(self, model: AlyxModel, row: Shelved) -> Row | None:
        """Return the row to send; None after recording why there is none."""
        try:
            out = self.fit(model, row)
        except RowUnfit as problem:
            self.shelf.mark(row, "not carried", str(problem))
            return None
        except PartOf as other:
            self.shelf.name(row, other.name)
            self.shelf.mark(row, "within")
            return None
        except (TypeError, ValueError, AttributeError, KeyError, OverflowError) as error:
            self.shelf.mark(row, "not carried", "a value has the wrong type", str(error)[:300])
            return None
        name = str(out[model.name_field])
        within = f"{out.get('lab')}/" if model.name == models.SUBJECT else ""
        if model.name_field != "id" and self.shelf.is_taken(model.name, within + name, row.n):
            if not model.unique:
                self.shelf.name(row, name)
                self.shelf.mark(row, "within")
                self.note(f"{model.name}: rows of one name became one")
                return None
            name = f"{name[:200]}_{self.identity(row)[:6]}"
            out[model.name_field] = name
            self.note(f"{model.name}: later rows of one name got the start of their id appended")
        self.shelf.name(row, within + name)
        return out

    def fit(self, model: AlyxModel, row: Shelved) -> Row:
        """Return the carried part of a row; note unknown fields."""
        fields = self._whole(model, row)
        out: Row = {"id": self.identity(row)}
        for part in model.parts:
            value = fields.get(part.field)
            if part.read:
                value = part.read(self, row, value)
            if part.always or value not in EMPTY:
                out[part.to] = value
        known_fields = {part.field for part in model.parts} | set(model.ignored.split())
        for name, value in fields.items():
            if name not in known_fields and value not in EMPTY:
                self.note(f"{model.name}: the field {name!r} is not carried")
        if model.finish:
            model.finish(self, row, out)
        return out

    def _whole(self, model: AlyxModel, row: Shelved) -> Row:
        """Return a row's fields with those of its parent's row, which has the same key."""
        parent = self.shelf.find(model.parent, row.pk) if model.parent else None
        if parent is None:
            return row.fields
        if parent.state == WAITING:
            self.shelf.name(parent, self.identity(row))
            self.shelf.mark(parent, "within")
        return {**parent.fields, **row.fields}

    def _carry_generations(self, kinds: tuple[AlyxModel, ...], fields: tuple[str, ...]) -> None:
        """Carry rows after the rows that they descend from."""
        parents: dict[int, list[int]] = {}
        of: dict[int, AlyxModel] = {}
        for model in kinds:
            after = 0
            while rows := self.shelf.waiting(model.name, after, PAGE):
                for row in rows:
                    of[row.n] = model
                    parents[row.n] = [
                        parent_row.n
                        for name in fields
                        if row.fields.get(name) not in EMPTY
                        and (parent_row := self.shelf.find(FIELDS[name], row.fields[name]))
                    ]
                after = rows[-1].n
        cut: set[tuple[int, int]] = set()
        cuttable = [n for n, model in of.items() if model.name != models.SUBJECT]
        for generation in generations(parents, cuttable, cut):
            for model in kinds:
                numbers = [n for n in generation if of[n] is model]
                for start in range(0, len(numbers), PAGE):
                    self._carry(model, self.shelf.numbered(numbers[start : start + PAGE]))
        for n, _ in sorted(cut):
            (row,) = self.shelf.numbered([n])
            self.note(f"{row.model}: {row.pk} descends from itself; that link is left empty")

    # The outcomes

    def _settle_parts(self) -> None:
        """Record the outcome of rows that became parts of others."""
        for model in models.PARTS:
            after = 0
            with self.shelf.transaction():
                while rows := self.shelf.waiting(model.name, after, PAGE):
                    for row in rows:
                        owner = self.shelf.find(OWNERS[model.owner], row.fields.get(model.owner))
                        if owner is None:
                            reason = "the row that it is a part of is not in the dump"
                            self.shelf.mark(row, "not carried", reason)
                        elif owner.state == "left out":
                            self.shelf.mark(row, "left out", NOT_ASKED)
                        elif owner.state in HERE:
                            self.shelf.mark(row, "within")
                        else:
                            self.shelf.mark(row, "not carried", LOST_OWNER)
                    after = rows[-1].n

    def _account(self) -> None:
        """Write the outcome of every row into the journal, for the report."""
        with self.journal.transaction():
            for model in self.shelf.models():
                self.journal.tally(model, "rows in", self.shelf.count(model))
            for model, state, reason, n in self.shelf.account():
                self.journal.tally(model, reason if state == SENT else state, n)
                if state == "left out":
                    self.journal.note(f"{model}: {reason}", n)
            for model, pk, reason, detail in self.shelf.refused():
                self.journal.refuse(model, pk, reason, detail)

    # Methods for the conversions

    def reference(self, model: str, value: Any) -> str:
        """Return the name here of the row that a reference points to.

        Raises
        ------
        Lost
            The row does not exist here.
        """
        target = self.shelf.find(self.canonical(model), value)
        if target is None:
            raise Lost("refers to a row that is not in the dump")
        if target.name is not None and (target.state in HERE or target.reason == NOT_ASKED):
            # Another lab's animal may have the name
            return self.identity(target) if target.model == models.SUBJECT else target.name
        if target.state == WAITING:
            raise Lost("refers to a row that refers to it")
        raise Lost("refers to a row that was not carried")

    def canonical(self, model: str) -> str:
        """Return the name of a model, also for a proxy."""
        return ALIASES.get(model, model)

    def identity(self, row: Shelved) -> str:
        """Return a row's UUID: its primary key, else one derived from it."""
        if is_uuid(row.pk):
            return row.pk
        return str(derived("dump", row.model, row.pk))

    def instant(self, text: str) -> str:
        """Return a time of the server's clock with the server's zone, if known."""
        time = datetime.fromisoformat(text)
        if self.server_zone is None or time.tzinfo:
            return text
        return time.replace(tzinfo=self.server_zone).isoformat()

    def note(self, text: str, n: int = 1) -> None:
        """Add a remark to the report."""
        self.journal.note(text, n)


PARENTS = ("father", "mother1", "mother2")

FIELDS = {
    "litter": "subjects.litter",
    "breeding_pair": "subjects.breedingpair",
    "parent_session": models.SESSION,
    **dict.fromkeys(PARENTS, models.SUBJECT),
}
"""Models that fields of descent refer to."""

OWNERS = {
    "subject": models.SUBJECT,
    "dataset": "data.dataset",
    "line": models.LINE,
}
"""Models of the rows that have parts, by the field that names them."""
