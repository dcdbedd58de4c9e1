"""Read lists, sessions and datasets of an Alyx ahead of use, several requests in parallel."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, NamedTuple, Self

from lab.client import RequestRefused
from lab.importers.alyx_source import AlyxSource

READERS = 4
"""Parallel requests; an Alyx has a few processes, which others use too."""

PAGES_AHEAD = 2
"""Pages of a list that are read before they are needed."""

PASSES = 3
"""Reads of an unordered list before its missing rows are given up."""


class Listed(NamedTuple):
    """The datasets of some sessions.

    Attributes
    ----------
    rows : list
        The rows as the source shows them, each once.
    missing : int
        Number of rows that the source counts but does not show.
    """

    rows: list[Any]
    missing: int


class _Readers:
    """Threads that read from an Alyx; they end with the ``with`` block.

    Parameters
    ----------
    source : AlyxSource
    n : int
        Number of threads.
    """

    def __init__(self, source: AlyxSource, n: int) -> None:
        self.source = source
        self._pool = ThreadPoolExecutor(n, thread_name_prefix="ahead")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


Page = tuple[int, list[Any]]
"""Number of rows of a list, and some of them."""


class Pages(_Readers):
    """Reads the next pages of a list while one of them is used."""

    def __init__(self, source: AlyxSource) -> None:
        super().__init__(source, PAGES_AHEAD)
        self._pages: dict[tuple[Any, ...], Future[Page]] = {}

    def begin(self, path: str, offset: int, **filters: Any) -> None:
        """Start to read a page, unless started before."""
        place = (path, offset, *sorted(filters.items()))
        if place not in self._pages:
            self._pages[place] = self._pool.submit(self.source.page, path, offset, **filters)

    def page(self, path: str, offset: int, **filters: Any) -> Page:
        """Return a page as `AlyxSource.page` does, and start to read those after it.

        Raises
        ------
        ClientError, NoAlyx
            The source refuses, cannot be reached, or answers no list.
        """
        self.begin(path, offset, **filters)
        place = (path, offset, *sorted(filters.items()))
        count, rows = self._pages.pop(place).result()
        for ahead in range(1, PAGES_AHEAD + 1):
            start = offset + ahead * len(rows)
            if rows and start < count:
                self.begin(path, start, **filters)
        return count, rows


class Ahead(_Readers):
    """Reads sessions and their datasets."""

    def __init__(self, source: AlyxSource) -> None:
        super().__init__(source, READERS)
        self._sessions: dict[str, Future[Any]] = {}
        self._datasets: dict[tuple[str, ...], Future[Listed]] = {}

    def begin(self, eids: Sequence[str]) -> None:
        """Start to read some sessions and their datasets, unless started before."""
        for eid in eids:
            if eid not in self._sessions:
                path = f"/sessions/{eid}"
                self._sessions[eid] = self._pool.submit(self.source.get, path)
        if eids and tuple(eids) not in self._datasets:
            self._datasets[tuple(eids)] = self._pool.submit(self._list, list(eids))

    def session(self, eid: str) -> Any:
        """Return a session for which `begin` was called, as the source shows it; only once.

        Raises
        ------
        ClientError
            The source refuses or cannot be reached.
        """
        return self._sessions.pop(eid).result()

    def datasets(self, eids: Sequence[str]) -> Listed:
        """Return the datasets of sessions for which `begin` was called; only once.

        Raises
        ------
        ClientError
            The source refuses or cannot be reached.
        """
        return self._datasets.pop(tuple(eids)).result()

    def _list(self, eids: list[str]) -> Listed:
        if len(eids) == 1:
            return self._read({"session": eids[0]})
        try:
            return self._read({"django": f"session__in,{eids}"})
        except RequestRefused as error:
            if error.status != 400:
                raise
        parts = [self._read({"session": eid}) for eid in eids]
        return Listed([row for part in parts for row in part.rows], sum(p.missing for p in parts))

    def _read(self, query: dict[str, str]) -> Listed:
        """Return the rows of a list that may have no order: it is read until all were seen."""
        seen: dict[str, Any] = {}
        count = 0
        for _ in range(PASSES):
            offset, count = 0, 1
            while offset < count:
                count, rows = self.source.page("/datasets", offset, **query)
                for row in rows:
                    seen.setdefault(str(row.get("url") if isinstance(row, dict) else row), row)
                offset += len(rows)
                if not rows:
                    break
            if len(seen) >= count:
                break
        return Listed([*seen.values()], max(count - len(seen), 0))
