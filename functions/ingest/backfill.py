"""Indexes of large files stored before indexes existed; made on request."""

from __future__ import annotations

from functions.ingest.confined import confined
from shared.alf.errors import FileInvalid
from shared.alf.path import parse_dataset_path
from shared.model import json
from shared.model.object_index import INDEXED, INDEXED_EXTENSIONS, NONE, ObjectIndex, index_key
from shared.records import objects
from shared.sessions.contents import find_dataset


def make_index(dataset: str) -> str:
    """Read a stored file and write its index, or a mark that it has none; return the codec.

    Raises
    ------
    NotFound
        The dataset does not exist.
    """
    _, item = find_dataset(dataset)
    key, size = item.stored_key, int(item.file_size or 0)
    extension = parse_dataset_path(item.path).extension
    if not key or size < INDEXED or extension not in INDEXED_EXTENSIONS:
        return NONE
    with confined() as looking:
        try:
            looking.header(item.path, lambda: objects.opened(key, size), size)
        except FileInvalid:  # accepted when fewer checks existed
            looking.indexes.clear()
        none = ObjectIndex(NONE, size, "", (), 0, 0, ())
        index = looking.indexes.get(item.path, none)
    objects.write(index_key(item.uuid), json.encode(index))
    return index.codec
