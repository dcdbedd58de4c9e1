"""The store of the site's files: a few verbs, conditional writes, a local folder.

The S3 counterpart is ``functions.analysis.bucket``. Conditional writes make concurrent builds
safe: state is changed by read, change, write-if-unchanged (:func:`update`). Files made from state
are written, and then checked to be made from the current state (:func:`write_derived`).
"""

from __future__ import annotations

import hashlib
import logging
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

Kind = TypeVar("Kind")

ABSENT = ""
"""Entity tag that stands for "no such object" in a conditional write."""

ATTEMPTS = 60


class ChangedMeanwhile(Exception):
    """Somebody else changed the object since it was read."""


class NotReadable(ValueError):
    """What would be written could not be read back."""


class SiteStore(Protocol):
    """A flat set of named byte strings with entity tags (MD5 of the content)."""

    def read(self, key: str) -> tuple[bytes, str] | None:
        """Return content and entity tag, None if there is no such object."""

    def etag(self, key: str) -> str:
        """Return the entity tag, :data:`ABSENT` if there is no such object."""

    def write(self, key: str, body: bytes, if_match: str | None = None) -> str:
        """Write the object and return its tag; with `if_match` only if it still has that tag.

        Raises
        ------
        ChangedMeanwhile
            The object no longer has the tag.
        """

    def copy(self, location: str, key: str) -> None:
        """Copy a file of the source to the site unchanged, without holding it in memory.

        The content of a location never changes: an existing copy of the location is left alone.
        """

    def delete(self, keys: Iterable[str]) -> None:
        """Delete the objects; missing ones are no error."""

    def names(self, prefix: str = "") -> Iterator[str]:
        """Yield all names that start with the prefix."""


def tag(body: bytes) -> str:
    """Return the entity tag that content has in every store."""
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


class FolderStore:
    """A site in a local folder, written atomically, safe for many processes at once."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.writes: list[str] = []

    def _path(self, key: str) -> Path:
        if key.startswith("/") or ".." in key.split("/"):
            raise ValueError(f"{key!r} leads out of the site's folder")
        return self.folder / key

    def read(self, key: str) -> tuple[bytes, str] | None:
        """Return content and entity tag, None if there is no such file."""
        try:
            body = self._path(key).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        return body, tag(body)

    def etag(self, key: str) -> str:
        """Return the entity tag, :data:`ABSENT` if there is no such file."""
        stored = self.read(key)
        return stored[1] if stored else ABSENT

    def write(self, key: str, body: bytes, if_match: str | None = None) -> str:
        """Write the file and return its tag; with `if_match` only if it still has that tag."""
        if if_match is None:
            self._replace(key, body)
        else:
            with self._locked(key):
                if self.etag(key) != if_match:
                    raise ChangedMeanwhile(key)
                self._replace(key, body)
        return tag(body)

    def copy(self, location: str, key: str) -> None:
        """Put a file here: as a link, or as a copy if the file system has no links."""
        path, source = self._path(key), Path(location)
        with suppress(FileNotFoundError):
            here, there = path.stat(), source.stat()
            if here.st_ino == there.st_ino or (here.st_size, here.st_mtime_ns) == (
                there.st_size,
                there.st_mtime_ns,
            ):
                return
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".tmp-{path.name}")
        partial.unlink(missing_ok=True)
        try:
            partial.hardlink_to(source)
        except OSError:
            shutil.copy2(source, partial)
        os.replace(partial, path)
        self.writes.append(key)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete the files; missing ones are no error."""
        for key in keys:
            self._path(key).unlink(missing_ok=True)

    def names(self, prefix: str = "") -> Iterator[str]:
        """Yield all names that start with the prefix."""
        start = self._path(prefix.rpartition("/")[0]) if "/" in prefix else self.folder
        for path in sorted(start.rglob("*")):
            name = path.relative_to(self.folder).as_posix()
            if path.is_file() and name.startswith(prefix) and ".tmp-" not in path.name:
                yield name

    def _replace(self, key: str, body: bytes) -> None:
        path = self._path(key)
        try:
            handle, temporary = tempfile.mkstemp(prefix=".tmp-", dir=path.parent)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(prefix=".tmp-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(body)
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        self.writes.append(key)

    @contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        """Hold one of a few lock files beside the site while comparing and replacing."""
        locks = self.folder.parent / f".{self.folder.name}.locks"
        locks.mkdir(exist_ok=True)
        with (locks / tag(key.encode())[:2]).open("w") as file:
            if fcntl is not None:  # on Windows one process builds at a time
                fcntl.flock(file, fcntl.LOCK_EX)
            yield


def encode(value: Any) -> bytes:
    """Return compact JSON in UTF-8; NaN and infinity become null: missing."""
    return msgspec.json.encode(value)


def encode_as(value: Any, kind: type) -> bytes:
    """Return JSON that reads back as an object of a kind.

    A number that is not finite becomes null, which a field for numbers refuses; an object that
    cannot be read counts as absent, and all in it would be lost (see :func:`load`).

    Raises
    ------
    NotReadable
        It would not; the message names the field.
    """
    body = encode(value)
    try:
        msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise NotReadable(str(error)) from None
    return body


def write_if_changed(store: SiteStore, key: str, body: bytes) -> bool:
    """Write the object unless it has this content already; tell whether it was written."""
    stored = store.etag(key)
    if stored != ABSENT and stored == tag(body):
        return False
    store.write(key, body)
    return True


def load(store: SiteStore, key: str, kind: type[Kind]) -> tuple[Kind | None, str]:
    """Return a JSON object and its tag, None and :data:`ABSENT` if there is none.

    An object of another kind, for example from an older builder, counts as empty, so that it is
    made again.
    """
    stored = store.read(key)
    if stored is None:
        return None, ABSENT
    try:
        return msgspec.json.decode(stored[0], type=kind), stored[1]
    except msgspec.MsgspecError as error:
        log.warning("%s is made anew: %s", key, error)
        return None, stored[1]


def update(
    store: SiteStore, key: str, kind: type[Kind], change: Callable[[Kind | None], Kind]
) -> Kind:
    """Change a JSON object by read, change and write-if-unchanged until that succeeds.

    Parameters
    ----------
    store : SiteStore
    key : str
    kind : type
        Type of the object.
    change : callable
        Gets the current object, None if there is none, and returns the new one; may run
        several times.

    Returns
    -------
    object
        As stored.

    Raises
    ------
    NotReadable
        The new object could not be read back; the stored one stays.
    """
    for attempt in range(ATTEMPTS):
        before, etag = load(store, key, kind)
        after = change(before)
        body = encode_as(after, kind)
        if etag == tag(body):
            return after
        try:
            store.write(key, body, if_match=etag)
        except ChangedMeanwhile:
            pause(attempt)
        else:
            return after
    raise ChangedMeanwhile(f"{key} kept changing while it was being updated")


def write_derived(
    store: SiteStore,
    key: str,
    kind: type[Kind],
    make: Callable[[Kind | None], Mapping[str, bytes]],
) -> dict[str, bool]:
    """Write the files made from an object; repeat it if the object changed meanwhile.

    The last of several concurrent writers always checks against the newest object, so that no
    file made from an outdated one stays.

    Parameters
    ----------
    store : SiteStore
    key : str
        The object.
    kind : type
        Type of the object.
    make : callable
        Returns the files made from the object, None if there is none.

    Returns
    -------
    dict
        The files that were written (others already had that content).
    """
    for attempt in range(ATTEMPTS):
        state, etag = load(store, key, kind)
        written = {name: write_if_changed(store, name, body) for name, body in make(state).items()}
        if store.etag(key) == etag:
            return written
        pause(attempt)
    raise ChangedMeanwhile(f"{key} kept changing while its pages were being written")


def pause(attempt: int) -> None:
    """Wait a little, longer and more randomly each time, before trying again."""
    time.sleep(random.uniform(0, min(0.01 * 2**attempt, 1.0)))  # noqa: S311
