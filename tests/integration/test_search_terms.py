"""ONE's search terms on what rigs uploaded and workers made, each against a count by hand.

By hand: in the folders of the rigs, which no server has touched.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytestmark = pytest.mark.integration

MEMBER = "fimbrialab_member"
LAB = "fimbrialab"


class Recorded(NamedTuple):
    """A session as its rig wrote it."""

    lab: str
    subject: str
    date: str
    number: int
    settings: dict[str, Any]
    files: frozenset[str]


@pytest.fixture(scope="module")
def recorded(processed: Any) -> list[Recorded]:
    """Return the sessions of the rigs, from their folders."""
    found = []
    for folder in sorted((processed.home / "rig").glob("*/Subjects/*/*/*")):
        lab, _, subject, date, number = folder.parts[-5:]
        (settings,) = folder.rglob("_iblrig_taskSettings.raw.json")
        files = frozenset(path.name for path in folder.rglob("*") if path.is_file())
        facts = json.loads(settings.read_text())
        found.append(Recorded(lab, subject, date, int(number), facts, files))
    return found


@pytest.fixture(scope="module")
def one(processed: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The unmodified client, as a member of one lab."""
    home = tmp_path_factory.mktemp("one")
    account = processed.credentials[MEMBER]
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setattr("iblutil.io.params.getfile", lambda name: str(home / f".{name}"))
        from one.api import OneAlyx

        yield OneAlyx(
            base_url=processed.api_url,
            username=account["username"],
            password=account["password"],
            silent=True,
            cache_dir=home / "cache",
            cache_rest=None,
        )


Term = tuple[str, Callable[[list[Recorded]], Any], Callable[[Recorded, Any], bool]]
TERMS: list[Term] = [
    ("subject", lambda all: all[0].subject, lambda s, v: s.subject == v),
    ("lab", lambda all: LAB, lambda s, v: s.lab == v),
    ("date_range", lambda all: [all[0].date, all[1].date], lambda s, v: v[0] <= s.date <= v[1]),
    ("number", lambda all: 1, lambda s, v: s.number == v),
    ("task_protocol", lambda all: "training", lambda s, v: v in protocol(s)),
    # The settings name a user whom the server does not know; the account that uploads is known
    ("users", lambda all: f"{LAB}_rig", lambda s, v: s.lab == LAB),
    # The rigs' settings name no project
    ("projects", lambda all: "demo", lambda s, v: False),
    ("datasets", lambda all: "_iblrig_taskData.raw.jsonable", lambda s, v: v in s.files),
    ("datasets", lambda all: "spikes.times.npy", lambda s, v: v in s.files),
    (
        "datasets",
        lambda all: ["spikes.times.npy", "_iblrig_taskData.raw.jsonable"],
        lambda s, v: s.files.issuperset(v),
    ),
    # What a worker made of every session that a rig wrote
    ("datasets", lambda all: "_ibl_trials.table.pqt", lambda s, v: True),
    ("datasets", lambda all: "no.such.npy", lambda s, v: False),
]


def protocol(session: Recorded) -> str:
    return str(session.settings["PYBPOD_PROTOCOL"])


@pytest.mark.parametrize("place", range(len(TERMS)), ids=lambda i: f"{TERMS[i][0]}-{i}")
def test_a_term_finds_what_is_counted_by_hand(
    place: int, recorded: list[Recorded], one: Any
) -> None:
    name, choose, fits = TERMS[place]
    # A member sees the public sessions and those of the own lab; the other lab's last is its own
    value = choose(recorded)
    mine = [s for s in recorded if s.lab == LAB]
    by_hand = {(s.subject, s.date, s.number) for s in mine if fits(s, value)}

    found = one.search(**{name: value}, query_type="remote")

    of_lab = set()
    for eid in found:
        parts = Path(str(one.eid2path(eid))).parts
        if parts[-3] in {s.subject for s in mine}:
            of_lab.add((parts[-3], parts[-2], int(parts[-1])))
    assert of_lab == by_hand, (name, value)


def test_terms_together_find_what_fulfils_all(recorded: list[Recorded], one: Any) -> None:
    first = recorded[0]
    found = one.search(
        subject=first.subject,
        date_range=[first.date, first.date],
        datasets="_ibl_trials.table.pqt",
        query_type="remote",
    )
    assert [Path(str(one.eid2path(eid))).parts[-2] for eid in found] == [first.date]
