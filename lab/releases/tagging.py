"""Giving a tag to the datasets of sessions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lab.client import Client

PAGE = 250
"""Rows of one request (the most that a list answers)."""


def datasets_to_tag(
    client: Client, sessions: Iterable[str], tag: str, collection: str, all_revisions: bool
) -> Iterator[dict[str, Any]]:
    """Yield the datasets of sessions that are to get a tag and have it not."""
    for session in sessions:
        offset = 0
        while True:
            page = client.get("/datasets", session=session, limit=PAGE, offset=offset)["results"]
            for row in page:
                wanted = row["default_dataset"] or all_revisions
                among = (row["collection"] or "").startswith(collection)
                if wanted and among and tag not in row["tags"]:
                    yield row
            if len(page) < PAGE:
                break
            offset += PAGE


def give_tag(client: Client, tag: str, datasets: Sequence[dict[str, Any]], at_once: int) -> None:
    """Give datasets a tag, which is made if there is none."""
    if not client.get("/tags", name=tag)["results"]:
        client.post("/tags", {"name": tag})

    def one(row: dict[str, Any]) -> None:
        client.patch(f"/datasets/{row['id']}", {"tags": sorted({*row["tags"], tag})})

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(one, datasets))
