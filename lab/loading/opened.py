"""Opened data: sessions and their objects, loaded attribute by attribute."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.loading.arrays import read_file
from lab.loading.sources import (
    ApiSource,
    DataSource,
    FolderSource,
    NoData,
    ReleaseSource,
    ZipSource,
)
from lab.loading.windows import RemoteTable, RemoteVideo, open_video
from shared.alf import ALFInvalid, layout, parse_dataset_path
from shared.model.identity import split_path
from shared.model.release import ReleasedFile, ReleasedSession

if TYPE_CHECKING:
    from shared.codec import RecordingIndex

_COLUMN = re.compile(r"(.+)_([01])")


class LoadedObject(Mapping[str, Any]):
    """An object of the ONE convention; each attribute is read at its first use.

    Columns of a ``table`` are attributes; ``intervals_0`` and ``intervals_1`` become one attribute
    of two columns. Both ``trials["choice"]`` and ``trials.choice`` return an attribute.
    """

    def __init__(self, source: DataSource, name: str, files: Mapping[str, ReleasedFile]) -> None:
        self._source, self._name, self._files = source, name, dict(files)
        self._values: dict[str, Any] = {}
        self._table_read = layout.TABLE not in self._files

    def __getitem__(self, name: str) -> Any:
        """Return an attribute."""
        if name not in self._values:
            self._read_table()
        if name not in self._values:
            if name not in self._files or name == layout.TABLE:
                raise KeyError(f"{self._name} has no {name}; it has {', '.join(self)}")
            self._values[name] = read_file(self._source, self._files[name])
        return self._values[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def __iter__(self) -> Iterator[str]:
        self._read_table()
        yield from dict.fromkeys([*self._values, *self._files])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"{self._name}: {', '.join(self)}"

    def to_df(self) -> Any:
        """Return the attributes with one value a row as a data frame."""
        import pandas as pd

        columns = {name: self[name] for name in self}
        return pd.DataFrame({name: v for name, v in columns.items() if getattr(v, "ndim", 0) == 1})

    def _read_table(self) -> None:
        if self._table_read:
            return
        self._table_read = True
        table = read_file(self._source, self._files.pop(layout.TABLE))
        if isinstance(table, RemoteTable):
            table = table.to_pandas()
        pairs: dict[str, dict[str, Any]] = {}
        for column in table.columns:
            match = _COLUMN.fullmatch(str(column))
            if match and f"{match[1]}_0" in table and f"{match[1]}_1" in table:
                pairs.setdefault(match[1], {})[match[2]] = table[column].to_numpy()
            else:
                self._values[str(column)] = table[column].to_numpy()
        import numpy as np

        for name, pair in pairs.items():
            self._values[name] = np.column_stack([pair["0"], pair["1"]])


class OpenedData:
    """Data that were opened; see `open_data`."""

    def __init__(self, source: DataSource) -> None:
        self.source = source
        self._counted: dict[tuple[str, str | None], dict[str, ReleasedFile]] = {}
        self._found: dict[tuple[str, str, str | None], list[layout.ObjectFiles]] = {}

    def __repr__(self) -> str:
        return f"OpenedData({self.source.name})"

    @property
    def sessions(self) -> Sequence[ReleasedSession]:
        """The sessions, with ids, labs, subjects and dates."""
        return self.source.sessions()

    def datasets(self, session: str) -> list[str]:
        """Return the paths of a session's files."""
        return sorted(file.path for file in self.source.files(str(session)))

    def load(
        self,
        session: str,
        what: str,
        *,
        collection: str | None = None,
        revision: str | None = None,
    ) -> Any:
        """Return an object, or the content of one file.

        Parameters
        ----------
        session : str
            The session's id.
        what : str
            An object, ``"trials"``; or a file, ``"alf/_ibl_wheel.position.npy"`` or its name.
        collection : str, optional
            Folder; needed if several have the object.
        revision : str, optional
            Take the latest up to this one; the default ones otherwise.

        Returns
        -------
        LoadedObject, or array, data frame or other content
            Arrays of more than 4 MiB are read row by row on demand.

        Raises
        ------
        NoData
            Nothing matches, or several things do; the message lists them.
        """
        files = self._chosen(str(session), revision)
        if "." in what:
            return read_file(self.source, self._file(files, what, collection))
        key = (str(session), what, revision)
        if key not in self._found:
            self._found[key] = layout.objects(files, what, ())
        candidates = [file for file in self._found[key] if collection in (None, file.collection)]
        if not candidates:
            objects = sorted(set(_objects(files)))
            raise NoData(
                f"The session has no {what} here; it has {', '.join(objects) or 'nothing'}."
            )
        if len(candidates) > 1:
            several = ", ".join(repr(file.collection) for file in candidates)
            raise NoData(f"{what} is in {several}: give one as collection.")
        chosen = {name: files[path] for name, path in candidates[0].files.items()}
        return LoadedObject(self.source, what, chosen)

    def recording(self, session: str, name: str) -> Any:
        """Return a compressed recording (``.ebin``), read second by second on demand.

        Parameters
        ----------
        session : str
        name : str
            Its file's name, or path.
        """
        from shared import recordings

        files = self._chosen(str(session), None)
        file = self._file(files, name, None)
        if file.suffix == "cbin":
            header = self._file(files, f"{file.path.removesuffix('cbin')}ch", None)
            return recordings.open(self.source.address(file), sidecar=self.source.address(header))
        index = self._recording_index(file)
        return recordings.open(self.source.address(file), index=index)

    def video(self, session: str, name: str) -> RemoteVideo:
        """Open a video (``.mp4``), whose frames are read on demand.

        Parameters
        ----------
        session : str
        name : str
            Its file's name, or path.
        """
        return open_video(self.source, self._file(self._chosen(session, None), name, None))

    def address(self, session: str, name: str) -> str:
        """Return where other programs find a file: its path, or an address that answers ranges.

        The address of a file of a public release lasts as long as the release. Other addresses of
        a server are valid for an hour.

        Parameters
        ----------
        session : str
        name : str
            Its file's name, or path.

        Examples
        --------
        >>> read_fornix(data.address(eid, "raw.ap.ebin"))  # doctest: +SKIP
        """
        return self.source.lasting_address(
            self._file(self._chosen(str(session), None), name, None)
        )

    def references(self, session: str, name: str) -> dict[str, Any]:
        """Return a compressed recording as references of a Zarr array, for fsspec.

        Nothing is copied: each chunk is a byte range of the recording's file. On a server the
        references are valid as long as its addresses, an hour.

        Parameters
        ----------
        session : str
        name : str
            Its file's name (``.ebin``), or path.

        Examples
        --------
        >>> files = fsspec.filesystem(  # doctest: +SKIP
        ...     "reference",
        ...     fo=data.references(eid, name),
        ...     asynchronous=True,
        ...     remote_options={"asynchronous": True},
        ... )
        >>> store = zarr.storage.FsspecStore(files, path="")  # doctest: +SKIP
        >>> zarr.open_array(store, mode="r", zarr_format=2)[30_000:60_000]  # doctest: +SKIP
        """
        from shared import recordings
        from shared.recordings.references import zarr_references

        file = self._file(self._chosen(str(session), None), name, None)
        address = self.source.address(file)
        index = self._recording_index(file)
        if index is None:
            with recordings.open(address) as reader:
                index = reader.index
        return {"version": 1, "refs": zarr_references(address, index)}

    def _recording_index(self, file: ReleasedFile) -> RecordingIndex | None:
        from shared.recordings.object_index import recording_index

        object_index = self.source.index(file)
        return None if object_index is None else recording_index(object_index, file.path)

    def _chosen(self, session: str, revision: str | None) -> dict[str, ReleasedFile]:
        """Return each file's effective revision, by path; computed once."""
        if (cached := self._counted.get((session, revision))) is not None:
            return cached
        groups: dict[tuple[str, str], list[ReleasedFile]] = {}
        for file in self.source.files(session):
            collection, _, name = split_path(file.path)
            groups.setdefault((collection, name), []).append(file)
        chosen = {}
        for several in groups.values():
            if revision is None:
                best = max(several, key=lambda file: (file.default, file.revision))
            else:
                until = [file for file in several if file.revision <= revision]
                if not until:
                    continue
                best = max(until, key=lambda file: file.revision)
            chosen[best.path] = best
        self._counted[session, revision] = chosen
        return chosen

    def _file(
        self, files: Mapping[str, ReleasedFile], what: str, collection: str | None
    ) -> ReleasedFile:
        if what in files:
            return files[what]
        matches = [
            file
            for path, file in files.items()
            if path.rpartition("/")[2] == what
            and (collection is None or split_path(path)[0] == collection)
        ]
        if len(matches) == 1:
            return matches[0]
        if not matches:
            raise NoData(f"The session has no file {what}; `datasets` lists what it has.")
        several = ", ".join(sorted(file.path for file in matches))
        raise NoData(f"{what} is there several times: {several}. Give the path.")


def _objects(paths: Iterable[str]) -> Iterator[str]:
    """Yield the objects of files, without namespaces."""
    for path in paths:
        try:
            yield parse_dataset_path(path).object
        except ALFInvalid:
            continue


def open_data(where: str | Path | None = None) -> OpenedData:
    """Open data, wherever they are.

    Parameters
    ----------
    where : str or Path, optional
        A folder; a zip (any part of one in parts); the address of a release, or of an API; the
        name of a release of the server of `fornix login`; by default that server.

    Raises
    ------
    NoData
        There are no data at this place.
    """
    from lab.client import Client, settings
    from lab.releases.remote import NoRelease, ReleaseServer, find_release, parse_address
    from lab.releases.verify import parts_beside

    if where is None:
        account = settings()
        token = account.token or (Client(account).login() if account.password else None)
        return OpenedData(ApiSource(ReleaseServer(account.url, token)))
    path = Path(where)
    if not str(where).startswith(("http://", "https://")) and path.exists():
        return OpenedData(FolderSource(path) if path.is_dir() else ZipSource(parts_beside(path)))
    text = str(where)
    if text.startswith(("http://", "https://")):
        try:
            parse_address(text)
        except NoRelease:
            return OpenedData(ApiSource(ReleaseServer(text)))
    try:
        return OpenedData(ReleaseSource(*find_release(text)))
    except NoRelease as error:
        raise NoData(f"{where} is no folder, zip or release: {error}") from None


@lru_cache(maxsize=8)
def _opened(where: str | None) -> OpenedData:
    return open_data(where)


def load(
    session: str,
    what: str,
    where: str | Path | None = None,
    *,
    collection: str | None = None,
    revision: str | None = None,
) -> Any:
    """Load an object, or a file, of a session from anywhere; see `OpenedData.load`.

    Parameters
    ----------
    where : str or Path, optional
        As for `open_data`; opened data stay open.
    """
    opened = _opened(None if where is None else str(where))
    return opened.load(session, what, collection=collection, revision=revision)
