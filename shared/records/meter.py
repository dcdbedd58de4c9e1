"""DynamoDB charges: requests and capacity units of all table traffic of this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec


class Capacity(msgspec.Struct):
    """DynamoDB charges while a meter ran."""

    requests: int = 0
    units: float = 0.0
    by_operation: dict[str, float] = msgspec.field(default_factory=dict)


_meters: list[Capacity] = []
_lock = threading.Lock()


def count(operation: str, answer: Mapping[str, Any]) -> None:
    """Add one answer's ConsumedCapacity to every running meter."""
    if not _meters:
        return
    consumed = answer.get("ConsumedCapacity", [])
    entries = consumed if isinstance(consumed, list) else [consumed]
    units = sum(float(entry.get("CapacityUnits", 0)) for entry in entries)
    with _lock:
        for meter in _meters:
            meter.requests += 1
            meter.units += units
            meter.by_operation[operation] = meter.by_operation.get(operation, 0.0) + units


@contextmanager
def metered() -> Iterator[Capacity]:
    """Measure requests and capacity units.

    Yields
    ------
    Capacity
        Filled while the block runs.
    """
    meter = Capacity()
    with _lock:
        _meters.append(meter)
    try:
        yield meter
    finally:
        with _lock:
            _meters.remove(meter)
