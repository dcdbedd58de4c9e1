"""Local files: written completely or not at all, even by two writers; read by any thread."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np

from shared.codec.errors import CodecError

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

SUFFIX, SIDECAR_SUFFIX = ".ebin", ".eh"

#: Called with the samples done, and all samples if known.
Progress = Callable[[int, int | None], None]


def sidecar_path(path: Path) -> Path:
    """Return the path of a recording's index: `.eh` beside `.ebin`."""
    return path.with_suffix(SIDECAR_SUFFIX)


def refuse_existing(*targets: Path, overwrite: bool) -> None:
    """Refuse to replace existing files, unless that is allowed."""
    for target in targets:
        if target.exists() and not overwrite:
            raise CodecError(f"{target} exists; allow overwriting, or choose another name")


@contextmanager
def replacing(
    target: Path, overwrite: bool = True, precious: bool = False, durable: bool = True
) -> Iterator[BinaryIO]:
    """Write a file under a temporary name; rename it when it is safely on disk.

    If `precious`, writing is refused if a dead writer left its unfinished file, which may hold the
    only copy of a stream. If `durable`, the new name is flushed to disk, too; once is enough for a
    folder.

    Raises
    ------
    CodecError
        If another process is writing the target, the disk is full, the folder read-only.
    """
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        file = _open_alone(part, target, precious)
        with file:
            try:
                refuse_existing(target, overwrite=overwrite)  # another writer may be done
                yield file
                file.flush()
                os.fsync(file.fileno())
                part.replace(target)  # while the lock is held: nobody else writes there
            except BaseException:
                part.unlink(missing_ok=True)
                with suppress(OSError):  # the unflushed bytes may not fit
                    file.close()
                raise
        if durable:
            sync_directory(target.parent)
    except OSError as error:
        raise CodecError(
            f"cannot write {target}: {error.strerror or error}; nothing was left there. Free some "
            "space, or choose a place that can be written to"
        ) from error


def _open_alone(part: Path, target: Path, precious: bool) -> BinaryIO:
    """Open the unfinished file, empty, unless another process is writing it."""
    while True:
        file = open(part, "w+b", opener=_keeping)  # noqa: SIM115 - handed on
        try:
            if fcntl is not None:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise CodecError(f"another process is writing {target} just now") from None
                except OSError:  # file systems without locks
                    pass
            # The former holder of the lock may have renamed the file since it was opened.
            if not part.exists() or not os.path.samestat(os.fstat(file.fileno()), part.stat()):
                file.close()
                continue
            if precious and os.fstat(file.fileno()).st_size:
                raise CodecError(
                    f"{part} was left by a writer that died. Save what it holds by `fornix codec "
                    "decompress --salvage`, then remove it or allow overwriting"
                )
            file.truncate(0)
            return file
        except BaseException:
            file.close()
            raise


def _keeping(path: str, flags: int) -> int:
    """Open a file without truncating it: another process may be writing it."""
    return os.open(path, flags & ~os.O_TRUNC, 0o666)


def sync_directory(path: Path) -> None:
    """Make a renaming durable, if the system supports that."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_at(handle: int, position: int, pieces: Iterable[bytes | memoryview]) -> None:
    """Write pieces one after the other, from a position on."""
    for piece in pieces:
        data = memoryview(piece)
        while len(data):
            if hasattr(os, "pwrite"):
                written = os.pwrite(handle, data, position)
            else:  # pragma: no cover - Windows
                os.lseek(handle, position, os.SEEK_SET)
                written = os.write(handle, data)
            data, position = data[written:], position + written


class LocalFile:
    """Bytes of a local file, safe to read from several threads and forked processes."""

    ahead = 1 << 16

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.name
        try:
            self._handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except OSError as error:
            raise CodecError(f"cannot open {path}: {error.strerror}") from error
        self._lock = threading.Lock()

    def size(self) -> int:
        """Return the number of bytes."""
        return os.fstat(self._handle).st_size

    def read(self, start: int, stop: int) -> memoryview:
        """Return the bytes from `start` to `stop`, fewer only at the end."""
        # NumPy's arrays use large pages where available, which saves a fault per 4 kB.
        buffer = memoryview(np.empty(max(0, stop - start), np.uint8))  # type: ignore[arg-type]
        done = 0
        while done < len(buffer):
            count = self._read_into(buffer[done:], start + done)
            if not count:
                break
            done += count
        return buffer[:done]

    def _read_into(self, buffer: memoryview, start: int) -> int:
        if hasattr(os, "preadv"):
            return os.preadv(self._handle, [buffer], start)
        with self._lock:  # pragma: no cover - Windows, macOS
            os.lseek(self._handle, start, os.SEEK_SET)
            piece = os.read(self._handle, len(buffer))
            buffer[: len(piece)] = piece
            return len(piece)

    def start_again(self) -> None:
        """Replace the lock, which may be held and so is unusable in a forked process."""
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)
