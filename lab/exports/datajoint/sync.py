"""Synchronise the tables with a source, one animal at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from lab.exports.datajoint.database import Database, RowChange
from lab.exports.datajoint.sources import SourceSubject
from lab.exports.session import ExportError
from shared.alf import ALFError
from shared.science.errors import ExtractionError
from shared.science.tables.rows import rows_of


class SyncStep(msgspec.Struct, frozen=True):
    """The result of one animal.

    Attributes
    ----------
    did : {'written', 'unchanged', 'removed', 'refused'}
    why : str
        Reason of a refusal.
    """

    subject: str
    did: str
    change: RowChange = msgspec.field(default_factory=RowChange)
    why: str = ""


def sync(
    database: Database, subjects: Sequence[SourceSubject], *, forget: bool = True
) -> Iterator[SyncStep]:
    """Synchronise the rows of all animals.

    Each animal is one transaction that also stores the digest of its source. A run stopped at any
    moment is continued by the next one.

    Parameters
    ----------
    database : Database
    subjects : sequence of SourceSubject
    forget : bool
        Whether to remove animals that the source lacks.

    Yields
    ------
    SyncStep
    """
    database.create()
    existing = database.known()
    for animal in subjects:
        made_from = animal.made_from
        if existing.get(animal.id) == made_from:
            yield SyncStep(animal.nickname, "unchanged")
            continue
        try:
            change = database.put(animal.id, animal.nickname, made_from, rows_of(animal.load()))
        except (ExportError, ALFError, ExtractionError, ValueError) as error:
            # One damaged animal stops no other; its former rows stay.
            yield SyncStep(animal.nickname, "refused", why=str(error))
            continue
        yield SyncStep(animal.nickname, "written", change)
    if not forget:
        return
    for gone in sorted(existing.keys() - {animal.id for animal in subjects}):
        yield SyncStep(gone, "removed", database.forget(gone))
