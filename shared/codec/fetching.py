"""The stored bytes of chunks; from an address, they are fetched by few requests."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import takewhile

from shared.codec.errors import TruncationError
from shared.codec.index import Readable, RecordingIndex

#: Most bytes of neighbouring chunks that one request fetches.
TOGETHER = 64 << 20

Bytes = bytes | memoryview


class ChunkFetcher:
    """Reads chunks from a file or an address; reads ahead if the reader goes forward."""

    def __init__(
        self,
        source: Readable,
        index: RecordingIndex,
        read_ahead: int,
        held: Callable[[], set[int]],
    ) -> None:
        self.source, self.index, self.read_ahead = source, index, read_ahead
        self._held = held  # returns the chunks that need not be fetched
        #: Chunks fetched together with an earlier one, and those ordered ahead.
        self._together: dict[int, Bytes] = {}
        self._coming: dict[int, Future[Bytes]] = {}
        self._last = -1
        self._lock = threading.Lock()
        self._fetchers: ThreadPoolExecutor | None = None

    def read(self, number: int) -> Bytes:
        """Return the bytes of one chunk."""
        with self._lock:
            data, coming = self._together.pop(number, None), self._coming.pop(number, None)
            if data is not None:
                self._last = number
                return data
        start, stop = self.index.offsets[number : number + 2]
        data = coming.result() if coming else self.source.read(start, stop)
        if len(data) < stop - start:
            raise TruncationError(f"{self.source.name}: chunk {number} is cut short", (number,))
        self._order_ahead(number)
        return data

    def fetch_together(self, wanted: range) -> None:
        """Fetch wanted chunks that follow each other by one request, if reads are requests."""
        if not getattr(self.source, "distant", False):
            return
        offsets, first = self.index.offsets, wanted.start
        with self._lock:
            available = self._held() | self._coming.keys() | self._together.keys()
            most = offsets[first] + TOGETHER
            numbers = list(
                takewhile(lambda each: each not in available and offsets[each + 1] <= most, wanted)
            )
        if len(numbers) < 2:
            return
        begin, end = offsets[first], offsets[numbers[-1] + 1]
        data = memoryview(self.source.read(begin, end))
        if len(data) == end - begin:  # otherwise each chunk is fetched, to find the short one
            with self._lock:
                self._together = {
                    each: data[offsets[each] - begin : offsets[each + 1] - begin]
                    for each in numbers
                }

    def _order_ahead(self, number: int) -> None:
        """Fetch the next chunks of a reader going forward while this chunk is decoded."""
        with self._lock:
            going_on, self._last = number - self._last in (0, 1), number
            if not going_on:
                self._coming.clear()
            if not (going_on and self.read_ahead):
                return
            if self._fetchers is None:
                self._fetchers = ThreadPoolExecutor(self.read_ahead, "fornix-codec-fetch")
            end = min(number + 1 + self.read_ahead, self.index.n_chunks)
            for ahead in set(range(number + 1, end)) - self._coming.keys() - self._held():
                span = self.index.offsets[ahead : ahead + 2]
                self._coming[ahead] = self._fetchers.submit(self.source.read, *span)

    def close(self) -> None:
        """Release the threads."""
        if self._fetchers is not None:
            self._fetchers.shutdown(cancel_futures=True)
