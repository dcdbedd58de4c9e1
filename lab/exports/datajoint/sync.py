"""Bring the tables in step with a source, an animal at a time."""

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
    """What became of an animal.

    Attributes
    ----------
    did : {'written', 'unchanged', 'removed', 'refused'}
    why : str
        Of what was refused.
    """

    subject: str
    did: str
    change: RowChange = msgspec.field(default_factory=RowChange)
    why: str = ""


def sync(
    database: Database, subjects: Sequence[SourceSubject], *, forget: bool = True
) -> Iterator[SyncStep]:
    """Bring the rows of all animals in step.

    Each animal is one transaction that also notes what its rows were made from: stopped at any
    moment, the next run goes on where this one ended.

    Parameters
    ----------
    database : Database
    subjects : sequence of SourceSubject
    forget : bool
        Whether animals that the source does not have are removed.

    Yields
    ------
    SyncStep
    """
    database.create()
    known = database.known()
    for one in subjects:
        made_from = one.made_from
        if known.get(one.id) == made_from:
            yield SyncStep(one.nickname, "unchanged")
            continue
        try:
            rows = rows_of(one.load())
        except (ExportError, ALFError, ExtractionError, ValueError) as error:
            # One damaged animal keeps no other from its place; its former rows stay.
            yield SyncStep(one.nickname, "refused", why=str(error))
            continue
        change = database.put(one.id, one.nickname, made_from, rows)
        yield SyncStep(one.nickname, "written", change)
    if not forget:
        return
    for gone in sorted(known.keys() - {one.id for one in subjects}):
        yield SyncStep(gone, "removed", database.forget(gone))
