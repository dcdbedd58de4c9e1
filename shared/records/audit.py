"""The audit trail: one immutable item per write, in the transaction of the write.

``AUD#kind#key`` / time and a random tail. Entries hold only the fields that changed. Records
written together share a ``group``, by which they are undone together.

The entries of a transaction share one time. The first entry of a lab is indexed by lab and day
(gsi1) and by group (gsi2), and names the lab's other entries, so the others need no index of
their own. When many records are made together, one item is the entry of all
(``AUD#*#group#lab``), and each record names it (`Document.made`).
"""

from __future__ import annotations

import json
import secrets
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pynamodb.attributes import BinaryAttribute, NumberAttribute, UnicodeAttribute

from shared.model.moment import stamp
from shared.records import keys
from shared.records.table import Record


class RecordName(NamedTuple):
    """What a record is called everywhere."""

    kind: str
    key: str


class Audit(Record, discriminator="Audit"):
    """One write by one person or machine.

    Attributes
    ----------
    who, action : str
    detail : bytes
        The changed fields, see `before` and `after`.
    group : str, optional
        A UUID, common to all that was written together.
    version : int, optional
        The record's new version; while the record has it, the write can be undone.
    lab : str, optional
        Lab that owns the record; empty if all labs do.
    others : bytes, optional
        Only in the first entry of its lab and transaction: ``[[pk, sk], …]`` of the others.
    many : bytes, optional
        Only in an item that stands for several entries: ``[[kind, key, version, after], …]``.
    made : str, optional
        Only in a deletion: place of the entry of the record's creation, if that is a shared item.
    """

    who = UnicodeAttribute()
    action = UnicodeAttribute()
    detail = BinaryAttribute(legacy_encoding=False)
    group = UnicodeAttribute(null=True)
    version = NumberAttribute(null=True)
    lab = UnicodeAttribute(null=True)
    others = BinaryAttribute(legacy_encoding=False, null=True)
    many = BinaryAttribute(legacy_encoding=False, null=True)
    made = UnicodeAttribute(null=True)

    @property
    def record(self) -> RecordName:
        """Kind and key of the record."""
        _, kind, key = self.pk.split("#", 2)
        return RecordName(kind, key)

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
    lab: str | None = None,
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
        Its fields then and now; only changed fields are stored.
    group, version, lab : optional
        See `Audit`; an entry without a lab is found by its record alone.
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
        lab=lab,
        detail=zlib.compress(json.dumps(detail, default=str, separators=(",", ":")).encode()),
    )


TOGETHER = 2_000
"""Most bytes of a creation's fields for an entry that shares one item with others."""


def place_of_many(group: str, lab: str) -> str:
    """Return the partition of an item that stands for several creations."""
    return f"AUD#*#{group}#{lab}"


def together(entries: Sequence[Audit], pk: str) -> Audit:
    """Return the item that stands for the creations of several records of a lab."""
    first = entries[0]
    many = [[*entry.record, int(entry.version or 0), entry.after] for entry in entries]
    return Audit(
        pk=pk,
        sk="",
        who=first.who,
        action=first.action,
        group=first.group,
        lab=first.lab,
        detail=_packed({"before": {}, "after": {}}),
        many=_packed(many),
    )


def _packed(value: Any) -> bytes:
    text = json.dumps(value, default=str, separators=(",", ":"), ensure_ascii=False)
    return zlib.compress(text.encode())


def _each(item: Audit) -> Iterator[Audit]:
    """Yield the entries that an item stands for: itself, or one for each of many records."""
    if not item.many:
        yield item
        return
    for kind, key, version, after in json.loads(zlib.decompress(item.many)):
        yield Audit(
            pk=f"AUD#{kind}#{key}",
            sk=item.sk,
            who=item.who,
            action=item.action,
            group=item.group,
            lab=item.lab,
            version=version,
            detail=_packed({"before": {}, "after": after}),
        )


def bind(entries: Sequence[Audit], sk: str) -> None:
    """Make the entries of one transaction findable by lab and day, and by their group."""
    heads: dict[str, list[Audit]] = {}
    seen: set[str] = set()
    for i, entry in enumerate(entries):
        entry.sk = sk if entry.pk not in seen else f"{sk}{i}"
        seen.add(entry.pk)
        if entry.lab is not None:
            heads.setdefault(entry.lab, []).append(entry)
    for lab, (head, *others) in heads.items():
        head.g1pk, head.g1sk = f"AUD#{lab}#{sk[:10]}", head.sk
        if head.group:
            head.g2pk, head.g2sk = f"GROUP#{head.group}", f"{head.sk}#{lab}"
        if others:
            head.others = _packed([[entry.pk, entry.sk] for entry in others])


def with_others(head: Audit) -> Iterator[Audit]:
    """Yield an entry found by an index, and the others that it names."""
    yield from _each(head)
    keys = json.loads(zlib.decompress(head.others)) if head.others else []
    order = {(pk, sk): i for i, (pk, sk) in enumerate(keys)}
    items = Audit.batch_get([(pk, sk) for pk, sk in keys])
    for item in sorted(items, key=lambda each: order[each.pk, each.sk]):
        yield from _each(item)


def of_group(group: str) -> list[Audit]:
    """Return the entries of a group, oldest first."""
    places = [(item.pk, item.sk) for item in Record.gsi2.query(f"GROUP#{group}")]
    heads = sorted(Audit.batch_get(places), key=lambda each: str(each.sk))
    return [each for head in heads for each in with_others(head)]


def of_day(lab: str, day: str, before: str = "") -> Iterator[Audit]:
    """Yield a lab's entries of a day (``2026-01-31``), latest transaction first.

    Parameters
    ----------
    lab : str
        Empty for records of all labs.
    day : str
    before : str, optional
        Only entries older than this ``sk``.
    """
    until = Record.g1sk < before if before else None
    for head in Record.gsi1.query(f"AUD#{lab}#{day}", until, scan_index_forward=False):
        yield from with_others(head)


def history(kind: str, key: str) -> Iterator[Audit]:
    """Yield the writes of a record, oldest first."""
    own = list(Audit.query(f"AUD#{kind}#{key}"))
    places = {each.made for each in own if each.made} | {_made(kind, key)}
    for place in places - {""}:
        pk, _, sk = str(place).partition("|")
        item = Audit.get(pk, sk)
        own += [each for each in _each(item) if each.record == (kind, key)]
    return iter(sorted(own, key=lambda each: str(each.sk)))


def _made(kind: str, key: str) -> str:
    """Return the place of the shared entry of a record's creation; empty if it has its own."""
    from shared.records.items import Document, Pointer

    try:
        item: Record = Record.get(keys.document(kind, key), "A")
        if isinstance(item, Pointer):
            item = Record.get(item.to, item.to_sk)
    except Record.DoesNotExist:
        return ""
    return str(item.made or "") if isinstance(item, Document) else ""


def recent(kind: str, key: str, since: str) -> list[Audit]:
    """Return the writes of a record since a moment (`shared.model.moment.stamp`), latest first."""
    written = Audit.query(
        f"AUD#{kind}#{key}", Audit.sk >= since, consistent_read=True, scan_index_forward=False
    )
    return list(written)
