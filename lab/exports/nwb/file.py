"""The head of a file: session and subject."""

from __future__ import annotations

import datetime as dt

from pynwb import NWBFile
from pynwb.file import Subject

from lab.exports.session import ExportError, ExportFacts, SubjectFacts

PAPERS = {
    "trainingChoiceWorld": "https://doi.org/10.7554/eLife.63711",
    "biasedChoiceWorld": "https://doi.org/10.7554/eLife.63711",
}
"""Publications that describe a task, by a part of its protocol."""

TASK = (
    "Visual decision task of the International Brain Laboratory: a grating appears on the left or "
    "the right of a screen, and the mouse turns a wheel to bring it to the centre for a reward."
)


def new_file(facts: ExportFacts, kind: str) -> NWBFile:
    """Return an empty file with its head.

    Parameters
    ----------
    facts : ExportFacts
    kind : {'raw', 'processed'}

    Raises
    ------
    ExportError
        A fact that every archive requires is unknown.
    """
    protocol = facts.protocol or "unknown protocol"
    synthetic = "SYNTHETIC DATA. " if facts.synthetic else ""
    return NWBFile(
        session_description=f"{synthetic}{kind.capitalize()} data of {facts.reference}, "
        f"{protocol}.",
        identifier=f"{facts.id}-{kind}",
        session_id=facts.id,
        session_start_time=facts.start,
        lab=facts.lab,
        institution=facts.institution or None,
        experimenter=list(facts.experimenters) or None,
        experiment_description=synthetic + TASK,
        keywords=["mouse", "decision making", "behavior", *(["synthetic"] if synthetic else [])],
        protocol=facts.protocol or None,
        notes=facts.narrative or None,
        related_publications=[doi for part, doi in PAPERS.items() if part in facts.protocol]
        or None,
        subject=_subject(facts.subject, facts.start),
    )


def _subject(facts: SubjectFacts, start: dt.datetime) -> Subject:
    if facts.birth_date is None:
        raise ExportError(
            f"the birth date of {facts.nickname} is not known, which archives ask for: "
            "enter it in its record, or give --birth-date"
        )
    born = dt.datetime.combine(facts.birth_date, dt.time(), start.tzinfo)
    if born > start:
        raise ExportError(f"{facts.nickname} was born after the session: put its birth date right")
    return Subject(
        subject_id=facts.nickname.replace("/", "-"),
        species=facts.species,
        sex=facts.sex,
        age=f"P{(start - born).days}D",
        date_of_birth=born,
        strain=facts.strain or None,
        genotype=facts.genotype or None,
        description=facts.description or f"Animal {facts.nickname}.",
    )
