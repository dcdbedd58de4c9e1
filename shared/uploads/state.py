"""The item of an upload and its conditional steps, and the request that is stored beside it.

The request (the list of files) lies in S3 beside the folder of incoming files as long as the
upload is unfinished. So one listing finds all unfinished uploads, and the table holds one small
item per upload. The answer (the registered files, the refused files and why) is the manifest. It
is written once and never changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from pynamodb.attributes import JSONAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.exceptions import UpdateError

from shared.model.identity import uuid4_from
from shared.model.prefixes import INCOMING
from shared.model.upload import FINAL, Manifest, StoredRequest, Target, UploadRequest, UploadState
from shared.records import aws, env, keys, optimistic
from shared.records.errors import Conflict, NotFound
from shared.records.objects import put_json, read_object
from shared.records.table import Record
from shared.records.transactions import ConditionFailed, transaction
from shared.uploads.keys import request_key

OPEN_DAYS = 7
"""Days after which an incomplete upload ends with the files that have arrived."""


KEPT_DAYS = 365
"""Days for which the table remembers a finished upload; its manifest in S3 stays for ever."""


BUSY = timedelta(minutes=2)
"""Time after the start of a validation in which no second one of the same upload starts."""


WITHOUT_CHARACTERS = 100_000
"""Room for the reasons why files will not come; an item takes 400 KB."""


class Upload(Record, discriminator="Upload"):
    """One upload; ``without`` says which files the client gave up, and why.

    ``tries`` counts the validations that began, ``reason`` says why the last one failed.
    """

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
    tries = NumberAttribute(default=0)
    reason = UnicodeAttribute(null=True)
    expires = NumberAttribute()

    @property
    def final(self) -> bool:
        """Whether the upload has ended."""
        return self.state in FINAL


def upload_id(target: Target, request: UploadRequest, turn: int = 0) -> str:
    """Return the id of an upload of exactly these files, so that a killed client finds it again.

    Parameters
    ----------
    target, request
        Session and files; the session's metadata make no difference.
    Number of earlier uploads of the same files that ended without registering every file, or
    whose session was deleted.
    """
    run = [request.task.id, request.task.attempt] if request.task else None
    files = sorted(
        [file.path, file.size, file.sha256, file.md5, file.qc] for file in request.files
    )
    return uuid4_from("", json.dumps([target.key.folder, files, run, turn], separators=(",", ":")))


def get_upload(upload: str) -> Upload:
    """Return an upload.

    Raises
    ------
    NotFound
        There is no such upload.
    """
    try:
        return Upload.get(keys.upload(upload), "A", consistent_read=True)
    except Upload.DoesNotExist:
        raise NotFound(f"there is no upload {upload}") from None


def open_upload(target: Target, request: UploadRequest, by: str) -> tuple[Upload, bool]:
    """Find the upload of these files, or create it.

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
            upload = get_upload(key)
        except NotFound:
            return _create(key, target, request, by)
        if upload.state == "registered" and _gone(upload, target):
            continue
        if upload.state not in FINAL or upload.state == "registered":
            return upload, False
        if not request.again and upload.state != "expired":
            return upload, False
    raise Conflict("these files have been refused a thousand times; ask an administrator")


def _gone(upload: Upload, target: Target) -> bool:
    """Tell whether the session that an upload was registered in has been deleted since.

    A client that sends its files again then wants to restore them.
    """
    if target.id is None:
        return True
    manifest = manifest_of(upload)
    return manifest is not None and manifest.target.id not in (None, target.id)


def _create(key: str, target: Target, request: UploadRequest, by: str) -> tuple[Upload, bool]:
    """Store the request, then the item: a crash in between leaves nothing visible."""
    now = datetime.now(UTC)
    stored = StoredRequest(key, by, now.isoformat(), target, request.files, request.task)
    put_json(request_key(key), stored)
    upload = Upload(
        pk=keys.upload(key),
        sk="A",
        id=key,
        state="open",
        lab=target.key.lab,
        folder=target.key.folder,
        session=target.id,
        by=by,
        created=now.isoformat(),
        g1pk=keys.uploads_of(target.key.lab),
        g1sk=now.isoformat(),
        task=request.task.id if request.task else None,
        attempt=request.task.attempt if request.task else None,
        files=len(request.files),
        size=sum(file.size for file in request.files),
        expires=int((now + timedelta(days=KEPT_DAYS)).timestamp()),
    )
    try:
        with transaction() as writes:
            writes.save(upload, Upload.pk.does_not_exist())
    except ConditionFailed:
        return get_upload(key), False
    return upload, True


def request_of(upload: str) -> StoredRequest | None:
    """Return the stored request of an unfinished upload, None once it is finished."""
    return read_object(request_key(upload), StoredRequest)


def manifest_of(upload: Upload) -> Manifest | None:
    """Return the manifest of a finished upload."""
    return read_object(upload.manifest, Manifest) if upload.manifest else None


def uploads_of_lab(lab: str, most: int) -> list[Upload]:
    """Return the latest uploads of a lab, the newest first."""
    items = Record.gsi1.query(keys.uploads_of(lab), scan_index_forward=False, limit=most)
    return [item for item in items if isinstance(item, Upload)]


def mark_not_coming(upload: Upload, without: Mapping[str, str]) -> None:
    """Note that files will not come, and why; each then counts as refused."""
    already = upload.without or {}
    longest = max(20, WITHOUT_CHARACTERS // (len(already) + len(without) + 1))
    merged = {**already, **{path: str(reason)[:longest] for path, reason in without.items()}}
    if merged != already:
        upload.update(
            actions=[Upload.without.set(merged)],
            condition=Upload.state.is_in("open", "validating"),
        )


def start_validation(
    upload: Upload, *, busy: timedelta = BUSY, now: datetime | None = None
) -> bool:
    """Mark an upload as being validated; False if another validation began within ``busy``."""
    moment = now or datetime.now(UTC)
    try:
        upload.update(
            actions=[
                Upload.state.set("validating"),
                Upload.since.set(moment.isoformat()),
                Upload.tries.set(int(upload.tries) + 1),
            ],
            condition=(Upload.state == "open")
            | ((Upload.state == "validating") & (Upload.since <= (moment - busy).isoformat())),
        )
    except UpdateError as error:
        if error.cause_response_code != "ConditionalCheckFailedException":
            raise
        return False
    return True


def reset_validation(upload: Upload) -> None:
    """Let the validation of an upload start again at once, not only when it counts as dead."""
    tries = max(0, int(upload.tries) - 1)  # another upload held the lock: not a try
    with suppress(UpdateError):
        upload.update(
            actions=[Upload.since.set(""), Upload.tries.set(tries)],
            condition=Upload.state == "validating",
        )


def finish_upload(
    upload: Upload,
    state: UploadState,
    session: str | None,
    manifest: str | None,
    *,
    reason: str | None = None,
) -> None:
    """Set the final state; nothing happens if it is set already."""
    if upload.state == state and upload.manifest == manifest:
        return

    def finish() -> Upload:
        present = get_upload(upload.id)
        before = present.state
        present.state, present.manifest, present.reason = str(state), manifest, reason
        present.session = session or present.session
        with transaction() as writes:
            writes.save(present, Upload.state == before)
        return present

    done = optimistic.retried(finish, f"upload {upload.id} is being changed; try again")
    upload.attribute_values = done.attribute_values


def unfinished_uploads() -> Iterator[tuple[str, datetime]]:
    """Yield the uploads whose request still lies in S3, with the time of the request."""
    pages = aws.client("s3").get_paginator("list_objects_v2")
    for page in pages.paginate(Bucket=env.data_bucket(), Prefix=INCOMING, Delimiter="/"):
        for item in page.get("Contents", ()):
            name = item["Key"].removeprefix(INCOMING)
            if name.endswith(".json"):
                yield name.removesuffix(".json"), item["LastModified"]
