"""Genotyping: alleles, sequences, the rules of lines, and tests of animals."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from functions.api import genotypes
from functions.api.engine.declarations import (
    COLONY,
    HUSBANDRY,
    KINDS,
    Body,
    Resource,
    Row,
    choice,
    date,
    declare,
    flag,
    integer,
    json,
    ref,
    refs,
    text,
)
from functions.api.errors import Invalid
from functions.api.resources.of_subject import (
    BY_SUBJECT,
    by_subject,
    default_user,
    now,
    replacing,
)
from functions.api.resources.parts import GENES, today, with_id
from shared import catalog
from shared.records.where import Where

if TYPE_CHECKING:
    from functions.api.call import Call
    from functions.api.engine.plan import Plan

_BASES = r"[ACGTURYSWKMBDHVNacgturyswkmbdhvn\s]*"


def _bases(value: str) -> None:
    if not re.fullmatch(_BASES, value):
        raise ValueError("Write bases by their letters (A, C, G, T; N where it may be any).")


def _prepare_rule(body: Body, old: Body | None, call: Call) -> Body:
    """Refuse an incomplete second test, and alleles that the line does not have."""
    if (body.get("sequence1") is None) != (body.get("result1") is None):
        raise Invalid({"result1": ["A second sequence and its result go together."]})
    if body.get("sequence1") and body["sequence1"] == body["sequence0"]:
        raise Invalid({"sequence1": ["It is the first sequence; name another one, or none."]})
    line = catalog.table("line").get(body["line"]) or {}
    if body["allele"] not in (line.get("alleles") or ()):
        message = f"{body['allele']} is no allele of {body['line']}; add it to the line first."
        raise Invalid({"allele": [message]})
    return body


MOST = 60
"""Most animals that are updated in the request that changes a rule; a route updates more."""


def set_genotype(plan: Plan, nickname: str, call: Call, day: str | None = None) -> None:
    """Plan the zygosities of an animal from its tests and its line's rules.

    Parameters
    ----------
    plan : Plan
    nickname : str
    call : Call
    day : str, optional
        Day of the test; becomes its genotype date if it has none.
    """
    subject = plan.get("subject", nickname)
    if subject is None:
        return  # deleted, and its tests with it
    zygosities = genotypes.worked_out(subject, genotypes.of_line(subject.get("line")), now(call))
    changes: Body = (
        {"zygosities": zygosities} if zygosities != (subject.get("zygosities") or []) else {}
    )
    if day and not subject.get("genotype_date"):
        changes |= {"genotype_date": day, "to_be_genotyped": False}
    plan.change(KINDS["subject"], nickname, replacing(**changes))


def _follow_test(plan: Plan, before: Body | None, after: Body | None, call: Call) -> None:
    if call.is_import:
        return  # an imported genotype stays as it is
    for nickname in sorted({str(version["subject"]) for version in (before, after) if version}):
        tested = after is not None and after["subject"] == nickname
        set_genotype(plan, nickname, call, after["date"] if after and tested else None)


def _follow_rule(plan: Plan, before: Body | None, after: Body | None, call: Call) -> None:
    """Update the animals of the line, unless there are too many for one request."""
    if call.is_import:
        return
    for line in sorted({str(version["line"]) for version in (before, after) if version}):
        stored_line = plan.get("line", line)
        animals = tested(line)
        if stored_line is None or len(animals) > MOST:
            continue
        plan.change(KINDS["line"], line, lambda body: body)  # serialises writes of one line
        for nickname in animals:
            set_genotype(plan, nickname, call)


def follow_line(plan: Plan, before: Body | None, after: Body | None, call: Call) -> None:
    """Update an animal's zygosities when its line changes."""
    if before is None or after is None or before.get("line") == after.get("line"):
        return
    if catalog.table("genotype-test").select([Where("subject", "exact", after["nickname"])]).all():
        set_genotype(plan, after["nickname"], call)


def tested(line: str) -> list[str]:
    """Return the animals of a line that have been tested."""
    of_line = catalog.table("subject").select([Where("line", "exact", line)]).values("nickname")
    tests = catalog.table("genotype-test").select([Where("subject", "in", of_line)])
    return sorted(tests.values("subject"))


def outdated(line: str, genetics: genotypes.Genetics, at: str) -> list[Body]:
    """Return how the rules would change the zygosities of a line's tested animals.

    Returns
    -------
    list of dict
        ``subject``, ``before`` and ``after``, for animals whose zygosities differ.
    """
    differences = []
    for nickname in tested(line):
        subject = catalog.table("subject").get(nickname) or {}
        before, after = (
            subject.get("zygosities") or [],
            genotypes.worked_out(subject, genetics, at),
        )
        if after != before:
            differences.append({"subject": nickname, "before": before, "after": after})
    return differences


def _show_rule(shown: Body, row: Row, call: Call) -> Body:
    """Show how many animals of the line do not yet follow its present rules."""
    waiting = outdated(row["line"], genotypes.of_line(row["line"]), now(call))
    return {**shown, "outdated": len(waiting)}


declare(
    Resource(
        path="sequences",
        kind="sequence",
        model="subjects.sequence",
        key="name",
        access=COLONY,
        fields={
            "name": text(required=True, maximum=255),
            "base_pairs": text(maximum=100_000, check=_bases),
            "description": text(),
            "json": json(),
        },
        show=with_id,
        example={"name": "Cre", "base_pairs": "GCGGTCTGGCAGTAAAAACTATC"},
    ),
    Resource(
        path="alleles",
        kind="allele",
        model="subjects.allele",
        key="nickname",
        access=COLONY,
        fields={
            "nickname": text(required=True, maximum=255),
            "name": text(maximum=1023),
            "sequences": refs("sequence"),
            "x_linked": flag(),
            "json": json(),
        },
        reverse={"line": ("line", "alleles", "nickname")},
        show=with_id,
        example={"nickname": "Pvalb-Cre", "name": "Pvalb<tm1(cre)Arbr>"},
    ),
    Resource(
        path="zygosity-rules",
        kind="zygosity-rule",
        model="subjects.zygosityrule",
        access=COLONY,
        lab="line",
        fields={
            "line": ref("line", required=True, null=False, on_delete="cascade"),
            "allele": ref("allele", required=True, null=False),
            "sequence0": ref("sequence", required=True, null=False),
            "result0": choice(GENES, required=True, null=False),
            "sequence1": ref("sequence"),
            "result1": choice(GENES),
            "zygosity": integer(required=True, null=False, minimum=0, maximum=3),
            "order": integer(default=0, null=False, minimum=-(10**6), maximum=10**6),
            "json": json(),
        },
        unique=(("line", "allele", "sequence0", "result0", "sequence1?", "result1?"),),
        prepare=_prepare_rule,
        effects=(_follow_rule,),
        show_detail=_show_rule,
        order=("line", "allele", "order", "id"),
        example={
            "line": "Pvalb-IRES-Cre",
            "allele": "Pvalb-Cre",
            "sequence0": "Cre",
            "result0": "present",
            "zygosity": 3,
        },
    ),
    Resource(
        path="genotype-tests",
        kind="genotype-test",
        access=HUSBANDRY,
        model="subjects.genotypetest",
        many=True,
        fields={
            "subject": ref("subject", required=True, null=False, on_delete="cascade"),
            "sequence": ref("sequence", required=True, null=False),
            "test_result": choice(GENES, required=True, null=False),
            "date": date(default=today, earliest="1990-01-01", ahead=1),
            "user": ref("user", default=default_user),
            "plate": text(maximum=64),
            "well": text(maximum=16),
            "json": json(),
        },
        filters=dict(BY_SUBJECT),
        unique=(("subject", "sequence"),),
        effects=(_follow_test,),
        example={"subject": "FI_001", "sequence": "Cre", "test_result": "present"},
        **by_subject("genotype-test", "date"),  # type: ignore[arg-type]
    ),
)
