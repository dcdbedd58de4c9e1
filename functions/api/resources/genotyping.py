"""Genotyping: alleles, sequences, the rules of lines, and tests of animals."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from functions.api.engine.declarations import (
    COLONY,
    HUSBANDRY,
    Body,
    Resource,
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
from functions.api.resources.of_subject import BY_SUBJECT, by_subject, default_user
from functions.api.resources.parts import GENES, today, with_id
from shared import catalog

if TYPE_CHECKING:
    from functions.api.call import Call

_BASES = re.compile(r"[ACGTURYSWKMBDHVNacgturyswkmbdhvn\s]*")


def _bases(value: str) -> None:
    if not _BASES.fullmatch(value):
        raise ValueError("Write bases by their letters (A, C, G, T; N where it may be any).")


def _prepare_rule(body: Body, old: Body | None, call: Call) -> Body:
    """Refuse half a second test, and alleles that the line has not."""
    if (body.get("sequence1") is None) != (body.get("result1") is None):
        raise Invalid({"result1": ["A second sequence and its result go together."]})
    if body.get("sequence1") and body["sequence1"] == body["sequence0"]:
        raise Invalid({"sequence1": ["It is the first sequence; name another one, or none."]})
    line = catalog.table("line").get(body["line"]) or {}
    if body["allele"] not in (line.get("alleles") or ()):
        message = f"{body['allele']} is no allele of {body['line']}; add it to the line first."
        raise Invalid({"allele": [message]})
    return body


declare(
    Resource(
        path="sequences",
        django=False,
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
        example={"subject": "FI_001", "sequence": "Cre", "test_result": "present"},
        **by_subject("genotype-test", "date"),  # type: ignore[arg-type]
    ),
)
