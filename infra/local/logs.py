"""Logs of the embedded cloud for people: one per function, and one file with every error.

``logs/function-<name>.log`` has the lines that a function wrote, and the end of each invocation
with its request id. ``logs/errors.log`` has the failures: functions that raised or ran out of
time, requests that were answered 5xx, and errors of the emulator itself.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path

from rich.console import Console
from rich.markup import escape

ERRORS = "errors.log"

LARGEST = 5_000_000
"""Bytes of a log after which it is rotated; one older file is kept."""

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

_RECORD = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (?=[A-Z]+ )")


def _handler(path: Path, form: str) -> logging.Handler:
    """Return a handler that appends to a file, which is created at the first write."""
    handler = RotatingFileHandler(path, maxBytes=LARGEST, backupCount=1, delay=True)
    handler.setFormatter(logging.Formatter(form))
    return handler


def keep_errors(folder: Path) -> None:
    """Write all errors of this process to the folder's file of errors."""
    handler = _handler(folder / ERRORS, FORMAT)
    handler.setLevel(logging.ERROR)
    handler.addFilter(_is_no_goodbye)
    logging.getLogger().addHandler(handler)


def _is_no_goodbye(record: logging.LogRecord) -> bool:
    """Return whether a record is an error, and not a connection cut by the server's stop."""
    cut = record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError)
    return not (record.name == "asyncio" and cut)


class FunctionLogs:
    """The functions' logs.

    Parameters
    ----------
    folder
        Their folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._loggers: dict[str, logging.Logger] = {}
        self._before: dict[str, str] = {}

    def line(self, function: str, text: str) -> None:
        """Write a line of a function; a logged exception is an error too."""
        self._of(function).info("%s", text)
        exception = _exception(text, self._before.get(function, ""))
        self._before[function] = text
        if exception is not None:
            logging.getLogger(f"function.{function}").error(
                "%s: see %s", exception, self._path(function).name
            )

    def end(self, function: str, request: str, ms: int, failure: str | None) -> None:
        """Write the end of an invocation; a failed one is an error.

        Parameters
        ----------
        function
            Name of the function.
        request
            Id of the invocation.
        ms
            Duration in milliseconds.
        failure
            Its log, if it failed.
        """
        self._of(function).info("END %s after %d ms", request, ms)
        if failure is None:
            return
        lines = [line for line in failure.splitlines() if line.strip()]
        for line in lines:
            self._of(function).info("%s", line)
        logging.getLogger(f"function.{function}").error(
            "invocation %s failed after %d ms: %s\n%s",
            request,
            ms,
            lines[-1] if lines else "it said nothing",
            "\n".join(lines),
        )

    def close(self) -> None:
        """Close the files."""
        for logger in self._loggers.values():
            for handler in logger.handlers:
                handler.close()

    def _of(self, function: str) -> logging.Logger:
        """Return the logger that writes a function's file and nothing else."""
        if function not in self._loggers:
            logger = logging.Logger(function, logging.INFO)
            logger.addHandler(_handler(self._path(function), "%(asctime)s %(message)s"))
            self._loggers[function] = logger
        return self._loggers[function]

    def _path(self, function: str) -> Path:
        return self.folder / f"function-{function.removeprefix('fornix-')}.log"


def _exception(text: str, before: str) -> str | None:
    """Return the exception in a log line: structured, or a traceback after its message."""
    if text.startswith("Traceback (most recent call last)"):
        return before or "an exception"
    if text.startswith("{") and '"exception"' in text:
        with suppress(ValueError):
            entry = json.loads(text)
            return f"{entry.get('message')} ({entry['exception'].splitlines()[-1]})"
    return None


class NewErrors:
    """Reads new entries of a file of errors.

    Parameters
    ----------
    folder
        Folder of the logs; existing entries of its file of errors are old.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / ERRORS
        self._seen = self._size()

    def read(self) -> list[str]:
        """Return the first line of each error since the last call, without its time."""
        size = self._size()
        if size == self._seen:
            return []
        start, self._seen = (self._seen if size > self._seen else 0), size
        with self.path.open("rb") as file:
            file.seek(start)
            lines = file.read(size - start).decode(errors="replace").splitlines()
        return [_RECORD.sub("", line) for line in lines if _RECORD.match(line)]

    def tell(self, console: Console) -> None:
        """Print the new errors, and the file with their full text."""
        lines = self.read()
        for line in lines:
            console.print(f"[red]{escape(line)}[/red]", soft_wrap=True)
        if lines:
            console.print(f"  [dim]see {self.path}[/dim]", soft_wrap=True)

    def _size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0
