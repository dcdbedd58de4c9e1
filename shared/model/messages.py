"""Queue messages, one type each; on the wire they are JSON objects with a ``kind``."""

from __future__ import annotations

import msgspec


class Message(
    msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="kind"
):
    """One message: only a hint that something in the table or in S3 has changed."""


class SessionRegistered(Message, frozen=True, tag="session.registered"):
    """A session has new datasets (to dispatch).

    Attributes
    ----------
    session
        Its id.
    again
        Whether the reconciler repeats the message; then nothing new is published.
    """

    session: str
    again: bool = False


class SessionShown(Message, frozen=True, tag="session.shown"):
    """The visibility of a session has changed (to dispatch)."""

    session: str


class SessionFinished(Message, frozen=True, tag="session.finished"):
    """A session's tasks have ended, so its pages can be built (to analysis)."""

    session: str


class TaskChanged(Message, frozen=True, tag="task.changed"):
    """A task has another status (to dispatch)."""

    task: str


class TaskWaits(Message, frozen=True, tag="task.waits"):
    """A task waits for a worker (to the workers of its lab)."""

    task: str


class TablesChanged(Message, frozen=True, tag="tables"):
    """The ONE client's cache tables need a rebuild (to analysis)."""


class SnapshotDue(Message, frozen=True, tag="snapshot"):
    """Many records are new, so the search index needs a snapshot (to analysis)."""


class ReleaseChanged(Message, frozen=True, tag="release.changed"):
    """A release was published, changed or withdrawn, so its pages can be built (to analysis)."""

    name: str


class Finalise(Message, frozen=True, tag="finalise"):
    """The files of an upload have arrived (to ingest)."""

    upload: str


class IndexDue(Message, frozen=True, tag="index"):
    """A client requested a large file that has no index yet (to ingest)."""

    dataset: str


class Sweep(Message, frozen=True, tag="sweep"):
    """The unfinished tasks need a check (by the schedule, to dispatch).

    Attributes
    ----------
    all
        Whether tasks that have been held for long are included.
    start
        Whether the whole system has just been started.
    """

    all: bool = False
    start: bool = False


class Deliver(Message, frozen=True, tag="deliver"):
    """A delivery of a webhook is due (to notices)."""

    webhook: str
    delivery: str


class ChangesDue(Message, frozen=True, tag="changes"):
    """The change feed needs to be read for webhooks (by the schedule)."""


class NoticesDue(Message, frozen=True, tag="notices"):
    """Labs need to be checked for new notices (by the schedule)."""


AnyMessage = (
    SessionRegistered
    | SessionShown
    | SessionFinished
    | TaskChanged
    | TaskWaits
    | TablesChanged
    | SnapshotDue
    | ReleaseChanged
    | Finalise
    | IndexDue
    | Sweep
    | NoticesDue
    | ChangesDue
    | Deliver
)
"""Union of all messages."""

_decoder = msgspec.json.Decoder(AnyMessage)


def encode(message: Message) -> str:
    """Return a message as the text of a queue."""
    return msgspec.json.encode(message).decode()


def decode(body: str | bytes) -> AnyMessage:
    """Return the message of a queue's text.

    Raises
    ------
    msgspec.DecodeError
        The text is no message of this system (``msgspec.ValidationError`` is a subclass).
    """
    return _decoder.decode(body)
