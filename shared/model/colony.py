"""Bodies of the colony's workflows: types and bounds of what they may say."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

Word = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Day = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
Pups = Annotated[int, msgspec.Meta(ge=0, le=100)]
Animals = Annotated[list[Word], msgspec.Meta(min_length=1, max_length=100)]
"""Nicknames of one request; what follows from each is written with it."""


class PupsRequest(msgspec.Struct, frozen=True):
    """How many pups of each sex a litter gets."""

    male: Pups = 0
    female: Pups = 0
    unknown: Pups = 0


class WeanedCage(msgspec.Struct, frozen=True):
    """A cage, which is made if there is none of its name, and who comes into it."""

    name: Word
    subjects: Animals


class WeanRequest(msgspec.Struct, frozen=True):
    """The day of weaning, and who goes where; where nobody is named, all stay where they are."""

    date: Day
    cages: Annotated[list[WeanedCage], msgspec.Meta(max_length=50)] = []
    confirmed: bool = False


class TransferRequest(msgspec.Struct, frozen=True):
    """Animals, who gets them, for which request, and the names that some get."""

    subjects: Animals
    to: Word
    request: Word | None = None
    rename: Annotated[dict[Word, Word], msgspec.Meta(max_length=100)] = {}


class CullRequest(msgspec.Struct, frozen=True):
    """Animals and what their culls say."""

    subjects: Animals
    date: Day
    method: Word | None = None
    reason: Word | None = None
    severity: Word | None = None
    description: Annotated[str, msgspec.Meta(max_length=100_000)] = ""


class RenameRequest(msgspec.Struct, frozen=True):
    """The new name; ``alias`` keeps the old one in folders and records and adds the new one."""

    nickname: Word
    alias: bool = False


class BreedingPlanRequest(msgspec.Struct, frozen=True):
    """The genotype that is wanted, of how many animals, and who may be bred."""

    wanted: Annotated[
        dict[Word, Annotated[int, msgspec.Meta(ge=0, le=3)]],
        msgspec.Meta(min_length=1, max_length=20),
    ]
    count: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1
    lab: Word | None = None
    subjects: Annotated[list[Word], msgspec.Meta(max_length=200)] = []


class ZygositiesRequest(msgspec.Struct, frozen=True):
    """A line's rules applied, or a look at what a new rule or one less would change."""

    dry_run: bool = False
    rule: dict[str, Any] | None = None
    without: Word | None = None
    after: Annotated[str, msgspec.Meta(max_length=255)] = ""
