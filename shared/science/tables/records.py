"""The records behind the rows of an animal."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from numpy.typing import NDArray


class LabRecord(msgspec.Struct, frozen=True):
    """A laboratory."""

    name: str
    institution: str = ""
    timezone: str = "UTC"


@dataclass(frozen=True)
class ProbeUnits:
    """The sorted spikes of a probe: arrays of a value a spike, and of a value a cluster.

    Attributes
    ----------
    name : str
    spikes : mapping
        `times` (s), `clusters`, `amps` (V), shape (spikes,); `depths` (µm) where known.
    clusters : mapping
        `channels`, `depths` (µm), shape (clusters,); `label` where known.
    """

    name: str
    spikes: Mapping[str, NDArray[Any]] = field(repr=False)
    clusters: Mapping[str, NDArray[Any]] = field(repr=False)


@dataclass(frozen=True)
class SessionRecord:
    """A session, with the content of its files that the tables need.

    Attributes
    ----------
    start : datetime
        On the lab's clock, without a time zone.
    trials : mapping of columns, optional
        ONE convention.
    wheel : array, optional
        Positions (rad).
    movements : int, optional
        Detected movements of the wheel.
    ambient : mapping of columns, optional
        `temperature_c`, `air_pressure_mb`, `relative_humidity`, a value a trial.
    """

    id: str
    start: dt.datetime
    number: int
    lab: str
    location: str = ""
    protocol: str = ""
    projects: tuple[str, ...] = ()
    trials: Mapping[str, Any] | None = field(default=None, repr=False)
    wheel: NDArray[Any] | None = field(default=None, repr=False)
    movements: int | None = None
    ambient: Mapping[str, Any] | None = field(default=None, repr=False)
    probes: tuple[ProbeUnits, ...] = ()


class WeighingRecord(msgspec.Struct, frozen=True):
    """A weighing: lab time, and grams."""

    at: dt.datetime
    grams: float


class WateringRecord(msgspec.Struct, frozen=True):
    """Water given: lab time, kind, millilitres if measured."""

    at: dt.datetime
    kind: str
    ml: float | None = None
    adlib: bool = False


class RestrictionRecord(msgspec.Struct, frozen=True):
    """A water restriction: lab times, and the reference weight in grams."""

    start: dt.datetime
    end: dt.datetime | None
    grams: float | None


@dataclass(frozen=True)
class SubjectRecord:
    """An animal with all its data for the tables.

    Attributes
    ----------
    id : str
        UUID.
    """

    id: str
    nickname: str
    lab: LabRecord
    sex: str = "U"
    birth_date: dt.date | None = None
    projects: tuple[str, ...] = ()
    sessions: tuple[SessionRecord, ...] = field(default=(), repr=False)
    weighings: tuple[WeighingRecord, ...] = ()
    waterings: tuple[WateringRecord, ...] = ()
    restrictions: tuple[RestrictionRecord, ...] = ()
