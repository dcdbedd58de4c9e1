"""Queue messages, one type each; on the wire they are JSON objects told apart by ``kind``."""

from __future__ import annotations

import msgspec


class Message(
    msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="kind"
):
    """One message; it is only ever a hint that something in the table or in S3 has changed."""


class SessionRegistered(Message, frozen=True, tag="session.registered"):
    """A session has new datasets (to dispatch).

    Attributes
    ----------
    session
        Its id.
    again
        Whether the reconciler says so a second time: then nothing new is published.
    """

    session: str
    again: bool = False


class SessionShown(Message, frozen=True, tag="session.shown"):
    """Who may see a session has changed (to dispatch)."""

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
    """Something that the ONE client's cache tables are made of has changed (to analysis)."""


class ReleaseChanged(Message, frozen=True, tag="release.changed"):
    """A release was published, changed or withdrawn, so its pages can be built (to analysis)."""

    name: str


class Finalise(Message, frozen=True, tag="finalise"):
    """The files of an upload are there (to ingest)."""

    upload: str


class IndexDue(Message, frozen=True, tag="index"):
    """A large file was asked for whose index is not there (to ingest)."""

    dataset: str


class Sweep(Message, frozen=True, tag="sweep"):
    """The unfinished tasks are to be looked through (by the schedule, to dispatch).

    Attributes
    ----------
    all
        Also those that have been held for long.
    start
        Whether the whole system has just been started.
    """

    all: bool = False
    start: bool = False


class Deliver(Message, frozen=True, tag="deliver"):
    """A delivery of a webhook is to be tried (to notices)."""

    webhook: str
    delivery: str


class ChangesDue(Message, frozen=True, tag="changes"):
    """The change feed is to be read for webhooks (by the schedule)."""


class NoticesDue(Message, frozen=True, tag="notices"):
    """Labs are to be looked through for what people are to be told (by the schedule)."""


AnyMessage = (
    SessionRegistered
    | SessionShown
    | SessionFinished
    | TaskChanged
    | TaskWaits
    | TablesChanged
    | ReleaseChanged
    | Finalise
    | IndexDue
    | Sweep
    | NoticesDue
    | ChangesDue
    | Deliver
)
"""Every message there is."""

_decoder = msgspec.json.Decoder(AnyMessage)


def encode(message: Message) -> str:
    """Return a message as it lies in a queue."""
    return msgspec.json.encode(message).decode()


def decode(body: str | bytes) -> AnyMessage:
    """Return the message of a queue's text.

    Raises
    ------
    msgspec.DecodeError
        It is none of ours (``msgspec.ValidationError`` is one).
    """
    return _decoder.decode(body)
