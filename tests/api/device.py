"""A device with a replica, as the notebook app has one: it loads, follows and forgets."""

from __future__ import annotations

import json
from typing import Any

from tests.api.conftest import Api

Key = tuple[str, str]


class Device:
    """Holds what ``GET /changes`` says, by kind and key."""

    def __init__(self, api: Api, user: str = "fimbrialab_member", query: str = "") -> None:
        self.api = api
        self.user = user
        self.query = query
        self.rows: dict[Key, dict[str, Any]] = {}
        self.versions: dict[Key, int] = {}
        self.since = ""
        self.requests = 0
        self.reloads = 0

    def pull(self) -> None:
        """Follow the feed until there is no more; load again if it does not reach back."""
        more = True
        while more:
            since = f"since={self.since}&" if self.since else ""
            answer = self.api("GET", f"/changes?{since}{self.query}", user=self.user)
            self.requests += 1
            if answer.status == 410:
                self.rows.clear()
                self.versions.clear()
                self.since = ""
                self.reloads += 1
                continue
            assert answer.status == 200, answer.raw
            self.take(answer.body)
            more = answer.body["more"]

    def take(self, page: dict[str, Any]) -> None:
        for block in page["blocks"]:
            for i, key in enumerate(block["keys"]):
                row = {name: block["columns"][n][i] for n, name in enumerate(block["fields"])}
                row[block["key"]] = key
                self._put(block["kind"], key, block["versions"][i], row)
        for row in page["rows"]:
            self._put(row["kind"], row["key"], row["version"], row["row"])
        self.since = page["next"]

    def _put(self, kind: str, key: str, version: int, row: dict[str, Any] | None) -> None:
        if self.versions.get((kind, key), -1) > version:
            return
        self.versions[kind, key] = version
        if row is None:
            self.rows.pop((kind, key), None)
        else:
            self.rows[kind, key] = {name: each for name, each in row.items() if each is not None}

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        return {key: row for (k, key), row in self.rows.items() if k == kind}

    def text(self) -> str:
        """Everything that it holds, to be compared."""
        held = [[*name, row] for name, row in sorted(self.rows.items())]
        return json.dumps(held, sort_keys=True)
