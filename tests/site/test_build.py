"""The incremental build: what is written, when, and that nothing private ever is."""

from __future__ import annotations

import json
import threading
from datetime import UTC, date, datetime, timedelta
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from shared.results.build import Site
from shared.results.build.state import index_of, subject_state
from shared.results.source import SourceFile, Subject, file_address
from shared.results.store import FolderStore

from .conftest import TRIALS, Shelf, trials_of


def document(store: FolderStore, key: str) -> dict:
    found = store.read(key)
    assert found is not None, f"{key} is not on the site"
    return json.loads(found[0])


def everything(store: FolderStore) -> str:
    """Return all that the site's folder holds, names and content, state included."""
    return "\n".join(
        f"{key}\n{store.read(key)[0].decode('latin-1')}"  # type: ignore[index]
        for key in store.names()
    )


def builder(shelf: Shelf, store: FolderStore) -> Site:
    return Site(shelf, store, now=lambda: datetime(2026, 3, 1, tzinfo=UTC), images=False)


class TestSessionPage:
    def test_says_exactly_what_a_small_known_session_shows(self, site, shelf, store) -> None:
        # Given four trials: two right at full contrast, one wrong, one no-go at contrast 0.
        trials = pd.DataFrame(
            {
                "choice": [-1, 1, 1, 0],
                "contrastLeft": [np.nan, 1.0, np.nan, 0.0],
                "contrastRight": [1.0, np.nan, 0.5, np.nan],
                "feedbackType": [1, 1, -1, -1],
                "probabilityLeft": [0.5, 0.5, 0.4, 0.5],
                "stimOn_times": [1.0, 10.0, 20.0, 30.0],
                "response_times": [1.5, 10.25, 21.0, 90.0],
                "intervals_0": [0.5, 9.5, 19.5, 29.5],
            }
        )
        one = shelf.put("FX_001", "2026-02-01", trials)
        # When the site is built
        site.refresh()
        # Then the page's data are these.
        data = document(store, f"data/sessions/{one.id}.json")
        assert data["session"] == {
            "id": one.id,
            "lab": "fimbrialab",
            "subject": "FX_001",
            "date": "2026-02-01",
            "number": 1,
            "start_time": "2026-02-01T10:00:00",
            "end_time": "",
            "task_protocol": "_iblrig_tasks_trainingChoiceWorld7.0",
            "projects": ["ibl_neuropixel_brainwide_01"],
            "location": "",
            "synthetic": False,
        }
        assert data["summary"] == {
            "n_trials": 4,
            "n_correct": 2,
            "n_no_go": 1,
            "performance": 0.66667,
            "performance_easy": 0.66667,
            "median_rt": 0.75,
            "median_rt_0": 60,
            "bias_shift": None,
            "duration": 0.48333,
        }
        assert data["trials"] == {
            "contrast": [100, -100, 50, 0],
            "choice": [-1, 1, 1, 0],
            "feedback": [1, 1, -1, -1],
            "p_left": [0.5, 0.5, 0.4, 0.5],
            "rt": [0.5, 0.25, 1, 60],
            "rt_rolling": [None] * 4,
            "correct_rolling": [None] * 4,
        }
        (block,) = data["blocks"]
        assert block["psychometric"]["contrasts"] == [-100, 0, 50, 100]
        assert block["psychometric"]["p_right"] == [0, 0, 0, 1]
        assert block["chronometric"]["median"] == [0.25, 60, 1, 0.5]
        assert data["made_from"]["inputs"] == [
            {
                "id": one.datasets[0].id,
                "path": f"alf/{TRIALS}",
                "hash": one.datasets[0].hash,
                "address": "/data/fimbrialab/Subjects/FX_001/2026-02-01/001/alf/"
                f"_ibl_trials.table.{one.datasets[0].id}.pqt",
            }
        ]

    def test_draws_the_three_blocks_of_a_biased_session_apart(self, site, shelf, store) -> None:
        one = shelf.put("FX_001", "2026-02-01", trials_of(400, 1, biased=True), protocol="biased")
        site.refresh()
        data = document(store, f"data/sessions/{one.id}.json")
        assert [b["probability_left"] for b in data["blocks"]] == [0.2, 0.5, 0.8]

    def test_agrees_with_the_reference_on_a_real_session(
        self, site, shelf, store, real_trials, shared_data
    ) -> None:
        golden = json.loads(
            (shared_data / "training_status" / "SWC_054_golden_per_session.json").read_text()
        )
        for day, (protocol, trials) in real_trials.items():
            shelf.put("SWC_054", day, trials, lab="swclab", protocol=protocol)
        site.refresh()
        days = document(store, "data/subjects/SWC_054.json")["days"]
        assert len(days) == 11
        for one in days:
            expected = golden[one["date"]]
            assert one["n_trials"] == expected["n_trials"]
            assert one["performance_easy"] == pytest.approx(expected["perf_easy"], rel=1e-4)

    def test_names_the_code_that_loads_exactly_the_shown_revision(
        self, site, shelf, store
    ) -> None:
        one = shelf.put("FX_001", "2026-02-01", trials_of(50, 1))
        newer = SourceFile("11111111-0000-4000-8000-000000000001", TRIALS, revision="2026-02-03")
        shelf.change(one.id, datasets=(*one.datasets, newer))
        site.refresh()
        html = unescape(store.read(f"sessions/{one.id}.html")[0].decode())  # type: ignore[index]
        assert 'collection="alf", revision="2026-02-03"' in html
        assert one.id in html

    def test_without_trials_says_so(self, site, shelf, store) -> None:
        one = shelf.put("FX_001", "2026-02-01", None)
        site.refresh()
        html = store.read(f"sessions/{one.id}.html")[0].decode()  # type: ignore[index]
        assert "no trials table yet" in html

    def test_unreadable_trials_do_not_stop_the_others(
        self, site, shelf, store, monkeypatch
    ) -> None:
        bad = shelf.put("FX_001", "2026-02-01", trials_of(50, 1))
        good = shelf.put("FX_001", "2026-02-02", trials_of(50, 2))
        read = shelf.trials

        def trials(one):
            if one.id == bad.id:
                raise OSError("not a Parquet file")
            return read(one)

        monkeypatch.setattr(shelf, "trials", trials)
        site.refresh()
        assert document(store, f"data/sessions/{good.id}.json")["summary"]["n_trials"] == 50
        assert "summary" not in document(store, f"data/sessions/{bad.id}.json")

    @pytest.mark.parametrize(
        "nickname", ['<script>alert("x")</script>', "../../etc/passwd", "a b&c", "Maus_ä"]
    )
    def test_hostile_names_are_text_and_stay_in_the_folder(
        self, site, shelf, store, nickname
    ) -> None:
        shelf.put(nickname, "2026-02-01", trials_of(50, 1), lab='"><img src=x>')
        site.refresh()
        for key in store.names():
            assert ".." not in key
            if key.endswith(".html"):
                html = store.read(key)[0].decode()  # type: ignore[index]
                assert "<script>alert" not in html
                assert "<img src=x>" not in html


class TestPrivacy:
    @pytest.mark.parametrize(
        "hidden",
        [
            {"public": False},
            {"public": True, "embargo_until": date(2026, 3, 2)},
        ],
    )
    def test_a_planted_private_session_is_nowhere(self, site, shelf, store, hidden) -> None:
        # Given public sessions and, among them, one that must not be seen
        shelf.put("FX_001", "2026-02-01", trials_of(50, 1))
        secret = shelf.put("FX_001", "2026-02-02", trials_of(61, 2), number=7, **hidden)
        alone = shelf.put("SECRET_9", "2026-02-02", trials_of(50, 3), lab="secretlab", **hidden)
        # When the site is built
        site.refresh()
        # Then no byte under the site, pages or state, speaks of it.
        said = everything(store)
        for word in (secret.id, alone.id, "SECRET_9", "secretlab", "2026-02-02"):
            assert word not in said
        # And its trials were not even read.
        assert secret.id not in shelf.reads
        assert alone.id not in shelf.reads

    def test_an_embargo_that_ends_today_opens(self, site, shelf, store) -> None:
        one = shelf.put("FX_001", "2026-02-01", trials_of(50, 1), embargo_until=date(2026, 3, 1))
        site.refresh()
        assert store.read(f"sessions/{one.id}.html")

    def test_a_session_made_private_disappears_everywhere(self, site, shelf, store) -> None:
        kept = shelf.put("FX_001", "2026-02-01", trials_of(50, 1))
        gone = shelf.put("FX_001", "2026-02-02", trials_of(61, 2))
        site.refresh()
        assert gone.id in everything(store)
        # When
        shelf.change(gone.id, public=False)
        site.refresh(["FX_001"])
        # Then
        said = everything(store)
        assert gone.id not in said
        assert "2026-02-02" not in said
        assert kept.id in said
        trials = pd.read_parquet(store.folder / "data/subjects/FX_001.trials.pqt")
        assert set(trials["session"]) == {kept.id}

    def test_with_its_last_session_subject_and_lab_go(self, site, shelf, store) -> None:
        shelf.put("FX_001", "2026-02-01", trials_of(50, 1))
        last = shelf.put("SP_001", "2026-02-01", trials_of(50, 2), lab="septumlab")
        site.refresh()
        assert store.read("labs/septumlab.html")
        shelf.change(last.id, public=False)
        site.refresh(["SP_001"])
        # What stays is that there was such a subject, in the state, which is not served.
        said = everything(store).replace('{"subject":"SP_001","sessions":{}}', "")
        said = said.replace("_state/subjects/SP_001.json", "")
        assert "SP_001" not in said
        assert "septumlab" not in said

    def test_a_deleted_session_is_noticed_by_the_nightly_build(self, site, shelf, store) -> None:
        one = shelf.put("FX_001", "2026-02-01", trials_of(50, 1))
        site.refresh()
        del shelf.all[one.id]
        site.refresh()
        assert one.id not in everything(store)

    def test_pages_half_written_by_a_killed_builder_are_removed_too(
        self, site, shelf, store, monkeypatch
    ) -> None:
        # Given a builder killed right after it wrote a session's page
        one = shelf.put("FX_001", "2026-02-01", trials_of(50, 1))
        with monkeypatch.context() as patch:
            write = store.write

            def killed(key, body, if_match=None):
                answer = write(key, body, if_match)
                if key.startswith("sessions/"):
                    raise KeyboardInterrupt
                return answer

            patch.setattr(store, "write", killed)
            with pytest.raises(KeyboardInterrupt):
                site.refresh()
        assert store.read(f"sessions/{one.id}.html")
        # When the session becomes private before anything else happens
        shelf.change(one.id, public=False)
        site.refresh()
        # Then the page goes.
        assert one.id not in everything(store)


class TestPictures:
    @pytest.fixture
    def site(self, site) -> Site:
        site.images = True
        return site

    def test_each_page_of_results_has_one_and_it_is_drawn_once(self, site, shelf, store) -> None:
        one = shelf.put("FX_001", "2026-02-01", trials_of(200, 1), protocol="biased")
        empty = shelf.put("FX_002", "2026-02-01", None)
        site.refresh()
        pictures = {key for key in store.names("data/") if key.endswith(".png")}
        assert pictures == {
            f"data/sessions/{one.id}.png",
            "data/subjects/FX_001.png",
            "data/subjects/FX_002.png",
            f"data/labs/{one.lab}.png",
            "data/overview.png",
        }
        assert {store.read(key)[0][:8] for key in pictures} == {b"\x89PNG\r\n\x1a\n"}
        assert store.read(f"data/sessions/{empty.id}.png") is None
        store.writes.clear()
        site.refresh()
        assert store.writes == []

    def test_choices_that_determine_no_curve_are_drawn_without_one(
        self, site, shelf, store
    ) -> None:
        # Given a mouse that chooses by chance
        one = shelf.put("FX_001", "2026-02-01", trials_of(200, 1, skill=0.5))
        # When the site is built, then the session has its picture, and nothing failed
        assert site.refresh().failed == []
        assert store.read(f"data/sessions/{one.id}.png")[0][:4] == b"\x89PNG"

    def test_those_of_labs_are_not_drawn_with_each_session_of_a_burst(
        self, site, shelf, store, monkeypatch
    ) -> None:
        of_lab = f"data/labs/{shelf.put('FX_001', '2026-02-01', trials_of(50, 1)).lab}.png"
        site.refresh(["FX_001"])
        first = store.read(of_lab)
        shelf.put("FX_001", "2026-02-02", trials_of(60, 2))
        site.refresh(["FX_001"])
        assert store.read(of_lab) == first
        monkeypatch.setattr("shared.results.build.pictures.LAB_IMAGE_INTERVAL", timedelta(0))
        site.refresh(["FX_001"])
        assert store.read(of_lab) != first

    def test_the_picture_goes_with_the_session(self, site, shelf, store) -> None:
        one = shelf.put("FX_001", "2026-02-01", trials_of(50, 1))
        site.refresh()
        shelf.change(one.id, public=False)
        site.refresh(["FX_001"])
        assert not [key for key in store.names("data/") if key.endswith(".png")]

    def test_withdrawn_while_it_is_drawn_it_does_not_stay(
        self, site, shelf, store, monkeypatch
    ) -> None:
        one = shelf.put("FX_001", "2026-02-01", trials_of(50, 1))
        from shared.results import images

        draw = images.session

        def slow(content):
            shelf.change(one.id, public=False)
            builder(shelf, FolderStore(store.folder)).refresh(["FX_001"])
            return draw(content)

        monkeypatch.setattr(images, "session", slow)
        site.refresh()
        assert one.id not in everything(store)


class TestIncremental:
    def test_a_second_build_writes_nothing(self, site, shelf, store) -> None:
        for day in range(1, 6):
            shelf.put("FX_001", f"2026-02-0{day}", trials_of(80, day))
        assert site.refresh().changed == 5
        store.writes.clear()
        shelf.reads.clear()
        assert site.refresh().changed == 0
        assert store.writes == []
        assert shelf.reads == []

    def test_one_new_session_computes_one(self, site, shelf, store) -> None:
        for day in range(1, 6):
            shelf.put("FX_001", f"2026-02-0{day}", trials_of(80, day))
        site.refresh()
        new = shelf.put("FX_001", "2026-02-06", trials_of(80, 6))
        store.writes.clear()
        shelf.reads.clear()
        assert site.refresh(["FX_001"]).changed == 1
        assert shelf.reads == [new.id]
        assert [key for key in store.writes if key.startswith("sessions/")] == [
            f"sessions/{new.id}.html"
        ]
        assert len(document(store, "data/subjects/FX_001.json")["days"]) == 6

    def test_changed_trials_are_computed_again(self, site, shelf, store) -> None:
        one = shelf.put("FX_001", "2026-02-01", trials_of(80, 1))
        site.refresh()
        shelf.put("FX_001", "2026-02-01", trials_of(90, 2))
        assert site.refresh().changed == 1
        assert document(store, f"data/sessions/{one.id}.json")["summary"]["n_trials"] == 90

    def test_new_code_computes_everything_again(self, site, shelf, monkeypatch) -> None:
        shelf.put("FX_001", "2026-02-01", trials_of(80, 1))
        site.refresh()
        monkeypatch.setattr("shared.results.build.subject.code_version", lambda: "other")
        assert site.refresh().changed == 1

    def test_out_of_time_the_next_build_does_the_rest(self, site, shelf, store) -> None:
        for name in ("FX_001", "FX_002", "FX_003"):
            shelf.put(name, "2026-02-01", trials_of(50, 1))
        assert site.refresh(pace=lambda names: list(names)[:1]).changed == 1
        assert set(index_of(store).subjects) == {"FX_001"}
        assert site.refresh().changed == 2
        assert document(store, "data/overview.json")["counts"]["subjects"] == 3

    def test_lists_survive_a_stop_between_state_and_lists(self, site, shelf, store) -> None:
        one = shelf.put("FX_001", "2026-02-01", trials_of(50, 1))
        site.refresh_subject("FX_001")  # and the process ends here
        assert not store.read("data/list/2026-02.json")
        site.refresh()
        listed = document(store, "data/list/2026-02.json")
        assert listed["columns"]["id"] == [one.id]


class TestTables:
    def test_of_all_sessions_and_subjects_follow_each_session(self, site, shelf, store) -> None:
        first = shelf.put("FX_001", "2026-01-31", trials_of(50, 1))
        site.refresh(["FX_001"])
        assert list(pd.read_parquet(store.folder / "data/sessions.pqt")["id"]) == [first.id]
        second = shelf.put("FX_002", "2026-02-01", trials_of(60, 2))
        site.refresh(["FX_002"])
        sessions = pd.read_parquet(store.folder / "data/sessions.pqt")
        assert list(sessions["id"]) == [first.id, second.id]
        assert list(sessions["n_trials"]) == [50, 60]
        subjects = pd.read_parquet(store.folder / "data/subjects.pqt")
        assert list(subjects["subject"]) == ["FX_001", "FX_002"]

    def test_without_rows_have_all_their_columns(self, site, shelf, store) -> None:
        site.refresh()
        empty = {
            name: pd.read_parquet(store.folder / f"data/{name}.pqt")
            for name in ("sessions", "subjects")
        }
        shelf.put("FX_001", "2026-01-31", trials_of(50, 1))
        site.refresh()
        for name, table in empty.items():
            assert len(table) == 0
            full = pd.read_parquet(store.folder / f"data/{name}.pqt")
            assert list(table.columns) == list(full.columns)


class TestConcurrency:
    def test_many_builders_at_once_end_like_one(self, shelf, store, tmp_path) -> None:
        for mouse in range(3):
            for day in range(1, 5):
                shelf.put(f"FX_00{mouse}", f"2026-02-0{day}", trials_of(60, 10 * mouse + day))
        names = sorted(shelf.subjects())
        problems: list[BaseException] = []

        def run(subjects: list[str]) -> None:
            try:
                builder(shelf, FolderStore(store.folder)).refresh(subjects)
            except BaseException as error:
                problems.append(error)

        threads = [threading.Thread(target=run, args=(names[i % 3 :],)) for i in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert problems == []
        alone = FolderStore(tmp_path / "alone")
        builder(shelf, alone).refresh()
        assert _content(store) == _content(alone)

    def test_made_private_while_being_published_it_ends_private(
        self, site, shelf, store, monkeypatch
    ) -> None:
        # Given a slow builder that has already seen the session as public
        one = shelf.put("FX_001", "2026-02-01", trials_of(50, 1))
        other = builder(shelf, FolderStore(store.folder))
        compute = site.subjects._write_sessions

        def slow(*args):
            # When it is made private and another builder runs from start to end meanwhile
            if shelf.all[one.id][0].public:
                shelf.change(one.id, public=False)
                other.refresh(["FX_001"])
            return compute(*args)

        monkeypatch.setattr(site.subjects, "_write_sessions", slow)
        site.refresh(["FX_001"])
        # Then it is private.
        assert one.id not in everything(store)

    def test_state_is_never_overwritten_by_an_older_view(self, store) -> None:
        store.write("state", b"{}")
        _, etag = store.read("state")  # type: ignore[misc]
        store.write("state", b'{"a":1}')
        from shared.results.store import ChangedMeanwhile

        with pytest.raises(ChangedMeanwhile):
            store.write("state", b'{"b":1}', if_match=etag)
        with pytest.raises(ChangedMeanwhile):
            store.write("state", b'{"b":1}', if_match="")


def _content(store: FolderStore) -> dict[str, bytes]:
    skipped = {".pqt"}
    return {
        key: store.read(key)[0]  # type: ignore[index]
        for key in store.names()
        if Path(key).suffix not in skipped
    }


def test_two_labs_mice_of_one_nickname_have_a_page_each(site, shelf, store) -> None:
    # Given a mouse M1 in each of two labs, the second under its key
    here = shelf.put("M1", "2026-02-01", trials_of(50, 1))
    there = shelf.put("M1~1a2b3c4d", "2026-02-01", trials_of(60, 2), lab="septumlab", number=2)
    shelf.about["M1~1a2b3c4d"] = Subject("M1~1a2b3c4d", "septumlab")
    # When the site is built
    site.refresh()
    # Then each has its page, both are called M1, and each lab lists its own
    for key, one, n in (("M1", here, 50), ("M1~7e1a2b3c4d", there, 60)):
        (day,) = document(store, f"data/subjects/{key}.json")["days"]
        assert (day["id"], day["n_trials"]) == (one.id, n)
        page = store.read(f"subjects/{key}.html")[0].decode()  # type: ignore[index]
        assert "<h1>M1</h1>" in page
        assert f"one.search(subject=&#34;M1&#34;, lab=&#34;{one.lab}&#34;" in page
        listed = document(store, f"data/labs/{one.lab}.json")["subjects"]
        assert listed["n"] == 1
        shown = store.read(f"sessions/{one.id}.html")[0].decode()  # type: ignore[index]
        assert f"M1 · {one.date}" in shown
        assert f"/subjects/{key}.html" in shown
    assert "1a2b3c4d" not in file_address(there, there.datasets[0])


def test_subject_state_names_differ_for_names_that_look_alike() -> None:
    assert len({subject_state(name) for name in ("a b", "a_b", "a~b", "a/b")}) == 4
