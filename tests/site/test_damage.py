"""Whatever is wrong with one session's data, it is said on its page, and no other page changes."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lab.simulate.spikes import simulate_sorting, write_sorting
from lab.site import site as command
from shared.results.build import Site
from shared.results.store import FolderStore
from shared.results.tree import Tree

from .conftest import NOW, TRIALS, trials_of


def built(tree: Path, out: Path) -> tuple[dict[str, Any], FolderStore]:
    """Build a folder's site by the command; return what it says and the site."""
    done = CliRunner().invoke(
        command, ["build", str(tree), "--out", str(out), "--no-images", "--json"]
    )
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout), FolderStore(out)


def page(store: FolderStore, subject: str, day: str = "") -> str:
    """Return the text of the one session's page of a subject, or of a day."""
    pages = [
        unescape(store.read(key)[0].decode())  # type: ignore[index]
        for key in store.names("sessions/")
    ]
    (found,) = [text for text in pages if f"<h1>{subject} · {day}" in text]
    return " ".join(found.split())


def data(store: FolderStore, subject: str) -> list[dict[str, Any]]:
    """Return the data of a subject's session pages."""
    all_ = [json.loads(store.read(key)[0]) for key in store.names("data/sessions/")]  # type: ignore[index]
    return [one for one in all_ if one["session"]["subject"] == subject]


@pytest.fixture
def reported(shared_data: Path) -> Path:
    folder = shared_data / "reported"
    if not folder.is_dir():
        pytest.skip("the inputs rebuilt from bug reports are not here")
    return folder


class TestReported:
    def test_trials_without_stimulus_times_show_choices_and_say_what_is_missing(
        self, reported: Path, tmp_path: Path
    ) -> None:
        said, store = built(reported / "site-trials-without-stimOn" / "tree", tmp_path)
        (problem,) = said["problems"]
        assert problem.startswith("S_fewcols/2024-02-29/001: The trials have no stimOn_times")
        assert "The trials have no stimOn_times" in page(store, "S_fewcols")
        assert "What is missing here" not in page(store, "S_ok")
        (broken,), (healthy,) = data(store, "S_fewcols"), data(store, "S_ok")
        assert broken["summary"]["median_rt"] is None
        assert broken["summary"]["n_trials"] > 0
        assert healthy["summary"]["median_rt"] > 0
        assert store.read("data/subjects/S_ok.trials.pqt")

    def test_a_sorting_without_spikes_has_a_page_that_says_so(
        self, reported: Path, tmp_path: Path
    ) -> None:
        said, store = built(reported / "site-sorting-with-no-spikes" / "tree", tmp_path)
        assert said["problems"] == []
        (key,) = store.names("probes/")
        assert "found no spikes" in store.read(key)[0].decode()  # type: ignore[index]
        assert list(store.names("units/")) == []

    def test_trials_in_files_of_their_own_are_the_session_s_behaviour(
        self, reported: Path, tmp_path: Path
    ) -> None:
        tree = reported / "site-trials-as-separate-npy" / "tree"
        said, store = built(tree, tmp_path)
        assert said["problems"] == []
        choices = np.load(next(tree.rglob("_ibl_trials.choice.npy")))
        (session,) = data(store, "S_old")
        assert session["summary"]["n_trials"] == len(choices)
        assert session["trials"]["choice"] == choices.tolist()
        assert session["summary"]["median_rt"] > 0
        assert 'one.load_object(eid, "trials", collection="alf")' in page(store, "S_old")

    def test_a_day_that_is_none_is_refused_and_one_digit_is_read(
        self, reported: Path, tmp_path: Path
    ) -> None:
        said, store = built(reported / "site-impossible-date-and-one-digit" / "tree", tmp_path)
        assert sorted(said["problems"]) == [
            "S_1digit/2024-02-29/001: Folder 1 is read as 001.",
            "S_badate/2023-02-29/001: 2023-02-29 is no day of the calendar: "
            "the session is left out.",
        ]
        assert page(store, "S_1digit", "2024-02-29 · 001")
        assert not [key for key in store.names() if "S_badate" in key and "_state" not in key]


class TestLayouts:
    @pytest.mark.parametrize("folder", ["alf/task_00", "alf/#2024-05-06#", "alf/task_01/#a#"])
    def test_behaviour_is_found_in_every_layout(self, folder: str, tmp_path: Path) -> None:
        put(tmp_path / "tree", "FX_001", "2026-02-01", trials_of(50, 1), folder)
        _, store = built(tmp_path / "tree", tmp_path / "site")
        (session,) = data(store, "FX_001")
        assert session["summary"]["n_trials"] == 50
        collection = "/".join(part for part in folder.split("/") if not part.startswith("#"))
        assert f'collection="{collection}"' in page(store, "FX_001")

    def test_of_several_protocols_the_first_is_shown_and_the_others_are_named(
        self, tmp_path: Path
    ) -> None:
        for folder, n in (("alf/task_01", 60), ("alf/task_00", 50)):
            put(tmp_path / "tree", "FX_001", "2026-02-01", trials_of(n, 1), folder)
        _, store = built(tmp_path / "tree", tmp_path / "site")
        (session,) = data(store, "FX_001")
        assert session["summary"]["n_trials"] == 50
        assert "Others are in alf/task_01" in page(store, "FX_001")

    def test_columns_of_different_length_are_named(self, tmp_path: Path) -> None:
        folder = session_folder(tmp_path / "tree", "FX_001", "2026-02-01") / "alf"
        folder.mkdir(parents=True)
        trials = trials_of(50, 1)
        for name in ("choice", "contrastLeft", "contrastRight", "feedbackType"):
            np.save(folder / f"_ibl_trials.{name}.npy", trials[name].to_numpy())
        np.save(folder / "_ibl_trials.choice.npy", trials["choice"].to_numpy()[:-1])
        _, store = built(tmp_path / "tree", tmp_path / "site")
        assert "differ in length: choice 49, contrastLeft 50" in page(store, "FX_001")


def session_folder(tree: Path, subject: str, day: str) -> Path:
    lab = "septumlab" if subject.startswith("SP") else "fimbrialab"
    return tree / lab / "Subjects" / subject / day / "001"


def put(tree: Path, subject: str, day: str, trials: pd.DataFrame, folder: str = "alf") -> Path:
    """Put a session into a folder; return its own."""
    session = session_folder(tree, subject, day)
    (session / folder).mkdir(parents=True)
    trials.to_parquet(session / folder / TRIALS)
    (session / "session.json").write_text(json.dumps({"task_protocol": "biasedChoiceWorld"}))
    return session


# -- any damage to one session leaves all other pages byte for byte the same ------------------

DAMAGED = ("FX_001", "2026-02-02")


def pages_of_others(store: FolderStore, damaged_id: str) -> dict[str, bytes]:
    """Return all pages and data but those of the damaged session, its mouse and the lists."""
    return {
        key: store.read(key)[0]  # type: ignore[index]
        for key in store.names()
        if key.startswith(("sessions/", "subjects/", "probes/", "units/", "labs/", "data/"))
        and not key.startswith("data/list/")
        and damaged_id not in key
        and Path(key).name.split(".")[0] not in (DAMAGED[0], "fimbrialab", "overview")
        and key not in ("data/sessions.pqt", "data/subjects.pqt", "data/subjects.json")
        and key not in ("data/daily.json", "data/probes.json")
    }


@dataclass(frozen=True)
class Whole:
    """A folder of sessions, the pages of all but one of them, and the id of that one."""

    tree: Path
    pages: dict[str, bytes] = field(repr=False)  # a failure's report has no room for them
    damaged: str


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    place = tmp_path_factory.mktemp("whole")
    for i, (subject, day) in enumerate(
        [DAMAGED, (DAMAGED[0], "2026-02-03"), ("FX_002", "2026-02-02"), ("SP_001", "2026-02-02")]
    ):
        trials = trials_of(40, i, biased=True)
        session = put(place / "tree", subject, day, trials)
        if i in (0, 2):
            probe = session / "alf" / "probe00"
            write_sorting(simulate_sorting(trials, seed=i, n_units=2), probe)
    store = FolderStore(place / "site")
    Site(Tree(place / "tree"), store, now=lambda: NOW, images=False).refresh()
    (damaged,) = [
        one["session"]["id"]
        for one in data(store, DAMAGED[0])
        if one["session"]["date"] == DAMAGED[1]
    ]
    return Whole(place / "tree", pages_of_others(store, damaged), damaged)


def npy(values: Any, **options: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, values, **options)
    return out.getvalue()


def pqt(table: pd.DataFrame) -> bytes:
    out = io.BytesIO()
    table.to_parquet(out)
    return out.getvalue()


REPLACEMENTS = {
    ".npy": [
        b"",
        b"not an array",
        npy(np.zeros(0)),
        npy(np.zeros((3, 4, 5))),
        npy(np.full(2000, np.nan)),
        npy(np.array(["a", "b"])),
        npy(np.array([{}, None]), allow_pickle=True),
        npy(np.float64(1.0)),
    ],
    ".pqt": [
        b"",
        b"not a table",
        pqt(pd.DataFrame()),
        pqt(pd.DataFrame({"choice": ["left", "right"]})),
        pqt(trials_of(40, 1).iloc[:0]),
        pqt(trials_of(1, 1)),
        pqt(trials_of(40, 1).drop(columns=["choice"])),
        pqt(trials_of(40, 1).drop(columns=["stimOn_times", "response_times"])),
        pqt(trials_of(40, 1).astype(str)),
        pqt(trials_of(40, 1) * np.nan),
        pqt(trials_of(40, 1).astype(float) * 1e300),
        pqt(trials_of(40, 1).assign(contrastLeft=np.inf, choice=7)),
        pqt(trials_of(40, 1).assign(probabilityLeft=[[0.5]] * 40)),
    ],
    ".json": [b"", b"[]", b'{"embargo_until": "soon"}', b'{"projects": 7}', b'{"surprise": 1}'],
}


DAMAGE = st.tuples(
    st.integers(0, 999),
    st.sampled_from(["replace", "cut", "overwrite", "remove"]),
    st.integers(0, 999_999),
    st.binary(min_size=1, max_size=64),
)
"""Which file, how, where, and with what; drawn without a look at the files."""


def damaged_file(
    tree: Path, which: int, how: str, at: int, garbage: bytes
) -> tuple[str, bytes | None]:
    """Return a file of the session and what becomes of it (None: it goes)."""
    session = session_folder(tree, *DAMAGED)
    files = sorted(path for path in session.rglob("*") if path.is_file())
    path = files[which % len(files)]
    name = path.relative_to(tree).as_posix()
    if how == "remove":
        return name, None
    if how == "replace":
        replacements = REPLACEMENTS[path.suffix]
        return name, replacements[at % len(replacements)]
    body = bytearray(path.read_bytes())
    at %= len(body)
    if how == "cut":
        return name, bytes(body[:at])
    body[at : at + len(garbage)] = garbage
    return name, bytes(body)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(damage=DAMAGE)
@example(damage=(0, "replace", 11, b"\0"))  # contrasts that are infinite
def test_damage_to_one_session_changes_no_other_page(
    whole: Whole, tmp_path: Path, damage: tuple[int, str, int, bytes]
) -> None:
    tree = whole.tree
    name, body = damaged_file(tree, *damage)
    place = tmp_path / "damaged"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(tree, place / "tree")
    if body is None:
        (place / "tree" / name).unlink()
    else:
        (place / "tree" / name).write_bytes(body)
    store = FolderStore(place / "site")

    report = Site(Tree(place / "tree"), store, now=lambda: NOW, images=False).refresh()

    assert report.failed == []
    others = pages_of_others(store, whole.damaged)
    assert [key for key in others | whole.pages if others.get(key) != whole.pages.get(key)] == []
    # The mouse's other day is on its page; the lists are there.
    days = json.loads(store.read(f"data/subjects/{DAMAGED[0]}.json")[0])["days"]  # type: ignore[index]
    assert "2026-02-03" in [day["date"] for day in days]
    assert json.loads(store.read("data/subjects.json")[0])["n"] == 3  # type: ignore[index]
