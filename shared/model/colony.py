"""Request bodies of the colony's workflows: their types and bounds."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

Word = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Day = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
Pups = Annotated[int, msgspec.Meta(ge=0, le=100)]
Animals = Annotated[list[Word], msgspec.Meta(min_length=1, max_length=100)]
"""Nicknames in one request; all that follows from each is written in the same transaction."""


class PupsRequest(msgspec.Struct, frozen=True):
    """Numbers of pups by sex that a litter gets."""

    male: Pups = 0
    female: Pups = 0
    unknown: Pups = 0


class WeanedCage(msgspec.Struct, frozen=True):
    """A cage and the animals that go into it; a missing cage is made."""

    name: Word
    subjects: Animals


class WeanRequest(msgspec.Struct, frozen=True):
    """The day of weaning and the new cages; animals that no cage names stay in theirs."""

    date: Day
    cages: Annotated[list[WeanedCage], msgspec.Meta(max_length=50)] = []
    confirmed: bool = False


class TransferRequest(msgspec.Struct, frozen=True):
    """Animals, the user who gets them, the request they answer, and new names."""

    subjects: Animals
    to: Word
    request: Word | None = None
    rename: Annotated[dict[Word, Word], msgspec.Meta(max_length=100)] = {}


class CullRequest(msgspec.Struct, frozen=True):
    """Animals and the fields of their culls."""

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
    """The wanted genotype, the number of animals, and the animals that may breed."""

    wanted: Annotated[
        dict[Word, Annotated[int, msgspec.Meta(ge=0, le=3)]],
        msgspec.Meta(min_length=1, max_length=20),
    ]
    count: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1
    lab: Word | None = None
    subjects: Annotated[list[Word], msgspec.Meta(max_length=200)] = []


class ZygositiesRequest(msgspec.Struct, frozen=True):
    """Application of a line's rules, or a preview with one rule more or less."""

    dry_run: bool = False
    rule: dict[str, Any] | None = None
    without: Word | None = None
    after: Annotated[str, msgspec.Meta(max_length=255)] = ""
