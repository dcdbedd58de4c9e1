"""Datasets: where their bytes are, and what is known of them."""

from __future__ import annotations

from typing import Any

import msgspec


class FileRecord(msgspec.Struct, frozen=True, array_like=True):
    """One place where a dataset's file is, or is to be; stored as a list of its values.

    Attributes
    ----------
    repository : str
        Name of the data repository; `shared.model.copies.OWN` is this installation's own store.
    exists : bool or None
        Whether the file is there; None if nobody has said.
    path : str or None
        Where it is below the repository's folder, if that does not follow from the dataset.
    json : object or None
        What the repository's keeper notes.
    id : str or None
        Id of the record, if it came from elsewhere; else it follows from the dataset.
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
        """Return whether the two are known to be of other content."""
        if self.sha256 and other.sha256:
            return self.sha256 != other.sha256
        return bool(self.md5 and other.md5 and self.md5 != other.md5)

    def agree(self, other: Checksums) -> bool:
        """Return whether the two are known to be of the same content."""
        if self.sha256 and other.sha256:
            return self.sha256 == other.sha256
        return bool(self.md5 and self.md5 == other.md5)
