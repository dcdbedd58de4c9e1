"""Facts about a session beside its files, for tasks that write them into their outputs."""

from __future__ import annotations

import msgspec

from shared.model import json
from shared.model.identity import nickname_of
from shared.model.task import SessionForTask
from shared.records import documents
from shared.records.items import Session


class _Zygosity(msgspec.Struct, frozen=True):
    allele: str | None = None
    zygosity: str | None = None


class _Animal(msgspec.Struct, frozen=True):
    sex: str | None = None
    birth_date: str | None = None
    species: str | None = None
    strain: str | None = None
    description: str | None = None
    zygosities: tuple[_Zygosity, ...] | None = None


class _Laboratory(msgspec.Struct, frozen=True):
    timezone: str | None = None
    institution: str | None = None


def facts_of(session: Session) -> SessionForTask:
    """Return the facts of a session, its animal and its lab."""
    document = documents.find("subject", session.subject)
    animal = json.read(document.body, _Animal) if document else _Animal()
    document = documents.find("lab", session.lab)
    lab = json.read(document.body, _Laboratory) if document else _Laboratory()
    genotype = (
        " ".join(part for part in (each.allele, each.zygosity) if part)
        for each in animal.zygosities or ()
    )
    return SessionForTask(
        session_id=session.id,
        lab=session.lab,
        subject=nickname_of(session.subject),
        date=session.date,
        number=str(int(session.number)),
        start_time=session.start_time,
        timezone=lab.timezone or "UTC",
        institution=lab.institution or "",
        protocol=session.task_protocol or "",
        projects="\n".join(sorted(session.projects or ())),
        synthetic="1" if session.synthetic else "",
        sex=animal.sex or "",
        birth_date=animal.birth_date or "",
        species=animal.species or "",
        strain=animal.strain or "",
        genotype=", ".join(each for each in genotype if each),
        description=animal.description or "",
    )
