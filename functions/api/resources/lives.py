"""Rules for an animal's life: the order of its days, and no events after its end.

These rules do not apply to imported history.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.api.engine import references, zones
from functions.api.engine.declarations import KINDS, Body, Row
from functions.api.errors import ApiError, Invalid
from shared import catalog
from shared.catalog import water
from shared.model import moment
from shared.model.identity import nickname_of
from shared.records.where import Either, Where

if TYPE_CHECKING:
    from functions.api.call import Call

AFTER_BIRTH = {
    "death_date": "An animal cannot die before it is born.",
    "wean_date": "It cannot be weaned before it is born.",
    "genotype_date": "It cannot be genotyped before it is born.",
    "reduced_date": "It cannot be reduced before it is born.",
}
"""Days that cannot be before the birth, with their messages."""


def today_in(lab: str | None) -> str:
    """Return today's date in a laboratory."""
    return water.now_in(lab).date().isoformat()


def is_alive(subject: Row) -> bool:
    """Return whether an animal is alive on its lab's clock: its death may lie ahead."""
    died = subject.get("death_date")
    return not died or died > today_in(subject.get("lab"))


def living(*, negate: bool = False) -> list[Where]:
    """Return the conditions on living subjects, or on dead ones."""
    earliest = min((today_in(lab) for lab in _labs()), default=today_in(None))
    dated = catalog.table("subject").select([Where("death_date", "gt", earliest)])
    expected = {subject["nickname"] for subject in dated.all() if is_alive(subject)}
    if negate:
        dead = [Where("death_date", "isnull", False)]
        return [*dead, Where("nickname", "in", expected, negate=True)] if expected else dead
    no_date = Where("death_date", "isnull", True)
    return [Either(value=[no_date, Where("nickname", "in", expected)]) if expected else no_date]


def _labs() -> set[str]:
    names: set[str] = catalog.table("lab").select().values("name")
    return names


def check_days(body: Body, old: Body | None, call: Call) -> None:
    """Refuse days of a life in an impossible order.

    Raises
    ------
    Invalid
        400 at the later day.
    """
    birth, death, reduced = (body.get(f"{name}_date") for name in ("birth", "death", "reduced"))
    if call.is_import and not (birth and death and death < birth):
        return
    for name, message in AFTER_BIRTH.items():
        if (
            birth
            and body.get(name)
            and body[name] < birth
            and _is_new(body, old, name, "birth_date")
        ):
            raise Invalid({name: [message]})
    if death and reduced and reduced < death and _is_new(body, old, "reduced_date", "death_date"):
        raise Invalid({"reduced_date": ["It cannot be reduced before its death."]})


def _is_new(body: Body, old: Body | None, *names: str) -> bool:
    return old is None or any(body.get(name) != old.get(name) for name in names)


def check_time(body: Body, old: Body | None, call: Call, field: str) -> None:
    """Refuse events of an animal after its death.

    Raises
    ------
    Invalid
        400 at the field of the time.
    """
    if call.is_import or not body.get(field) or not _is_new(body, old, field, "subject"):
        return
    subject = subject_of(body)
    died = subject.get("death_date")
    if died and instant_of(body, field)[:10] > died:
        raise Invalid({field: [f"{nickname_of(body['subject'])} died on {died}."]})


def check_ends(body: Body, old: Body | None, call: Call, what: str) -> None:
    """Refuse an end before the beginning.

    Raises
    ------
    Invalid
        400 at ``end_time``.
    """
    if call.is_import or not (body.get("start_time") and body.get("end_time")):
        return
    if moment.utc(instant_of(body, "end_time")) < moment.utc(instant_of(body, "start_time")):
        raise Invalid({"end_time": [f"A {what} cannot end before it begins."]})


def subject_of(body: Body) -> Row:
    """Return the animal of a record."""
    return catalog.table("subject").get(body["subject"]) or {}


def instant_of(body: Body, field: str) -> str:
    """Return a time of a record of an animal, in the zone of its lab."""
    zone = zones.zone_of(subject_of(body).get("lab"))
    return moment.instant(str(body[field]), zone)


def keep_with_records(body: Body, call: Call) -> None:
    """Refuse to delete an animal with records: its history is kept.

    Raises
    ------
    ApiError
        409 that lists the records.
    """
    subject, nickname = KINDS["subject"], str(body["nickname"])
    records = [
        f"{count} of /{other.path}"
        for other, name, spec in references.relations_to(subject)
        if spec.on_delete == "cascade"
        and (count := len(references.referring(other, name, nickname)))
    ]
    if notes := references.notes_about(subject, body):
        records.append(f"{len(notes)} of /notes")
    if records:
        listed = ", ".join(sorted(records))
        raise ApiError(
            409,
            f"{nickname_of(nickname)} has records ({listed}) and stays; an animal that has left "
            "gets its death date.",
        )
