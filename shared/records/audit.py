"""Who changed what and when: one immutable item per write, in the transaction of the write.

``AUD#kind#key`` / time and a random tail. Entries hold only the fields that changed. What was
written together has one ``group``, by which it is undone together.
"""

from __future__ import annotations

import json
import secrets
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from pynamodb.attributes import BinaryAttribute, NumberAttribute, UnicodeAttribute

from shared.model.moment import stamp
from shared.records.table import Record


class Audit(Record, discriminator="Audit"):
    """One write by one person or machine.

    Attributes
    ----------
    who, action : str
    detail : bytes
        What changed, see `before` and `after`.
    group : str, optional
        A UUID; all that was written together has the same.
    version : int, optional
        The record's version from then on: while it is the present one, the write can be undone.
    """

    who = UnicodeAttribute()
    action = UnicodeAttribute()
    detail = BinaryAttribute(legacy_encoding=False)
    group = UnicodeAttribute(null=True)
    version = NumberAttribute(null=True)

    @property
    def record(self) -> tuple[str, str]:
        """Kind and key of the record."""
        _, kind, key = self.pk.split("#", 2)
        return kind, key

    @property
    def when(self) -> str:
        """Time of the write, UTC."""
        return self.sk.split("#")[0]

    @property
    def before(self) -> dict[str, Any]:
        """Former values of the fields that changed."""
        return json.loads(zlib.decompress(self.detail))["before"]

    @property
    def after(self) -> dict[str, Any]:
        """New values of the fields that changed."""
        return json.loads(zlib.decompress(self.detail))["after"]


def entry(
    who: str,
    action: str,
    kind: str,
    key: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    *,
    group: str | None = None,
    version: int | None = None,
) -> Audit:
    """Return the audit item of a write; save it in the same transaction.

    Parameters
    ----------
    who : str
        User name of the caller.
    action : str
        ``create``, ``update``, ``delete``, ``register``, …
    kind, key : str
        The record.
    before, after : mapping, optional
        Its fields then and now; only what differs is kept.
    group, version : optional
        See `Audit`.
    """
    old, new = dict(before or {}), dict(after or {})
    same = {name for name in old if name in new and old[name] == new[name]}
    detail = {
        "before": {name: value for name, value in old.items() if name not in same},
        "after": {name: value for name, value in new.items() if name not in same},
    }
    return Audit(
        pk=f"AUD#{kind}#{key}",
        sk=f"{stamp()}#{secrets.token_hex(4)}",
        who=who,
        action=action,
        group=group,
        version=version,
        detail=zlib.compress(json.dumps(detail, default=str, separators=(",", ":")).encode()),
    )


def history(kind: str, key: str) -> Iterator[Audit]:
    """Yield the writes of a record, oldest first."""
    return iter(Audit.query(f"AUD#{kind}#{key}"))


def recent(kind: str, key: str, since: str) -> list[Audit]:
    """Return the writes of a record since a moment (`shared.model.moment.stamp`), latest first."""
    written = Audit.query(
        f"AUD#{kind}#{key}", Audit.sk >= since, consistent_read=True, scan_index_forward=False
    )
    return list(written)
