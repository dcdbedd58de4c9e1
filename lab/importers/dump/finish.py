"""Conversions of single models of Alyx beyond their fields."""

from __future__ import annotations

import re

from lab.importers.alyx_rows import RowUnfit, short_name
from lab.importers.carrier import Row
from lab.importers.dump.parts import EMPTY, DumpContext, Lost, PartOf
from lab.importers.dump.shelf import HERE, WAITING, Shelved
from shared.model.copies import OWN
from shared.science.colony.genotype import Zygosity, ZygosityRule, from_tests

AUTOMATIC = ("", "-")
"""Names that mean that none was given."""

MOVED = {"misc.housing": "misc.cage", "misc.housingsubject": "misc.stay"}
"""Models that have other names here, as notes name them."""


def lab(job: DumpContext, row: Shelved, out: Row) -> None:
    """Add the installation's own store, and turn the enrichment into a list."""
    out["repositories"] = [*out["repositories"], OWN]
    if "enrichment" in out:
        out["enrichment"] = [out["enrichment"]]
    out["timezone"] = out.get("timezone") or "UTC"


def user(job: DumpContext, row: Shelved, out: Row) -> None:
    """Set who keeps animals; powers of the old server are not carried over."""
    groups = [job.shelf.find("auth.group", group) for group in out.pop("is_husbandry", None) or ()]
    names = [str(group.fields.get("name")) for group in groups if group]
    out["is_husbandry"] = any("husbandry" in name.lower() for name in names)
    job.note("users come without passwords: invite them")
    if row.fields.get("is_superuser"):
        job.note("superusers come as members: give them their role here")


def line(job: DumpContext, row: Shelved, out: Row) -> None:
    """Give a line a nickname for the names of its animals."""
    text = str(out.get("nickname") or out.get("name") or "")
    out["nickname"] = short_name(text)
    out.setdefault("name", text)
    if out["nickname"] != text:
        job.note("subjects.line: nicknames of which no animal's name can be made were changed")


def rule(job: DumpContext, row: Shelved, out: Row) -> None:
    """Set a rule's order to its position in the dump, since Alyx's rules have none."""
    out["order"] = row.n % 1_000_000
    if "sequence1" not in out or "result1" not in out:
        if "sequence1" in out or "result1" in out:
            job.note("subjects.zygosityrule: half of a second test is left out")
        out.pop("sequence1", None)
        out.pop("result1", None)


def _named(job: DumpContext, row: Shelved, out: Row, field: str, stem: str) -> None:
    """Give an unnamed row a name that is the same whenever the dump is read."""
    if str(out.get(field) or "").strip() in AUTOMATIC:
        out[field] = f"{stem}_{job.identity(row)[:8]}"
        job.note(f"{row.model}: rows without a name were given one")


def _line_of(job: DumpContext, row: Shelved) -> str:
    line_row = job.shelf.find("subjects.line", row.fields.get("line"))
    return short_name(str(line_row.fields.get("nickname"))) if line_row else "unnamed"


def pair(job: DumpContext, row: Shelved, out: Row) -> None:
    """Name a pair."""
    _named(job, row, out, "name", f"{_line_of(job, row)}_BP")


def litter(job: DumpContext, row: Shelved, out: Row) -> None:
    """Name a litter."""
    _named(job, row, out, "name", f"{_line_of(job, row)}_L")


def subject(job: DumpContext, row: Shelved, out: Row) -> None:
    """Name an animal; reconcile its zygosities, its death by cull and its cage."""
    _named(job, row, out, "nickname", _line_of(job, row))
    if zygosities := _zygosities(job, row):
        out["zygosities"] = zygosities
    for part in job.shelf.parts("actions.cull", row.pk):
        day = str(part.fields.get("date") or "")[:10]
        if re.fullmatch(r"\d{4}-\d\d-\d\d", day):
            if out.get("death_date") and out["death_date"] != day:
                job.note("subjects.subject: death dates other than the cull's gave way to it")
            out["death_date"], out["to_be_culled"] = day, False
    if "death_date" in out and not job.shelf.parts("actions.cull", row.pk):
        job.note("subjects.subject: dead animals without a cull, to be completed")
    if str(row.fields.get("protocol_number")) == "4":
        job.note("subjects.subject: protocol 4 is worked out from licences here")
    stays = job.shelf.parts("misc.housingsubject", row.pk)
    if stays:
        still = [part for part in stays if end_of_stay(job, part) is None]
        cage = job.shelf.find("misc.housing", still[-1].fields.get("housing")) if still else None
        name = cage.fields.get("cage_name") if cage else None
        if name or not out.get("death_date"):
            if out.pop("cage", name) != name:
                job.note("subjects.subject: cages that differ from the housing's gave way to it")
            if name:
                out["cage"] = name


def _zygosities(job: DumpContext, row: Shelved) -> list[Row]:
    """Return an animal's zygosities; those that differ from its line's rules are manual."""
    by_rule, zygosities = _by_rules(job, row), []
    at = f"{row.fields.get('genotype_date') or row.fields.get('birth_date') or '1990-01-01'}"
    for each in job.shelf.parts("subjects.zygosity", row.pk):
        if each.state != WAITING:
            continue
        try:
            allele = job.reference("subjects.allele", each.fields.get("allele"))
            zygosity = int(each.fields["zygosity"])
            if not 0 <= zygosity <= 3:
                raise ValueError
        except Lost as problem:
            job.shelf.mark(each, "not carried", f"its allele {problem}")
            continue
        except (KeyError, TypeError, ValueError):
            job.shelf.mark(each, "not carried", "its zygosity is not one that Alyx has")
            continue
        by, rule = "manual", None
        if (expected := by_rule.get(allele)) and expected[0] == zygosity:
            by, rule = "rule", expected[1]
        elif by_rule:
            job.note("subjects.zygosity: not what the line's rules give, kept as given by hand")
        said = {"allele": allele, "zygosity": zygosity, "by": by, "rule": rule, "at": at[:10]}
        zygosities.append(said)
    return sorted(zygosities, key=lambda each: each["allele"])


def _by_rules(job: DumpContext, row: Shelved) -> dict[str, tuple[int, str]]:
    """Return allele → (zygosity, id of the rule) from tests and rules."""
    tests = job.shelf.parts("subjects.genotypetest", row.pk)
    line = row.fields.get("line")
    if not tests or line in EMPTY:
        return {}
    results = {str(t.fields.get("sequence")): bool(t.fields.get("test_result")) for t in tests}
    rules = []
    for part in job.shelf.parts("subjects.zygosityrule", str(line).lower()):
        fields = part.fields
        try:
            rules.append(
                ZygosityRule(
                    job.identity(part),
                    job.reference("subjects.allele", fields.get("allele")),
                    str(fields.get("sequence0")),
                    bool(fields.get("sequence0_result")),
                    fields.get("sequence1") and str(fields["sequence1"]),
                    None
                    if fields.get("sequence1_result") is None
                    else bool(fields["sequence1_result"]),
                    Zygosity(int(fields["zygosity"])),
                )
            )
        except (Lost, KeyError, TypeError, ValueError):
            continue
    return {
        finding.allele: (int(finding.zygosity), str(finding.rule))
        for finding in from_tests(results, rules)
        if finding.zygosity is not None
    }


def genotype_test(job: DumpContext, row: Shelved, out: Row) -> None:
    """Keep the last of several tests of one sequence; add the day of the genotype."""
    animal = job.shelf.find("subjects.subject", row.fields.get("subject"))
    out["date"] = animal and (animal.fields.get("genotype_date") or None)
    same = [
        test
        for test in job.shelf.parts(row.model, str(row.fields.get("subject")).lower())
        if test.fields.get("sequence") == row.fields.get("sequence")
    ]
    if same[-1].n != row.n:
        raise PartOf(job.identity(same[-1]))
    if former := same[:-1]:
        former_tests = [{"id": e.pk, "test_result": e.fields.get("test_result")} for e in former]
        out["json"] = {**(out.get("json") or {}), "former": former_tests}
    out["user"] = None


def housing(job: DumpContext, row: Shelved, out: Row) -> None:
    """Merge the housings of one name and lab into one cage with the last one's settings."""
    out["lab"] = _lab_of_housing(job, row)
    same = [
        each
        for each in job.shelf.housings_named(str(row.fields.get("cage_name")))
        if each.n == row.n or _lab_of_housing(job, each, "") == out["lab"]
    ]
    last = max(same, key=lambda each: _used(job, each))
    if last.n != row.n:
        raise PartOf(job.identity(last))
    former = [{"id": each.pk, **_settings(each)} for each in same if each.n != row.n]
    more = _settings(row) | ({"former": former} if former else {})
    more.pop("cage_name", None)
    settings_kept = ("cage_cleaning_frequency_days", "former")
    more = {k: v for k, v in more.items() if k in settings_kept}
    if more:
        out["json"] = {**(out.get("json") or {}), **more}
    if "enrichment" in out:
        out["enrichment"] = [out["enrichment"]]


def _settings(row: Shelved) -> Row:
    return {k: v for k, v in row.fields.items() if v not in EMPTY}


def _used(job: DumpContext, row: Shelved) -> tuple[bool, str, int]:
    """Return a sort key that is largest for the housing used last."""
    stays = [stay.fields for stay in job.shelf.stays_in(row.pk)]
    still = any(not stay.get("end_datetime") for stay in stays)
    return still, max((str(stay.get("start_datetime")) for stay in stays), default=""), row.n


def _lab_of_housing(job: DumpContext, row: Shelved, default: str | None = None) -> str:
    """Return the lab of the animals that lived in a housing, else the dump's only lab."""
    for stay in job.shelf.stays_in(row.pk):
        animal = job.shelf.find("subjects.subject", stay.fields.get("subject"))
        if animal and animal.state in HERE:
            return job.reference("misc.lab", animal.fields.get("lab"))
    labs = job.shelf.first("misc.lab", 2)
    if len(labs) == 1:
        return job.reference("misc.lab", labs[0].pk)
    if default is not None:
        return default
    raise RowUnfit("no animal lived in it, so that its lab is not known")


def end_of_stay(job: DumpContext, row: Shelved) -> str | None:
    """Return when an animal left a cage: at the latest when it entered the next one."""
    end, start = row.fields.get("end_datetime") or None, str(row.fields.get("start_datetime"))
    for other in job.shelf.parts(row.model, str(row.fields.get("subject")).lower()):
        begun = str(other.fields.get("start_datetime") or "")
        if other.n != row.n and (begun, other.n) > (start, row.n) and (not end or begun < end):
            end = begun
    return end


def stay(job: DumpContext, row: Shelved, out: Row) -> None:
    """End a stay when the next begins."""
    end = end_of_stay(job, row)
    if end != (row.fields.get("end_datetime") or None):
        job.note("misc.housingsubject: stays that overlapped were ended when the next began")
    if end:
        out["end"] = end


def restriction(job: DumpContext, row: Shelved, out: Row) -> None:
    """End the older of two open restrictions when the newer begins."""
    if "end_time" in out:
        return
    later = [
        str(other.fields["start_time"])
        for other in job.shelf.parts(row.model, str(row.fields.get("subject")).lower())
        if other.n != row.n and str(other.fields.get("start_time") or "") > out["start_time"]
    ]
    if later:
        out["end_time"] = min(later)
        job.note("actions.waterrestriction: older open ones were ended when the newer began")


def dataset(job: DumpContext, row: Shelved, out: Row) -> None:
    """Set a dataset's owner, and the places of its bytes."""
    if "session" in out:
        out.pop("content_type", None)
        out.pop("object_id", None)
    else:
        about(job, row, out)
    for field in ("hash", "version", "created_datetime"):
        if out.get(field) in EMPTY:
            out.pop(field, None)
    records = []
    for file_record in job.shelf.parts("data.filerecord", row.pk):
        if file_record.state != WAITING:
            continue
        fields = file_record.fields
        try:
            place = job.reference("data.datarepository", fields.get("data_repository"))
        except Lost as problem:
            job.shelf.mark(file_record, "not carried", f"its data repository {problem}")
            continue
        record = {
            "data_repository": place,
            "relative_path": fields.get("relative_path"),
            "exists": bool(fields.get("exists")),
            "json": fields.get("json"),
        }
        records.append(record)
    out["file_records"] = records


def about(job: DumpContext, row: Shelved, out: Row) -> None:
    """Find the target of a row of any kind (Django's generic foreign keys).

    Raises
    ------
    RowUnfit
        The target is unknown, or does not exist here.
    """
    kind = row.fields.get("content_type")
    if isinstance(kind, list) and len(kind) == 2:
        model = f"{kind[0]}.{kind[1]}".lower()
    else:
        kind_row = job.shelf.find("contenttypes.contenttype", kind)
        if kind_row is None:
            raise RowUnfit(
                "the dump does not tell what kind of row it is about: dump contenttypes too, or"
                " give dumpdata --natural-foreign"
            )
        model = f"{kind_row.fields.get('app_label')}.{kind_row.fields.get('model')}".lower()
    try:
        out["object_id"] = job.reference(model, row.fields.get("object_id"))
    except Lost as problem:
        raise RowUnfit(f"what it is about {problem}") from None
    model = job.canonical(model)
    out["content_type"] = MOVED.get(model, model)


def note(job: DumpContext, row: Shelved, out: Row) -> None:
    """Set the target of a note; its image is a file, whose path stays in its json."""
    about(job, row, out)
    if image := out.pop("image", None):
        out["json"] = {**(out.get("json") or {}), "image": image}
        job.note("misc.note: images are files beside Alyx; the note's json says which")


def region(job: DumpContext, row: Shelved, out: Row) -> None:
    """Give a region its number in the atlas."""
    out["id"] = int(row.pk)


def fov_location(job: DumpContext, row: Shelved, out: Row) -> None:
    """Parse lists that Django writes as text."""
    import json

    for field in ("x", "y", "z", "n_xyz"):
        if isinstance(value := out.get(field), str):
            try:
                out[field] = json.loads(value)
            except ValueError:
                raise RowUnfit(f"its {field} is no list") from None
