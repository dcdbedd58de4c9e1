"""Inputs of a task: fetched to their places in a session's folder, and checked."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import requests

from lab.client import Unreachable
from lab.worker.inside import create, inside
from lab.worker.shared_inputs import SharedInputs
from shared import recordings
from shared.codec.errors import CodecError
from shared.codec.header import HEADER
from shared.codec.index import read_footer
from shared.model.task import Claim, TaskInput
from shared.recordings.remote import RemoteFile, ServerAway

BLOCK = 2**20


class BadInput(Exception):
    """An input differs from its record in the table."""


class Expired(Exception):
    """The address of an input has expired."""


def fetch(
    claim: Claim,
    session: Path,
    *,
    again: Callable[[], Claim],
    check: Callable[[], None],
    shared: SharedInputs,
) -> None:
    """Download the inputs of a task.

    Parameters
    ----------
    claim
        The claim with the inputs' addresses.
    session
        The session's folder, which is created.
    again
        Claims again, which renews the addresses.
    check
        Called before each file; raises if the task should not go on.
    shared
        Inputs that other tasks have fetched.

    Raises
    ------
    BadInput
        A file does not come, or has another checksum than its record.
    Outside
        A path leads outside the folder.
    """
    session.mkdir(parents=True)
    for task_input in claim.inputs:
        check()
        target = inside(session, task_input.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if task_input.linked:
            place_hollow(task_input, target)
            continue
        if shared.take(task_input, target):
            continue
        try:
            download(task_input, target)
        except Expired:
            fresh = {renewed.path: renewed for renewed in again().inputs}
            if task_input.path not in fresh:
                raise BadInput(f"input {task_input.path} is no longer there") from None
            target.unlink(missing_ok=True)
            download(fresh[task_input.path], target)
        shared.keep(task_input, target)


def place_hollow(one: TaskInput, target: Path) -> None:
    """Make a file of an input's size that has none of its samples or frames.

    Of a recording it has the header and the index. The rest is a hole, which takes no space
    on disks that know of holes.

    Raises
    ------
    BadInput
        The index does not come, or is not that of a file of this size.
    Unreachable
        S3 does not answer.
    """
    pieces: dict[int, bytes] = {}
    if one.path.endswith(".ebin"):
        source = RemoteFile(one.url)
        try:
            if source.size() != one.size:
                text = f"with {source.size()} bytes; it is registered with {one.size}"
                raise BadInput(f"input {one.path} came {text}")
            first = read_footer(source).offsets[-1]
            pieces = {0: source.read(0, HEADER.size), first: source.read(first, one.size)}
        except ServerAway as error:
            raise Unreachable(f"S3 did not answer: {error}") from None
        except CodecError as error:
            raise BadInput(f"the index of input {one.path} does not come: {error}") from None
        finally:
            source.close()
    with os.fdopen(create(target), "wb") as file:
        file.truncate(one.size)
        for start, content in pieces.items():
            file.seek(start)
            file.write(content)


def download(one: TaskInput, target: Path) -> None:
    """Download one file, and check size and checksum; a freed one is made from its copy.

    Raises
    ------
    BadInput, Expired, Unreachable
        It is another file; its address has expired; S3 does not answer.
    """
    if one.packed:
        _unpack(one, one.packed, target)
        return
    sha256, size = hashlib.sha256(), 0
    try:
        with requests.get(one.url, stream=True, timeout=(10, 120)) as answer:
            if answer.status_code == 403:
                raise Expired(one.path)
            if answer.status_code >= 500:
                raise Unreachable(f"S3 answered {answer.status_code}")
            if answer.status_code >= 400:
                raise BadInput(f"input {one.path} does not come: S3 answers {answer.status_code}")
            with os.fdopen(create(target), "wb") as file:
                for block in answer.iter_content(BLOCK):
                    file.write(block)
                    sha256.update(block)
                    size += len(block)
                    if one.size and size > one.size:  # it may be endless
                        text = f"more than the {one.size} bytes that are registered"
                        raise BadInput(f"input {one.path} comes with {text}")
    except (requests.ConnectionError, requests.Timeout) as error:
        raise Unreachable(f"S3 did not answer ({type(error).__name__})") from None
    except requests.RequestException as error:
        raise BadInput(f"input {one.path} does not come: {error}") from None
    if one.size and size != one.size:
        text = f"with {size} bytes; it is registered with {one.size}"
        raise BadInput(f"input {one.path} came {text}")
    if one.sha256 and sha256.hexdigest() != one.sha256:
        raise BadInput(
            f"input {one.path} came with SHA-256 {sha256.hexdigest()} and {size} bytes; "
            f"it is registered with {one.sha256} and {one.size} bytes"
        )


def _unpack(one: TaskInput, packed: str, target: Path) -> None:
    """Make a freed recording again from its compressed copy, and check its checksum."""
    with tempfile.TemporaryDirectory(prefix=".freed-", dir=target.parent) as place:
        copy = Path(place) / packed.rpartition("/")[2]
        download(TaskInput(packed, one.id, 0, one.url), copy)
        try:
            recordings.decompress(copy, target)
        except CodecError as error:
            raise BadInput(f"{one.path} cannot be made from {packed}: {error}") from None
    with target.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if one.sha256 and found != one.sha256:
        text = f"made from {packed}, has SHA-256 {found}; it is registered with {one.sha256}"
        raise BadInput(f"input {one.path}, {text}")
