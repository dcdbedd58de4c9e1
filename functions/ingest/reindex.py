"""Rebuild the table from the manifests of uploads and imports in S3, which are the truth."""

from __future__ import annotations

import logging
from typing import Any

from functions.ingest.finalise import register
from shared.model.messages import Reindex
from shared.records import aws, queues
from shared.records.errors import Exists, RecordError
from shared.records.objects import bucket, read_json
from shared.sessions import store as sessions
from shared.uploads import imports

log = logging.getLogger(__name__)

AT_ONCE = 50
"""Manifests of one message; the rest follow in the next."""

MOST_RECORDS = 2_000
"""Records after which the rest follow in the next message as well: imports have many in one."""


def reindex(after: str = "") -> int:
    """Register the manifests that come after a key; queue a message for those that follow.

    Returns
    -------
    int
        How many manifests were read.
    """
    page = aws.client("s3").list_objects_v2(
        Bucket=bucket(), Prefix="manifests/", StartAfter=after, MaxKeys=AT_ONCE
    )
    keys = [item["Key"] for item in page.get("Contents", ())]
    records, done = 0, 0
    for key in keys:
        if records >= MOST_RECORDS:
            break
        done += 1
        try:
            records += restore(read_json(key) or {}, key)
        except (RecordError, KeyError, ValueError):
            log.exception("manifest %s could not be restored", key)
    if page.get("IsTruncated") or done < len(keys):
        queues.send(queues.url("ingest"), Reindex(keys[done - 1]))
    return done


def restore(manifest: dict[str, Any], key: str) -> int:
    """Make what one manifest names, with the ids it has there; again is no change.

    Returns
    -------
    int
        How many records it names.
    """
    if "import" in manifest:
        return imports.restore(manifest, key)
    target = manifest["session"]
    if not target["id"] or not manifest["datasets"]:
        return 0
    metadata = {"users": [manifest["by"]], "type": "Experiment", **target["metadata"]}
    metadata.setdefault("start_time", f"{target['date']}T00:00:00")
    try:
        sessions.create(
            id=target["id"],
            subject=target["subject"],
            lab=target["lab"],
            number=target["number"],
            who=manifest["by"],
            **metadata,
        )
    except Exists as exists:
        if exists.key != target["id"]:
            raise
    register(manifest, key)
    return 1 + len(manifest["datasets"])
