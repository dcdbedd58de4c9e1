"""The real ONE-api loads what was imported, from where the bytes are, after one-setup."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from one.alf.cache import make_parquet_db

from lab.client import Client, Settings
from lab.importers.carrier import Carrier
from lab.importers.folder import FolderImport
from lab.importers.journal import Journal
from lab.importers.one_tables import TablesImport, open_tables
from lab.importers.sessions import Repository
from tests.importers.served import empty_fornix

SESSION = "cortexlab/Subjects/KS022/2020-06-20/001"


@pytest.fixture
def api(table: str) -> Iterator[Client]:
    """Client of an administrator of an empty Fornix."""
    with empty_fornix() as (url, token):
        yield Client(Settings(url, "root", token=token), sleep=lambda s: None)


@pytest.fixture
def nas(tmp_path: Path) -> Iterator[tuple[Path, Repository]]:
    """A lab's folder of data, and the web server in front of it."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    root = tmp_path / "nas"
    folder = root / SESSION / "alf"
    folder.mkdir(parents=True)
    np.save(folder / "spikes.times.npy", np.arange(10.0))
    np.save(folder / "spikes.amps.npy", np.ones(10))
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=root))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield root, Repository("nas", f"http://127.0.0.1:{server.server_port}", plain_names=True)
    server.shutdown()
    server.server_close()


def one(home: Path, code: str) -> dict:
    """Run code in a process where ``one`` is ONE(), with nobody to answer questions."""
    script = f"import json; from one.api import ONE; one = ONE(); print(json.dumps({code}))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"HOME": str(home), "PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def set_up(home: Path, api: Client) -> None:
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", "from lab.cli import main; main()", "one-setup"],
        env={
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "FORNIX_API_URL": api.settings.url,
            "FORNIX_TOKEN": str(api.settings.token),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_a_folder_that_was_imported(api, nas, tmp_path):
    # Given a lab's folder, registered where it is, and a user who has run one-setup
    root, repository = nas
    journal = Journal()
    FolderImport(root, Carrier(api, journal), repository, None).run()
    assert list(journal.refusals()) == []
    set_up(tmp_path / "home", api)
    # When the user searches and loads
    code = (
        "(lambda eid: [str(eid), one.list_datasets(eid),"
        " float(one.load_dataset(eid, 'spikes.times.npy').sum()),"
        " sorted(one.load_object(eid, 'spikes'))])(one.search(subject='KS022')[0])"
    )
    eid, datasets, total, attributes = one(tmp_path / "home", code)
    # Then the bytes come from the lab's server
    assert uuid.UUID(eid).version == 4
    assert datasets == ["alf/spikes.amps.npy", "alf/spikes.times.npy"]
    assert total == 45.0
    assert attributes == ["amps", "times"]


def test_eids_of_tables_go_on_working(api, nas, tmp_path):
    # Given tables that ONE made of the folder, with the ids in people's scripts
    root, repository = nas
    make_parquet_db(root, hash_files=False)
    journal = Journal()
    with open_tables(root) as (sessions, datasets):
        eid = sessions.read().column("id")[0].as_py()
        TablesImport(sessions, datasets, Carrier(api, journal), repository).run()
    assert list(journal.refusals()) == []
    set_up(tmp_path / "home", api)
    # Then a script with such an id loads from Fornix
    code = f"float(one.load_dataset({eid!r}, 'alf/spikes.amps.npy').sum())"
    assert one(tmp_path / "home", code) == 10.0
