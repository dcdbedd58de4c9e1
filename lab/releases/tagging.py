"""Giving a tag to the datasets of sessions, and taking it from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import quote

from lab.client import Client
from lab.client.errors import ClientError

PAGE = 250
"""Rows of one request (the most that a list answers)."""

MOST = 100
"""Datasets of one request; the server takes 200, but a slow one shall answer in time, too."""


class TaggingRefused(ClientError):
    """The server refuses a tag for some datasets; the message says how many and why."""


def datasets_to_tag(
    client: Client, sessions: Iterable[str], tag: str, collection: str, all_revisions: bool
) -> Iterator[dict[str, Any]]:
    """Yield the chosen datasets of sessions that do not have a tag yet."""
    for dataset in session_datasets(client, sessions):
        wanted = dataset["default_dataset"] or all_revisions
        among = (dataset["collection"] or "").startswith(collection)
        if wanted and among and tag not in dataset["tags"]:
            yield dataset


def tagged_datasets(client: Client, sessions: Iterable[str], tag: str) -> Iterator[dict[str, Any]]:
    """Yield the datasets of sessions that have a tag."""
    return (dataset for dataset in session_datasets(client, sessions) if tag in dataset["tags"])


def session_datasets(client: Client, sessions: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of all datasets of sessions."""
    for session in sessions:
        offset = 0
        while True:
            page = client.get("/datasets", session=session, limit=PAGE, offset=offset)["results"]
            yield from page
            if len(page) < PAGE:
                break
            offset += PAGE


def give_tag(client: Client, tag: str, datasets: Sequence[dict[str, Any]]) -> None:
    """Give datasets a tag; create the tag if it is new.

    Raises
    ------
    TaggingRefused
        Some are refused; the others have it.
    """
    if not client.get("/tags", name=tag)["results"]:
        client.post("/tags", {"name": tag})
    _send(client, tag, "add", datasets)


def take_tag(client: Client, tag: str, datasets: Sequence[dict[str, Any]]) -> None:
    """Take a tag from datasets.

    Raises
    ------
    TaggingRefused
        Some are refused; the others have it no more.
    """
    _send(client, tag, "remove", datasets)


def _send(client: Client, tag: str, what: str, datasets: Sequence[dict[str, Any]]) -> None:
    refused: list[dict[str, Any]] = []
    for start in range(0, len(datasets), MOST):
        ids = [row["id"] for row in datasets[start : start + MOST]]
        address = f"/tags/{quote(tag, safe='')}/datasets"
        refused += client.post(address, {what: ids})["refused"]
    if refused:
        first = refused[0]
        raise TaggingRefused(
            f"{len(refused)} of {len(datasets)} datasets keep their tags; "
            f"{first['dataset']}: {first['detail']}"
        )
