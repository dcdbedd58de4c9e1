"""``fornix datajoint``: a real MariaDB kept in step, incrementally and restartably."""

from __future__ import annotations

import json
import shutil
import stat

import numpy as np
import pytest
from click.testing import CliRunner

pymysql = pytest.importorskip("pymysql", reason="the extra [datajoint] is not installed")

from lab.commands.datajoint import datajoint  # noqa: E402
from lab.exports.datajoint import database as databases_module  # noqa: E402
from lab.exports.datajoint.database import Database, DatabaseAccount  # noqa: E402
from lab.exports.datajoint.server import READER, LocalServer  # noqa: E402
from lab.exports.datajoint.sources import folder_subjects  # noqa: E402
from lab.exports.datajoint.sync import sync  # noqa: E402
from lab.exports.session import ExportError  # noqa: E402
from lab.transfer.upload import Transfer  # noqa: E402
from shared.science.tables.declared import TABLES  # noqa: E402
from shared.science.tables.rows import rows_of  # noqa: E402
from tests.exports import databases, sessions  # noqa: E402
from tests.flow import DATE, SESSION, SUBJECT  # noqa: E402

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server of this module."""
    with databases.running(tmp_path_factory.mktemp("mariadb") / "db") as found:
        yield found


@pytest.fixture
def database(server):
    """The tables' side of the server, empty."""
    with Database(server.account()) as found:
        with found._connection.cursor() as cursor:
            cursor.execute("SET foreign_key_checks = 0")
            cursor.execute("SHOW DATABASES")
            for (name,) in cursor.fetchall():
                if name.startswith(("ibl_", "user_", "fornix_")):
                    cursor.execute(f"DROP DATABASE `{name}`")
            cursor.execute("SET foreign_key_checks = 1")
        yield found


def did(steps) -> dict[str, str]:
    return {step.subject: step.did for step in steps}


def test_each_table_holds_the_rows_of_each_mouse_and_a_second_run_writes_nothing(
    database, tmp_path
):
    root = databases.cohort(tmp_path)
    sessions.write_spikes(root / "cortexlab/Subjects/FI_000/2019-07-01/001", "probe00", 1)
    subjects = folder_subjects(root)
    assert did(sync(database, subjects)) == {"FI_000": "written", "FI_001": "written"}
    for one in subjects:
        rows = rows_of(one.load())
        for table in TABLES:
            found = database.read(table.name, one.id if table.of_subject else None)
            missing = [row for row in rows[table.name] if row not in found]
            assert not missing, table.name
            if table.of_subject:
                assert len(found) == len(rows[table.name]), table.name
    counts = database.counts()
    assert counts["ibl_behavior.TrialSet.Trial"] == 2 * 3 * 30
    assert counts["ibl_ephys.DefaultCluster"] == 4
    again = list(sync(database, folder_subjects(root)))
    assert did(again) == {"FI_000": "unchanged", "FI_001": "unchanged"}
    assert database.counts() == counts


def test_spike_trains_of_units_are_written_where_they_changed_and_refused_where_too_large(
    database, tmp_path, monkeypatch
):
    root = databases.cohort(tmp_path, mice=1, days=1)
    probe = root / "cortexlab/Subjects/FI_000/2019-07-01/001/alf/probe00"
    sessions.write_spikes(probe.parents[1], probe.name, 1)
    list(sync(database, folder_subjects(root)))
    spikes = {name: np.load(probe / f"spikes.{name}.npy") for name in ("times", "clusters")}
    with database._connection.cursor() as cursor:
        cursor.execute(
            "SELECT cluster_id, cluster_spikes_times, cluster_spikes_amps, cluster_spikes_depths "
            "FROM ibl_ephys._default_cluster"
        )
        for unit, times, *others in cursor.fetchall():
            expected = spikes["times"][spikes["clusters"] == unit]
            assert times[:5] == b"mYm\0A"
            assert np.frombuffer(times[5:21], "<u8").tolist() == [1, len(expected)]
            np.testing.assert_array_equal(np.frombuffer(times[29:], "<f8"), expected)
            assert [len(other) for other in others] == [len(times)] * 2
    database._connection.rollback()
    # When one spike of one unit lies elsewhere, that unit's row is written
    depths = np.load(probe / "spikes.depths.npy")
    depths[0] += 1
    np.save(probe / "spikes.depths.npy", depths)
    (step,) = sync(database, folder_subjects(root))
    assert (step.did, step.change.written) == ("written", 1)
    # When a server takes less in a statement than a unit's spikes are, the mouse stays as it was
    before = database.read("DefaultCluster")
    np.save(probe / "spikes.depths.npy", depths + 1)
    monkeypatch.setattr(database, "_packet", 2**16 + 100)
    (step,) = sync(database, folder_subjects(root))
    assert step.did == "refused"
    assert "max_allowed_packet" in step.why
    assert database.read("DefaultCluster") == before


def test_only_what_changed_is_written_and_what_is_gone_is_removed(database, tmp_path):
    root = databases.cohort(tmp_path)
    list(sync(database, folder_subjects(root)))
    # When one session is extracted anew, another is deleted, and a mouse leaves
    mouse = root / "cortexlab/Subjects/FI_000"
    databases.rewrite(mouse / "2019-07-02/001", seed=77)
    shutil.rmtree(mouse / "2019-07-03")
    shutil.rmtree(root / "cortexlab/Subjects/FI_001")
    steps = {step.subject: step for step in sync(database, folder_subjects(root))}
    # Then the trials of that session are written, not those of the first
    change = steps.pop("FI_000").change
    assert 20 <= change.written <= 34
    assert change.removed == 30 + 30 + 6 + 1  # trials, sensor, rows of the session, of the day
    assert [step.did for step in steps.values()] == ["removed"]
    counts = database.counts()
    assert counts["ibl_subject.Subject"] == 1
    assert counts["ibl_acquisition.Session"] == 2
    assert len(database.known()) == 1


def test_stopped_in_the_middle_it_goes_on_and_no_mouse_is_half_there(
    database, tmp_path, monkeypatch
):
    root = databases.cohort(tmp_path)
    write, calls = Database._write, []

    def dies(self, cursor, table, rows):
        calls.append(table.name)
        if calls.count("TrialSet.Trial") == 2:
            raise KeyboardInterrupt
        write(self, cursor, table, rows)

    monkeypatch.setattr(Database, "_write", dies)
    with pytest.raises(KeyboardInterrupt):
        list(sync(database, folder_subjects(root)))
    counts = database.counts()
    assert counts["ibl_subject.Subject"] == counts["ibl_behavior.TrialSet"] / 3 == 1
    monkeypatch.setattr(Database, "_write", write)
    assert did(sync(database, folder_subjects(root))) == {
        "FI_000": "unchanged",
        "FI_001": "written",
    }


def test_rows_that_a_user_s_table_refers_to_stay_and_are_named(database, server, tmp_path):
    root = databases.cohort(tmp_path, mice=1)
    list(sync(database, folder_subjects(root)))
    # Given a table of a user's own, declared by the reading account
    reader = server.account(READER)
    with Database(reader) as mine, mine._connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE user_ines")
        cursor.execute(
            "CREATE TABLE user_ines.__note (subject_uuid binary(16), session_start_time datetime, "
            "PRIMARY KEY (subject_uuid, session_start_time), "
            "FOREIGN KEY (subject_uuid, session_start_time) REFERENCES ibl_acquisition.session "
            "(subject_uuid, session_start_time))"
        )
        cursor.execute(
            "INSERT INTO user_ines.__note SELECT subject_uuid, session_start_time "
            "FROM ibl_acquisition.session"
        )
        mine._connection.commit()
        with pytest.raises(pymysql.OperationalError, match="denied"):
            cursor.execute("DELETE FROM ibl_behavior._settings")
    # When a session is gone upstream
    shutil.rmtree(root / "cortexlab/Subjects/FI_000/2019-07-03")
    (step,) = sync(database, folder_subjects(root))
    # Then its trials are, too, and the session stays with its reason
    assert step.did == "written"
    assert len(step.change.held) == 1
    assert "user_ines" in step.change.held[0]
    counts = database.counts()
    assert counts["ibl_acquisition.Session"] == 3
    assert counts["ibl_behavior.TrialSet"] == 2
    # And when trials of another change, the user's rows are as they were
    databases.rewrite(root / "cortexlab/Subjects/FI_000/2019-07-01/001", seed=5)
    (step,) = sync(database, folder_subjects(root))
    assert step.did == "written"


def test_a_damaged_session_keeps_its_mouse_as_it_was_and_no_other(server, database, tmp_path):
    root = databases.cohort(tmp_path)
    list(sync(database, folder_subjects(root)))
    before = database.counts()
    table = root / "cortexlab/Subjects/FI_000/2019-07-02/001/alf/_ibl_trials.table.pqt"
    table.write_bytes(table.read_bytes()[:99])
    databases.rewrite(root / "cortexlab/Subjects/FI_001/2019-07-02/001", seed=5)
    done = run(server, "sync", "--sessions", root, "--json")
    assert done.exit_code == 1
    lines = {row["subject"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert "not a whole .pqt" in lines["FI_000"]["why"]
    assert lines["FI_001"]["did"] == "written"
    assert database.counts() == before


def run(server, *arguments):
    """Run the command against a server in its folder."""
    place = ["--folder", str(server.folder), "--port", str(server.port)]
    return CliRunner().invoke(datajoint, [str(arguments[0]), *place, *map(str, arguments[1:])])


def test_the_command_starts_stops_and_tells_and_passwords_are_the_owner_s_alone(tmp_path):
    with databases.running(tmp_path / "db") as server:
        again = run(server, "up", "--json")
        told = json.loads(again.stdout)
        assert told["database.user"] == READER
        assert "ONLY_FULL_GROUP_BY" not in told["connection.init_function"]
        assert stat.S_IMODE(server.accounts.stat().st_mode) == 0o600
        assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
        assert not (server.folder / "accounts.sql").exists()
        for user in ("root", READER, ""):
            with pytest.raises(ExportError, match="cannot be used"):
                Database(DatabaseAccount("127.0.0.1", server.port, user, "", tls=False))
        root = databases.cohort(tmp_path / "data", mice=1)
        first = run(server, "sync", "--sessions", root, "--dry-run")
        assert first.output == "FI_000\n"
        assert "written   FI_000" in run(server, "sync", "--sessions", root).output
        status = json.loads(run(server, "status", "--json").stdout)
        assert status["subjects"] == 1
        # When it is killed, then what was committed is there after the next start
        server.stop()
        assert not server.running()
        run(server, "up")
        assert json.loads(run(server, "status", "--json").stdout) == status
    assert run(server, "status").exit_code == 1


def test_what_cannot_work_says_the_next_step(tmp_path, monkeypatch):
    server = LocalServer(tmp_path / "none", 1)
    assert "fornix datajoint up" in run(server, "sync", "--sessions", tmp_path).output
    monkeypatch.setenv("FORNIX_DATAJOINT_URL", "postgres://x")
    assert "mysql://" in run(server, "status").output
    monkeypatch.setenv("FORNIX_DATAJOINT_URL", "mysql://u:p%40@127.0.0.1:1?tls=no")
    assert "cannot be used" in run(server, "status").output
    assert DatabaseAccount.of("mysql://u:p%40@db.example.org").tls
    monkeypatch.delenv("FORNIX_DATAJOINT_URL")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("shutil.which", lambda name, path=None: None)
    assert "apt install mariadb-server" in run(server, "up").output


def test_the_api_is_followed_through_uploads_weighings_and_new_trials(
    database, server, system, tmp_path, monkeypatch
):
    folder = sessions.make(tmp_path / "data", n=12)
    paths = [
        path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()
    ]
    member = system.client("member")
    about = SESSION | {"start_time": f"{DATE}T10:30:00"}
    assert Transfer(member, folder).upload(about, paths).state == "registered"
    member.post(
        "/weighings", {"subject": SUBJECT, "date_time": f"{DATE}T09:00:00", "weight": 22.5}
    )
    for name, value in system.environment("member").items():
        monkeypatch.setenv(name, value)

    def step():
        done = run(server, "sync", "--cache", tmp_path / "cache", "--json")
        assert done.exit_code == 0, done.output
        lines = [json.loads(line) for line in done.stdout.splitlines() if '"did"' in line]
        return [(line["did"], line["written"]) for line in lines]

    ((first, written),) = step()
    assert first == "written"
    assert written > 12
    (trial,) = {row[0] for row in database.read("TrialSet.Trial")}
    assert database.read("Subject")[0][:2] == (trial, SUBJECT)
    assert database.read("Weighing")[0][2] == 22.5
    database._connection.rollback()
    assert step() == [("unchanged", 0)]
    # A weighing is one row; nothing else is written
    member.post(
        "/weighings", {"subject": SUBJECT, "date_time": f"{DATE}T18:00:00", "weight": 22.0}
    )
    assert step() == [("written", 1)]
    # A new revision of the trials changes the trials that differ
    table = sessions.trials(12, 0)
    table.loc[3, "response_times"] += 0.25
    fresh = tmp_path / "fresh"
    name = "alf/_ibl_trials.table.pqt"
    databases.io.save(fresh / name, table)
    assert Transfer(member, fresh).upload(about, [name]).state == "registered"
    ((changed, written),) = step()
    assert (changed, written) == ("written", 1)
    answers = [row[5] for row in database.read("TrialSet.Trial")]
    np.testing.assert_array_equal(sorted(answers), sorted(table["response_times"]))


def test_no_statement_is_made_of_what_users_write(database, tmp_path):
    """Names with quotes go in as values."""
    root = databases.cohort(tmp_path, mice=1)
    facts = json.loads((root / "subjects.json").read_text())
    hostile = "x'); DROP DATABASE ibl_subject; -- `"
    facts["FI_000"]["projects"] = [hostile]
    (root / "subjects.json").write_text(json.dumps(facts))
    assert did(sync(database, folder_subjects(root))) == {"FI_000": "written"}
    assert (hostile,) in database.read("Project")
    assert databases_module.HELD == 1451
