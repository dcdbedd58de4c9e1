"""What goes wrong in the embedded cloud is found in its logs."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.logs import FunctionLogs, NewErrors, keep_errors
from infra.local.ministack import _telling


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder of logs, to which this process writes its errors."""
    root = logging.getLogger()
    before = list(root.handlers)
    keep_errors(tmp_path)
    yield tmp_path
    for handler in set(root.handlers) - set(before):
        root.removeHandler(handler)
        handler.close()


@pytest.fixture
def logs(folder: Path) -> Iterator[FunctionLogs]:
    """The functions' logs."""
    logs = FunctionLogs(folder)
    yield logs
    logs.close()


def test_a_functions_lines_are_kept_and_are_no_errors(folder: Path, logs: FunctionLogs) -> None:
    errors = NewErrors(folder)
    logs.line("fornix-api", "hello 100%")
    logs.end("fornix-api", "request-1", 12, None)
    kept = (folder / "function-api.log").read_text()
    assert "hello 100%\n" in kept
    assert "END request-1 after 12 ms" in kept
    assert errors.read() == []


def test_a_failed_invocation_is_an_error_with_its_request_id(
    folder: Path, logs: FunctionLogs
) -> None:
    errors = NewErrors(folder)
    logs.end("fornix-ingest", "request-2", 9, "Traceback …\nKeyError: 'x'\n")
    (line,) = errors.read()
    assert "invocation request-2 failed after 9 ms: KeyError: 'x'" in line
    assert "KeyError: 'x'" in (folder / "function-ingest.log").read_text()
    assert errors.read() == []


@pytest.mark.parametrize(
    "lines",
    [
        ["upload 7 could not be finalised", "Traceback (most recent call last):"],
        [json.dumps({"message": "upload 7 could not be finalised", "exception": "a\nb"})],
    ],
    ids=["plain", "structured"],
)
def test_a_logged_exception_is_an_error_although_the_invocation_went_well(
    folder: Path, logs: FunctionLogs, lines: list[str]
) -> None:
    errors = NewErrors(folder)
    for line in lines:
        logs.line("fornix-ingest", line)
    (found,) = errors.read()
    assert "upload 7 could not be finalised" in found
    assert "function-ingest.log" in found


def test_only_new_errors_are_told(folder: Path) -> None:
    logging.getLogger("x").error("old")
    errors = NewErrors(folder)
    logging.getLogger("x").error("new\nwith more")
    assert errors.read() == ["ERROR x: new"]


def test_connections_cut_at_the_end_are_no_errors(folder: Path) -> None:
    cut = asyncio.CancelledError()
    logging.getLogger("asyncio").error("Exception in callback", exc_info=cut)
    assert NewErrors(folder).path.exists() is False


@pytest.mark.parametrize(("status", "told"), [(200, 0), (404, 0), (503, 0), (500, 1), (502, 1)])
def test_requests_answered_5xx_are_errors(folder: Path, status: int, told: int) -> None:
    errors = NewErrors(folder)
    sent = []

    async def send(message: object) -> None:
        sent.append(message)

    async def answer() -> None:
        scope = {"method": "POST", "path": "/subjects", "headers": []}
        tell = _telling(scope, send)
        await tell({"type": "http.response.start", "status": status})
        await tell({"type": "http.response.body", "body": b"reference 12ab", "more_body": True})
        await tell({"type": "http.response.body", "body": b"."})

    asyncio.run(answer())
    assert len(sent) == 3
    found = errors.read()
    assert len(found) == told
    assert all(f"POST /subjects answered {status}: reference 12ab" in line for line in found)
