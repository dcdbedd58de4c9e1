"""Datasets: the places of their bytes, and their checksums."""

from __future__ import annotations

from typing import Any

import msgspec


class FileRecord(msgspec.Struct, frozen=True, array_like=True):
    """One place of a dataset's file, present or future; stored as a list of its values.

    Attributes
    ----------
    repository : str
        Name of the data repository; `shared.model.copies.OWN` is this installation's own store.
    exists : bool or None
        Whether the file is there; None if unknown.
    path : str or None
        Its path below the repository's folder, unless that follows from the dataset.
    json : object or None
        Notes of the repository's keeper.
    id : str or None
        Id of the record if it has moved to this repository from another; otherwise it follows from
        the dataset and the repository.
    """

    repository: str
    exists: bool | None = True
    path: str | None = None
    json: Any = None
    id: str | None = None


class Checksums(msgspec.Struct, frozen=True):
    """Checksums of a file's content, in lower-case hexadecimal digits."""

    sha256: str | None = None
    md5: str | None = None

    def differ(self, other: Checksums) -> bool:
        """Return whether the contents are known to differ."""
        if self.sha256 and other.sha256:
            return self.sha256 != other.sha256
        return bool(self.md5 and other.md5 and self.md5 != other.md5)

    def agree(self, other: Checksums) -> bool:
        """Return whether the contents are known to be equal."""
        if self.sha256 and other.sha256:
            return self.sha256 == other.sha256
        return bool(self.md5 and self.md5 == other.md5)
