"""Uploads: what a client asks for, what is stored of it, and where its bytes are.

The request (the list of files) lies in S3 beside the folder of incoming files as long as the
upload is unfinished; so unfinished uploads are found by one listing and the table holds one small
item per upload. The answer (what was registered, what was refused and why) is the manifest, which
is written once and never changed.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from botocore.exceptions import ClientError
from pynamodb.attributes import JSONAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.exceptions import DeleteError, PutError, UpdateError
from pynamodb.expressions.update import Action

from shared.alf import SessionPath
from shared.alf.acceptance import check_names
from shared.alf.errors import ALFError
from shared.records import aws, documents, sessions, times
from shared.records.errors import Conflict, Exists, NotFound, RecordError, Stale
from shared.records.items import QC, Dataset, Session, dataset_path, uuid4_from
from shared.records.table import Record

MAX_FILES = 5000
"""Files of one upload; the request must pass API Gateway (10 MB)."""

URLS_AT_ONCE = 400
"""Addresses in one answer, so that it stays below Lambda's 6 MB; for the rest ask again."""

URL_SECONDS = 900
"""Life of a presigned address."""

PART_SIZE = 16 * 2**20
"""Bytes of a part of a large file, more where S3's 10,000 parts would not suffice."""

MULTIPART_FROM = 32 * 2**20
"""Files of at least so many bytes go in parts."""

MOST_PARTS = 10_000

OPEN_DAYS = 7
"""An upload that is not complete after so many days ends with what has arrived."""

KEPT_DAYS = 365
"""How long the table remembers a finished upload; its manifest in S3 stays for ever."""

BUSY = timedelta(minutes=2)
"""While one validation is so young no second one of the same upload starts."""

LOCKED = timedelta(minutes=6)
"""A lock on a session ends after this time, longer than ingest may run."""

WITHOUT_CHARACTERS = 100_000
"""Room for the reasons why files will not come; an item takes 400 KB."""

FINAL = frozenset({"registered", "partial", "rejected", "expired"})

METADATA = frozenset(
    {"task_protocol", "projects", "procedures", "users", "start_time", "end_time", "location"}
    | {"json", "narrative", "type", "synthetic"}
)
"""Optional fields of a new session that an upload may give."""


class Invalid(RecordError):
    """A request that cannot be understood; ``errors`` has the messages by field."""

    def __init__(self, errors: dict[str, list[str]]) -> None:
        self.errors = errors
        super().__init__("; ".join(f"{name}: {' '.join(text)}" for name, text in errors.items()))


class Incomplete(Stale):
    """Something has still to arrive before this can be done."""


class Upload(Record, discriminator="Upload"):
    """One upload; ``without`` says which files the client gave up, and why."""

    id = UnicodeAttribute()
    state = UnicodeAttribute()
    lab = UnicodeAttribute()
    folder = UnicodeAttribute()
    session = UnicodeAttribute(null=True)
    by = UnicodeAttribute()
    created = UnicodeAttribute()
    since = UnicodeAttribute(null=True)
    without: JSONAttribute = JSONAttribute(null=True)
    task = UnicodeAttribute(null=True)
    attempt = NumberAttribute(null=True)
    manifest = UnicodeAttribute(null=True)
    files = NumberAttribute(default=0)
    size = NumberAttribute(default=0)
    expires = NumberAttribute()


@dataclass(frozen=True)
class File:
    """One file of a request; ``path`` is relative to the session."""

    path: str
    size: int
    sha256: str
    md5: str | None = None
    qc: str = "NOT_SET"


@dataclass(frozen=True)
class TaskRun:
    """The run of a task that produced the files."""

    id: str
    attempt: int
    run_record: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """What a client asks to upload."""

    session: dict[str, Any]
    files: tuple[File, ...]
    task: TaskRun | None = None
    again: bool = False


@dataclass(frozen=True)
class Target:
    """The session an upload goes to; ``id`` is None while it does not exist."""

    lab: str
    subject: str
    date: str
    number: int
    id: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """``lab/Subjects/subject/date/NNN``."""
        return f"{self.lab}/Subjects/{self.subject}/{self.date}/{self.number:03d}"


# -- keys --------------------------------------------------------------------------------------


def bucket() -> str:
    """Return the data bucket's name."""
    return os.environ["FORNIX_DATA_BUCKET"]


def request_key(upload: str) -> str:
    """Where an unfinished upload's request lies."""
    return f"incoming/{upload}.json"


def incoming_key(upload: str, path: str) -> str:
    """Where a client puts a file."""
    return f"incoming/{upload}/{path}"


def quarantine_key(upload: str, path: str) -> str:
    """Where a refused file is kept."""
    return f"quarantine/{upload}/{path}"


def manifest_key(folder: str, upload: str) -> str:
    """Where the outcome of an upload is written; ``folder`` is the session's."""
    return f"manifests/{folder.replace('/Subjects/', '/', 1)}/{upload}.json"


# -- requests ----------------------------------------------------------------------------------

_SHA256 = re.compile(r"[0-9a-f]{64}")
_MD5 = re.compile(r"[0-9a-f]{32}")


def parse(body: Any) -> Request:
    """Read the body of ``POST /uploads``.

    Raises
    ------
    Invalid
        With a message for each field that cannot be understood. Names that break the grammar are
        no such error: those files are refused one by one, the others are welcome.
    """
    if not isinstance(body, dict):
        raise Invalid({"detail": ["Send a JSON object with 'session' and 'files'."]})
    errors: dict[str, list[str]] = {}
    known = {"session", "files", "task", "again"}
    for name in sorted(set(body) - known):
        errors[name] = [f"Unknown field; an upload has {', '.join(sorted(known))}."]
    session = _session(body.get("session"), errors)
    files = _files(body.get("files"), errors)
    task = _task(body.get("task"), errors)
    if errors:
        raise Invalid(errors)
    return Request(session, files, task, body.get("again") is True)


def _session(value: Any, errors: dict[str, list[str]]) -> dict[str, Any]:
    """Check which session is meant."""
    if not isinstance(value, dict):
        errors["session"] = ["Give the session as {lab, subject, date, number} or {id}."]
        return {}
    if "id" in value:
        try:
            return {"id": str(UUID(str(value["id"])))}
        except ValueError:
            errors["session"] = [f"“{value['id']}” is not a valid UUID."]
            return {}
    problems = []
    unknown = set(value) - METADATA - {"lab", "subject", "date", "number"}
    if unknown:
        problems.append(f"Unknown field(s) {', '.join(sorted(unknown))}.")
    try:
        where = SessionPath(
            str(value["lab"]),
            str(value["subject"]),
            date.fromisoformat(str(value["date"])),
            int(value["number"]),
        )
        session = {
            **{name: value[name] for name in METADATA if value.get(name) not in (None, "")},
            "lab": where.lab,
            "subject": where.subject,
            "date": where.date.isoformat(),
            "number": where.number,
        }
    except KeyError as missing:
        problems.append(f"{missing.args[0]}: This field is required.")
    except (ALFError, ValueError, TypeError) as error:
        problems.append(str(error))
    if problems:
        errors["session"] = problems
        return {}
    return session


def _files(value: Any, errors: dict[str, list[str]]) -> tuple[File, ...]:
    """Check the list of files."""
    if not isinstance(value, list) or not value:
        errors["files"] = ["Give a list of {path, size, sha256}."]
        return ()
    if len(value) > MAX_FILES:
        errors["files"] = [f"{len(value)} files are too many for one upload (most {MAX_FILES})."]
        return ()
    files, problems, seen = [], [], set()
    for i, entry in enumerate(value):
        try:
            file = File(
                path=entry["path"],
                size=entry["size"],
                sha256=entry["sha256"],
                md5=entry.get("md5") or None,
                qc=entry.get("qc") or "NOT_SET",
            )
        except (KeyError, TypeError, AttributeError):
            problems.append(f"files[{i}]: path, size and sha256 are required.")
            continue
        if not isinstance(file.path, str) or not file.path or len(file.path.encode()) > 700:
            problems.append(f"files[{i}]: path must be text of 1 to 700 bytes.")
        elif file.path in seen:
            problems.append(f"files[{i}]: {file.path} is listed twice.")
        elif isinstance(file.size, bool) or not isinstance(file.size, int) or file.size < 0:
            problems.append(f"{file.path}: size must be a number of bytes.")
        elif not _SHA256.fullmatch(str(file.sha256)):
            problems.append(f"{file.path}: sha256 must be 64 lower-case hexadecimal digits.")
        elif file.md5 and not _MD5.fullmatch(str(file.md5)):
            problems.append(f"{file.path}: md5 must be 32 lower-case hexadecimal digits.")
        elif file.qc not in QC:
            problems.append(f"{file.path}: qc must be one of {', '.join(QC)}.")
        else:
            seen.add(file.path)
            files.append(file)
    if problems:
        errors["files"] = problems[:20]
    return tuple(files)


def _task(value: Any, errors: dict[str, list[str]]) -> TaskRun | None:
    """Check which run produced the files."""
    if value is None:
        return None
    try:
        record = value.get("run_record") or {}
        if not isinstance(record, dict):
            raise TypeError
        return TaskRun(str(UUID(value["id"])), int(value["attempt"]), record)
    except (KeyError, ValueError, TypeError, AttributeError):
        errors["task"] = ["Give the task as {id, attempt, run_record}."]
        return None


def upload_id(target: Target, request: Request, turn: int = 0) -> str:
    """Return the id that this very list of files has, so that a killed client finds it again.

    Parameters
    ----------
    target, request
        Session and files; the session's metadata make no difference.
    turn
        How many uploads of the same files have ended before without being registered whole.
    """
    run = [request.task.id, request.task.attempt] if request.task else None
    files = sorted(
        [file.path, file.size, file.sha256, file.md5, file.qc] for file in request.files
    )
    return uuid4_from("", json.dumps([target.folder, files, run, turn], separators=(",", ":")))


# -- opening and describing --------------------------------------------------------------------


def get(upload: str) -> Upload:
    """Return an upload.

    Raises
    ------
    NotFound
        There is no such upload.
    """
    try:
        return Upload.get(f"UPL#{upload}", "A", consistent_read=True)
    except Upload.DoesNotExist:
        raise NotFound(f"there is no upload {upload}") from None


def open_upload(target: Target, request: Request, by: str) -> tuple[Upload, bool]:
    """Find the upload of these files, or make it.

    Returns
    -------
    upload
        The upload.
    created
        Whether it is new.
    """
    for turn in range(1000):
        key = upload_id(target, request, turn)
        try:
            found = get(key)
        except NotFound:
            return _create(key, target, request, by)
        if found.state not in FINAL or found.state == "registered":
            return found, False
        if not request.again and found.state != "expired":
            return found, False
    raise Conflict("these files have been refused a thousand times; ask an administrator")


def _create(key: str, target: Target, request: Request, by: str) -> tuple[Upload, bool]:
    """Store the request, then the item: a crash between leaves nothing that shows."""
    now = datetime.now(UTC)
    document = {
        "upload": key,
        "by": by,
        "created": now.isoformat(),
        "target": asdict(target),
        "files": [asdict(file) for file in request.files],
        "task": asdict(request.task) if request.task else None,
    }
    aws.client("s3").put_object(
        Bucket=bucket(),
        Key=request_key(key),
        Body=json.dumps(document).encode(),
        ContentType="application/json",
    )
    upload = Upload(
        pk=f"UPL#{key}",
        sk="A",
        id=key,
        state="open",
        lab=target.lab,
        folder=target.folder,
        session=target.id,
        by=by,
        created=now.isoformat(),
        g1pk=f"UPLOADS#{target.lab}",
        g1sk=now.isoformat(),
        task=request.task.id if request.task else None,
        attempt=request.task.attempt if request.task else None,
        files=len(request.files),
        size=sum(file.size for file in request.files),
        expires=int((now + timedelta(days=KEPT_DAYS)).timestamp()),
    )
    try:
        upload.save(Upload.pk.does_not_exist())
    except PutError as error:
        if error.cause_response_code != "ConditionalCheckFailedException":
            raise
        return get(key), False
    return upload, True


def request_of(upload: str) -> dict[str, Any] | None:
    """Return the stored request of an unfinished upload, None once it is finished."""
    return read_json(request_key(upload))


def manifest_of(upload: Upload) -> dict[str, Any] | None:
    """Return the manifest of a finished upload."""
    return read_json(upload.manifest) if upload.manifest else None


def of_lab(lab: str, most: int) -> list[Upload]:
    """Return the latest uploads of a lab, the newest first."""
    found = Record.gsi1.query(f"UPLOADS#{lab}", scan_index_forward=False, limit=most)
    return [item for item in found if isinstance(item, Upload)]


def read_json(key: str) -> dict[str, Any] | None:
    """Return a JSON document of the data bucket, None if there is none."""
    s3 = aws.client("s3")
    try:
        return json.loads(s3.get_object(Bucket=bucket(), Key=key)["Body"].read())
    except s3.exceptions.NoSuchKey:
        return None


def write_once(key: str, document: dict[str, Any]) -> dict[str, Any]:
    """Store a JSON document unless there is one; return the one that is stored."""
    s3 = aws.client("s3")
    try:
        s3.put_object(
            Bucket=bucket(),
            Key=key,
            Body=json.dumps(document, indent=1).encode(),
            ContentType="application/json",
            IfNoneMatch="*",
        )
        return document
    except ClientError as error:
        # 412: it is there; 409: another is writing it at this moment.
        if error.response["ResponseMetadata"]["HTTPStatusCode"] not in (409, 412):
            raise
    return json.loads(s3.get_object(Bucket=bucket(), Key=key)["Body"].read())


def requested(document: Mapping[str, Any]) -> list[File]:
    """Return the files of a stored request."""
    return [File(**file) for file in document["files"]]


def arrived(upload: str) -> dict[str, int]:
    """Return the sizes in bytes of the files that have arrived, by path."""
    prefix = incoming_key(upload, "")
    pages = aws.client("s3").get_paginator("list_objects_v2")
    return {
        item["Key"].removeprefix(prefix): item["Size"]
        for page in pages.paginate(Bucket=bucket(), Prefix=prefix)
        for item in page.get("Contents", ())
    }


def defaults(datasets: Iterable[Dataset]) -> dict[str, Dataset]:
    """Return the default datasets of a session, by path without revision folder."""
    return {
        dataset_path(item.collection, None, item.name): item for item in datasets if item.default
    }


def hashes(datasets: Iterable[Dataset]) -> dict[str, str | None]:
    """Return the SHA-256 of a session's datasets by path; without revision folder: the default."""
    items = list(datasets)
    named = {item.path: item for item in items} | defaults(items)
    return {path: item.sha256 for path, item in named.items()}


def contents(datasets: Iterable[Dataset]) -> dict[str, str]:
    """Return a hash of the content of each default dataset, by path without revision folder."""
    return {
        path: item.sha256 or item.hash or item.uuid
        for path, item in defaults(datasets).items()
        if item.available
    }


def unchanged(files: Iterable[File], registered: Mapping[str, str | None]) -> set[str]:
    """Return the paths whose content the session already has under that name.

    Parameters
    ----------
    files
        Those asked for.
    registered
        SHA-256 of the session's default datasets, by path without revision folder.
    """
    return {file.path for file in files if registered.get(file.path) == file.sha256}


def describe(upload: Upload, registered: Mapping[str, str | None]) -> dict[str, Any]:
    """Return what a client is told of an upload: its state and that of each file.

    Parameters
    ----------
    upload
        The upload.
    registered
        SHA-256 of the session's default datasets, by path without revision folder.
    """
    answer: dict[str, Any] = {
        "id": upload.id,
        "state": upload.state,
        "session": upload.session,
        "lab": upload.lab,
        "folder": upload.folder,
        "created": upload.created,
        "files": [],
    }
    if upload.state in FINAL:
        answer["files"] = _outcomes(manifest_of(upload))
        return answer
    document = request_of(upload.id)
    if document is None:  # just finished; the item will say so in a moment
        return {**answer, "state": "validating"}
    here = arrived(upload.id)
    files = requested(document)
    refused = check_names(file.path for file in files)
    same = unchanged(files, registered)
    given_up = upload.without or {}
    addressed = 0
    for file in files:
        entry: dict[str, Any] = {"path": file.path}
        if file.path in refused:
            entry |= {"state": "rejected", **problem(refused[file.path])}
        elif file.path in same:
            entry["state"] = "present"
        elif here.get(file.path) == file.size:
            entry["state"] = "stored"
        elif file.path in given_up:
            entry |= {"state": "rejected", "reason": given_up[file.path]}
        else:
            entry["state"] = "wanted"
            if upload.state == "open" and addressed < URLS_AT_ONCE:
                entry |= _address(upload.id, file)
                addressed += 1
        answer["files"].append(entry)
    return answer


def _outcomes(manifest: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return the state of each file of a finished upload."""
    if manifest is None:
        return []
    files = [
        {
            "path": dataset["path"],
            "state": "registered",
            "id": dataset["id"],
            "revision": dataset["revision"],
        }
        for dataset in manifest["datasets"]
    ]
    files += [{"path": path, "state": "present"} for path in manifest["present"]]
    files += [
        {name: entry[name] for name in ("path", "state", "code", "reason") if name in entry}
        for entry in manifest["refused"]
    ]
    return sorted(files, key=lambda file: file["path"])


def problem(error: ALFError) -> dict[str, str]:
    """Return a problem as a client reads it: a code for programs, a sentence for people."""
    return {"code": error.code, "reason": str(error)}


def missing(
    document: Mapping[str, Any], upload: Upload, registered: Mapping[str, str | None]
) -> list[str]:
    """Return the paths that have still to arrive before an upload is complete."""
    files = requested(document)
    refused = check_names(file.path for file in files)
    same = unchanged(files, registered)
    here = arrived(upload.id)
    return [
        file.path
        for file in files
        if file.path not in refused
        and file.path not in same
        and file.path not in here
        and file.path not in (upload.without or {})
    ]


# -- addresses ---------------------------------------------------------------------------------


def b64(digest: str) -> str:
    """Return a hexadecimal digest as S3 writes it, in base64."""
    return base64.b64encode(bytes.fromhex(digest)).decode()


def parts_of(size: int) -> tuple[int, int]:
    """Return the size in bytes of a large file's parts, and their number."""
    mebibyte = 2**20
    least = -(-size // MOST_PARTS)
    part = max(PART_SIZE, -(-least // mebibyte) * mebibyte)
    return part, max(1, -(-size // part))


def _address(upload: str, file: File) -> dict[str, Any]:
    """Return how a file is to be sent: one PUT, or parts."""
    if file.size >= MULTIPART_FROM:
        part_size, n_parts = parts_of(file.size)
        return {"method": "multipart", "part_size": part_size, "n_parts": n_parts}
    headers = {"x-amz-checksum-sha256": b64(file.sha256), "If-None-Match": "*"}
    url = aws.client("s3").generate_presigned_url(
        "put_object",
        Params={
            "Bucket": bucket(),
            "Key": incoming_key(upload, file.path),
            "ContentLength": file.size,
            "ChecksumSHA256": headers["x-amz-checksum-sha256"],
            "IfNoneMatch": "*",
        },
        ExpiresIn=URL_SECONDS,
    )
    return {"method": "put", "url": url, "headers": headers}


def file_of(document: Mapping[str, Any], path: Any) -> File:
    """Return one file of a stored request.

    Raises
    ------
    NotFound
        The upload has no such file.
    """
    for file in requested(document):
        if file.path == path:
            return file
    raise NotFound(f"the upload has no file {path}")


def sign_parts(upload: str, file: File, wanted: Iterable[tuple[int, str]]) -> list[dict[str, Any]]:
    """Return an address for each part of a large file, or that it is already stored.

    Parameters
    ----------
    upload, file
        Which file.
    wanted
        Numbers of the parts, from 1, and the SHA-256 of each in hexadecimal.

    Raises
    ------
    Invalid
        A part that the file does not have.
    """
    part_size, n_parts = parts_of(file.size)
    s3 = aws.client("s3")
    multipart = _multipart(upload, file.path, create=True)
    stored = {part["PartNumber"]: part for part in _stored_parts(upload, file.path, multipart)}
    answer = []
    for number, sha256 in wanted:
        if not 1 <= number <= n_parts or not _SHA256.fullmatch(sha256):
            text = f"Parts are numbered 1 to {n_parts}, each with its SHA-256 in hexadecimal."
            raise Invalid({"parts": [text]})
        size = min(part_size, file.size - (number - 1) * part_size)
        checksum = b64(sha256)
        have = stored.get(number, {})
        if have.get("ChecksumSHA256") == checksum and have.get("Size") == size:
            answer.append({"number": number, "state": "stored"})
            continue
        url = s3.generate_presigned_url(
            "upload_part",
            Params={
                "Bucket": bucket(),
                "Key": incoming_key(upload, file.path),
                "UploadId": multipart,
                "PartNumber": number,
                "ContentLength": size,
                "ChecksumSHA256": checksum,
            },
            ExpiresIn=URL_SECONDS,
        )
        headers = {"x-amz-checksum-sha256": checksum}
        answer.append({"number": number, "state": "wanted", "url": url, "headers": headers})
    return answer


def assemble(upload: str, file: File) -> None:
    """Join the parts of a large file; does nothing if that is already done.

    Raises
    ------
    Incomplete
        Parts are missing; the message says which.
    """
    s3 = aws.client("s3")
    if arrived(upload).get(file.path) == file.size:
        return
    _, n_parts = parts_of(file.size)
    multipart = _multipart(upload, file.path, create=False)
    stored = list(_stored_parts(upload, file.path, multipart)) if multipart else []
    lacking = sorted(set(range(1, n_parts + 1)) - {part["PartNumber"] for part in stored})
    if lacking:
        some = ", ".join(map(str, lacking[:10])) + (" …" if len(lacking) > 10 else "")
        raise Incomplete(f"{file.path}: {len(lacking)} of {n_parts} parts are missing ({some})")
    s3.complete_multipart_upload(
        Bucket=bucket(),
        Key=incoming_key(upload, file.path),
        UploadId=multipart,
        MultipartUpload={
            "Parts": [
                {name: part[name] for name in ("PartNumber", "ETag", "ChecksumSHA256")}
                for part in stored
            ]
        },
    )


def _multipart(upload: str, path: str, *, create: bool) -> str | None:
    """Return the multipart upload of a file that is under way, or begin one."""
    s3, key = aws.client("s3"), incoming_key(upload, path)
    listed = s3.list_multipart_uploads(Bucket=bucket(), Prefix=key).get("Uploads", ())
    mine = sorted((item["Initiated"], item["UploadId"]) for item in listed if item["Key"] == key)
    if mine:
        return mine[0][1]
    if not create:
        return None
    return s3.create_multipart_upload(Bucket=bucket(), Key=key, ChecksumAlgorithm="SHA256")[
        "UploadId"
    ]


def _stored_parts(upload: str, path: str, multipart: str | None) -> Iterator[dict[str, Any]]:
    """Yield the parts that S3 already has, in order."""
    pages = aws.client("s3").get_paginator("list_parts")
    for page in pages.paginate(
        Bucket=bucket(), Key=incoming_key(upload, path), UploadId=multipart
    ):
        yield from page.get("Parts", ())


# -- states ------------------------------------------------------------------------------------


def give_up(upload: Upload, without: Mapping[str, str]) -> None:
    """Note that files will not come, and why; each then counts as refused."""
    known = upload.without or {}
    longest = max(20, WITHOUT_CHARACTERS // (len(known) + len(without) + 1))
    merged = {**known, **{path: str(reason)[:longest] for path, reason in without.items()}}
    if merged != known:
        upload.update(
            actions=[Upload.without.set(merged)],
            condition=Upload.state.is_in("open", "validating"),
        )


def begin(upload: Upload, *, busy: timedelta = BUSY, now: datetime | None = None) -> bool:
    """Mark an upload as being validated; False if another validation began within ``busy``."""
    moment = now or datetime.now(UTC)
    try:
        upload.update(
            actions=[Upload.state.set("validating"), Upload.since.set(moment.isoformat())],
            condition=(Upload.state == "open")
            | ((Upload.state == "validating") & (Upload.since <= (moment - busy).isoformat())),
        )
    except UpdateError as error:
        if error.cause_response_code != "ConditionalCheckFailedException":
            raise
        return False
    return True


def reopen(upload: Upload) -> None:
    """Let the validation of an upload begin anew, without waiting until it counts as dead."""
    with suppress(UpdateError):
        upload.update(actions=[Upload.since.set("")], condition=Upload.state == "validating")


def finish(upload: Upload, state: str, session: str | None, manifest: str) -> None:
    """Set the final state; nothing happens if it is set already."""
    if upload.state == state and upload.manifest == manifest:
        return
    actions: list[Action] = [Upload.state.set(state), Upload.manifest.set(manifest)]
    if session:
        actions.append(Upload.session.set(session))
    upload.update(actions=actions)


def unfinished() -> Iterator[tuple[str, datetime]]:
    """Yield the uploads whose request still lies in S3, and since when."""
    pages = aws.client("s3").get_paginator("list_objects_v2")
    for page in pages.paginate(Bucket=bucket(), Prefix="incoming/", Delimiter="/"):
        for item in page.get("Contents", ()):
            name = item["Key"].removeprefix("incoming/")
            if name.endswith(".json"):
                yield name.removesuffix(".json"), item["LastModified"]


# -- sessions ----------------------------------------------------------------------------------


def resolve(request: Request) -> Target:
    """Return the session that a request goes to, with what is needed to make it.

    Raises
    ------
    Invalid
        There is no such session, lab, subject, project or user, or they do not belong together.
    """
    wanted = request.session
    if "id" in wanted:
        try:
            return _target(sessions.get(wanted["id"]))
        except NotFound as error:
            raise Invalid({"session": [str(error)]}) from None
    subject, lab = wanted["subject"], wanted["lab"]
    problems = []
    lab_record = documents.find("lab", lab)
    if lab_record is None:
        problems.append(f"There is no lab {lab!r}; check the folder above Subjects, or --lab.")
    animal = documents.find("subject", subject)
    if animal is None:
        problems.append(
            f"There is no subject {subject!r}; check the folder's name or add the subject first."
        )
    elif animal.body.get("lab") != lab:
        problems.append(f"Subject {subject!r} belongs to lab {animal.body.get('lab')!r}.")
    if problems:
        raise Invalid({"session": problems})
    existing = sessions.find(subject, wanted["date"], wanted["number"])
    if existing is not None:
        return _target(existing)
    for field_name, kind in (("projects", "project"), ("users", "user")):
        problems += [
            f"There is no {kind} {name!r}."
            for name in wanted.get(field_name, ())
            if documents.find(kind, str(name)) is None
        ]
    metadata = {name: wanted[name] for name in METADATA if name in wanted}
    zone = lab_record.body.get("timezone") if lab_record else None
    metadata.setdefault("start_time", f"{wanted['date']}T00:00:00")
    try:
        start = times.instant(metadata["start_time"], zone)
        if start[:10] != wanted["date"]:
            problems.append(f"start_time {start} is not on the session's day {wanted['date']}.")
        if metadata.get("end_time"):
            times.instant(metadata["end_time"], zone)
    except (ValueError, TypeError, AttributeError):
        problems.append("start_time and end_time must be ISO times.")
    if problems:
        raise Invalid({"session": problems})
    return Target(lab, subject, wanted["date"], wanted["number"], None, metadata)


def _target(session: Session) -> Target:
    return Target(session.lab, session.subject, session.date, int(session.number), session.id)


def find_or_create(target: Target, by: str) -> Session:
    """Return the session of a target, made now if need be.

    Raises
    ------
    NotFound
        The subject or lab has gone since the upload was opened.
    """
    if target.id is not None:
        return sessions.get(target.id)
    existing = sessions.find(target.subject, target.date, target.number)
    if existing is not None:
        return existing
    values = {"users": [by], "type": "Experiment", **target.metadata}
    try:
        return sessions.create(
            subject=target.subject, lab=target.lab, number=target.number, who=by, **values
        )
    except Exists as exists:
        return sessions.get(str(exists.key))


class Lock(Record, discriminator="Lock"):
    """Held while datasets are added to a session, so that two uploads cannot claim one place."""

    holder = UnicodeAttribute()
    until = UnicodeAttribute()
    expires = NumberAttribute()


class Busy(Conflict):
    """Another upload is being added to this session; come back in a moment."""


@contextmanager
def only_writer(folder: str, upload: str) -> Iterator[None]:
    """Let one upload at a time be added to a session; the same upload may come in again.

    Raises
    ------
    Busy
        Another upload is at it.
    """
    now = datetime.now(UTC)
    lock = Lock(
        pk=f"LOCK#{folder}",
        sk="A",
        holder=upload,
        until=(now + LOCKED).isoformat(),
        expires=int((now + timedelta(days=1)).timestamp()),
    )
    free = Lock.pk.does_not_exist() | (Lock.until <= now.isoformat()) | (Lock.holder == upload)
    try:
        lock.save(free)
    except PutError as error:
        if error.cause_response_code != "ConditionalCheckFailedException":
            raise
        _take_over(lock, folder)
    try:
        yield
    finally:  # a killed process leaves the lock, which ends by itself
        with suppress(DeleteError):
            lock.delete(Lock.holder == upload)


def _take_over(lock: Lock, folder: str) -> None:
    """Take the lock from an upload that has ended: its process was killed before it let go.

    Raises
    ------
    Busy
        The holder has not ended, or somebody else was faster.
    """
    try:
        held = Lock.get(lock.pk, lock.sk, consistent_read=True)
        if get(held.holder).state in FINAL:
            lock.save(Lock.holder == held.holder)
            return
    except (Lock.DoesNotExist, NotFound, PutError):
        pass
    raise Busy(f"another upload is being added to {folder}")
