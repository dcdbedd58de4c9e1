"""The deployment sets what the functions read of their environment, and nothing else."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, MutableMapping
from pathlib import Path

import pytest

from shared.records import env

ARGUMENTS = {"queue": ("ingest", "dispatch", "analysis", "notices"), "lab": ("fimbrialab",)}
NOT_OURS = {"AWS_REGION"}

ROOT = Path(__file__).resolve().parents[2]


class Asked(MutableMapping[str, str]):
    """An environment that has everything, and notes what it was asked for."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        return "set"

    def __setitem__(self, name: str, value: str) -> None: ...

    def __delitem__(self, name: str) -> None: ...

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def read_by_functions(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the variables that `shared.records.env` reads, all its functions called."""
    asked = Asked()
    monkeypatch.setattr(env.os, "environ", asked)
    for name, reader in inspect.getmembers(env, inspect.isfunction):
        if name.startswith("_"):
            continue
        wanted = list(inspect.signature(reader).parameters)
        for value in ARGUMENTS[wanted[0]] if wanted else ("",):
            reader(*[value] * len(wanted))
    monkeypatch.undo()
    return asked.names - NOT_OURS


def test_what_is_read_is_set_and_what_is_set_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    deployed = (ROOT / "infra" / "functions.py").read_text()
    assert read_by_functions(monkeypatch) == set(re.findall(r'"(FORNIX_\w+)"', deployed))
