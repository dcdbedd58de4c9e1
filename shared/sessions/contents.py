"""The partition of a session, read by one query."""

from __future__ import annotations

from collections import defaultdict

from shared.datasets.read import datasets_of, visible
from shared.records import keys, staging
from shared.records.errors import NotFound
from shared.records.items import Book, Dataset, Document, Pointer, Session
from shared.records.table import Record


def session_and_datasets(eid: str, *, strong: bool = False) -> tuple[Session, list[Dataset]]:
    """Return a session and its visible datasets by one query (see `session_contents`).

    Raises
    ------
    NotFound
        If there is no such session.
    """
    session, datasets, _ = session_contents(eid, strong=strong)
    return session, datasets


def session_contents(
    eid: str, *, strong: bool = False
) -> tuple[Session, list[Dataset], dict[str, list[Document]]]:
    """Return a session, its visible datasets and the documents in it, by one query.

    Returns
    -------
    session : Session
    datasets : list of Dataset
        With ``default`` set.
    documents : dict
        By kind: insertions, fields of view, notes, waterings.

    Raises
    ------
    NotFound
        If there is no such session.
    """
    session: Session | None = None
    book: Book | None = None
    files: list[Dataset] = []
    others: dict[str, list[Document]] = defaultdict(list)
    for item in Record.query(keys.session(eid), Record.sk < "I", consistent_read=strong):
        if isinstance(item, Dataset):
            files.append(item)
        elif isinstance(item, Session):
            session = item
        elif isinstance(item, Book):
            book = item
        elif isinstance(item, Document) and not staging.is_hidden(item):
            others[item.what].append(item)
    if session is None:
        raise NotFound(f"There is no session {eid}.")
    return session, visible(book, files), others


def find_dataset(identity: str) -> tuple[Session | None, Dataset]:
    """Return a dataset by its id, with its session (None for an aggregate).

    Raises
    ------
    NotFound
        If there is none that is visible.
    """
    missing = NotFound(f"There is no dataset {identity}.")
    if len(identity) > 36:  # longer than a key may be, perhaps
        raise missing
    digits = identity.replace("-", "")
    try:
        owner = Pointer.get(keys.prefix(digits), "A", consistent_read=True).to
    except Pointer.DoesNotExist:
        try:
            owner = Pointer.get(keys.external(identity), "A", consistent_read=True).to
        except Pointer.DoesNotExist:
            raise missing from None
    if "#" in owner:
        session, files = None, datasets_of(owner)
    else:
        session, files, _ = session_contents(owner, strong=True)
    for item in files:
        if item.id == digits:
            return session, item
    raise missing
