"""Judge the files of an upload: names, arrival, size, checksum, content. Writes nothing."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError

from functions.ingest.confined import confined
from functions.ingest.intake import Arrival, Intake
from shared.alf import data_format, match_dataset_type, parse_dataset_path
from shared.alf.acceptance import check_contents, check_names
from shared.alf.errors import ALFError
from shared.alf.validate import Header
from shared.datasets.read import default_datasets, hashes_by_path
from shared.model.upload import AcceptedFile, FileRequest, FileState, Refusal, Verdict
from shared.tasks.description import DESCRIPTION_NAME
from shared.uploads.progress import refuse, unchanged
from shared.uploads.state import OPEN_DAYS

UNREACHABLE = (BotoCoreError, ClientError)
"""The bucket cannot be read at the moment, which is not the fault of a file."""


def judge(intake: Intake) -> Verdict:
    """Sort the files of an upload into good, already registered and refused ones.

    An error in the check of a file refuses that file, with the reason.
    """
    files = {file.path: file for file in intake.request.files}
    refused = {
        path: refuse(path, error, FileState.REJECTED) for path, error in check_names(files).items()
    }
    rest = [file for path, file in files.items() if path not in refused]
    present = unchanged(rest, hashes_by_path(intake.datasets))
    good: dict[str, Arrival] = {}
    for file in rest:
        if file.path in present:
            continue
        arrival = intake.arrivals.get(file.path)
        if problem := _problem(file, arrival, intake):
            refused[file.path] = problem
        elif arrival is not None:
            good[file.path] = arrival
    with confined() as looking:
        headers, problems = check_contents(
            {path: (arrival.open, arrival.stored.size) for path, arrival in good.items()},
            _registered(intake),
            look=looking.header,
            unreachable=UNREACHABLE,
        )
        description = None
        if DESCRIPTION_NAME in headers:
            arrival = good[DESCRIPTION_NAME]
            try:
                description = looking.description(
                    DESCRIPTION_NAME, arrival.open, arrival.stored.size
                )
            except ALFError as error:
                problems[DESCRIPTION_NAME] = error
    refused |= {path: refuse(path, error) for path, error in problems.items()}
    accepted = tuple(
        _accepted(files[path], arrival, headers[path])
        for path, arrival in good.items()
        if path in headers and path not in refused
    )
    ordered = sorted(refused.values(), key=lambda refusal: refusal.path)
    return Verdict(accepted, tuple(sorted(present)), tuple(ordered), description, looking.indexes)


def _problem(file: FileRequest, arrival: Arrival | None, intake: Intake) -> Refusal | None:
    """Return the fault of an arrived file, None if it has none."""
    path = file.path
    if arrival is None:
        reason = intake.without.get(path) or f"did not arrive within {OPEN_DAYS} days"
        return Refusal(path, "not_received", reason, FileState.REJECTED)
    if intake.stale is not None:
        return Refusal(path, "superseded", intake.stale)
    stored = arrival.stored
    if stored.size != file.size:
        text = f"{path}: {stored.size} bytes arrived, {file.size} were announced"
        return Refusal(path, "wrong_size", text)
    if arrival.sha256 not in (None, file.sha256):
        text = f"{path}: the SHA-256 of what arrived is {arrival.sha256}, not {file.sha256}"
        return Refusal(path, "wrong_checksum", text)
    if file.md5 and stored.md5 and file.md5 != stored.md5:
        text = f"{path}: the MD5 of what arrived is {stored.md5}, not {file.md5}"
        return Refusal(path, "wrong_checksum", text)
    return None


def _registered(intake: Intake) -> dict[str, Header]:
    """Return the headers of the session's datasets."""
    return {
        path: Header(rows=int(item.rows))
        for path, item in default_datasets(intake.datasets).items()
        if item.rows is not None
    }


def _accepted(file: FileRequest, arrival: Arrival, found: Header) -> AcceptedFile:
    """Return a good file with its facts."""
    name = parse_dataset_path(file.path).filename
    try:
        dataset_type = match_dataset_type(name).name
    except ALFError:
        dataset_type = "unknown"
    return AcceptedFile(
        file.path,
        file.size,
        file.sha256,
        file.md5 or arrival.stored.md5,
        found.rows,
        file.qc,
        dataset_type,
        data_format(name).name,
    )
