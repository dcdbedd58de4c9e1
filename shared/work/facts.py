"""What is known of a session beside its files, for tasks that write it down for others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.model.identity import nickname_of
from shared.model.task import SessionForTask
from shared.records import documents
from shared.records.items import Session


def facts_of(session: Session) -> SessionForTask:
    """Return the facts of a session, its animal and its lab."""
    animal = _body("subject", session.subject)
    lab = _body("lab", session.lab)
    genotype = (
        " ".join(str(each[part]) for part in ("allele", "zygosity") if each.get(part))
        for each in animal.get("zygosities") or ()
    )
    told = {name: str(animal.get(name) or "") for name in ("sex", "birth_date", "strain")}
    return SessionForTask(
        session_id=session.id,
        lab=session.lab,
        subject=nickname_of(session.subject),
        date=session.date,
        number=str(int(session.number)),
        start_time=session.start_time,
        timezone=str(lab.get("timezone") or "UTC"),
        institution=str(lab.get("institution") or ""),
        protocol=session.task_protocol or "",
        projects="\n".join(sorted(session.projects or ())),
        synthetic="1" if session.synthetic else "",
        species=str(animal.get("species") or ""),
        genotype=", ".join(each for each in genotype if each),
        description=str(animal.get("description") or ""),
        **told,
    )


def _body(kind: str, key: str) -> Mapping[str, Any]:
    found = documents.find(kind, key)
    return found.body if found else {}
