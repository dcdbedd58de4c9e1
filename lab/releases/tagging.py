"""Giving a tag to the datasets of sessions, and taking it from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lab.client import Client

PAGE = 250
"""Rows of one request (the most that a list answers)."""


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


def give_tag(client: Client, tag: str, datasets: Sequence[dict[str, Any]], at_once: int) -> None:
    """Give datasets a tag; create the tag if it is new."""
    if not client.get("/tags", name=tag)["results"]:
        client.post("/tags", {"name": tag})

    _write(client, datasets, lambda tags: tags | {tag}, at_once)


def take_tag(client: Client, tag: str, datasets: Sequence[dict[str, Any]], at_once: int) -> None:
    """Take a tag from datasets."""
    _write(client, datasets, lambda tags: tags - {tag}, at_once)


def _write(
    client: Client,
    datasets: Sequence[dict[str, Any]],
    change: Callable[[set[str]], set[str]],
    at_once: int,
) -> None:
    def one(row: dict[str, Any]) -> None:
        client.patch(f"/datasets/{row['id']}", {"tags": sorted(change(set(row["tags"])))})

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(one, datasets))
