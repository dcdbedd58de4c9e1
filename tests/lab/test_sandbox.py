"""A task's process reaches its own folder and nothing else; paths from outside stay inside."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import msgspec
import pytest

from lab.worker.inside import Outside, create, inside, plain_file, read_own
from tests.lab.worker_fixtures import the
from tests.processes import answering, runs, until

landlocked = pytest.mark.skipif(sys.platform != "linux", reason="the kernel confines on Linux")


@pytest.mark.parametrize(
    "path",
    [
        "..",
        "../x",
        "a/../../x",
        "/etc/passwd",
        "a//b",
        "./a",
        "a/.",
        "C:/x",
        "C:\\x",
        "a\\..\\..\\x",
        "\\\\server\\share",
        "a\0b",
        "a\nb",
        "con",
        "alf/NUL.npy",
        "a.",
        "a ",
        "",
        "x" * 256,
        "~/x:stream",
    ],
)
def test_a_path_that_leaves_its_folder_is_refused(tmp_path, path):
    with pytest.raises(Outside):
        inside(tmp_path, path)


def test_other_paths_are_taken(tmp_path):
    for path in ("a", "alf/probe00/spikes.times.npy", "#2024-01-01#/größe.npy", "..a/b..c"):
        assert inside(tmp_path, path) == tmp_path / path
    assert inside(tmp_path, "", whole=True) == tmp_path


def test_no_link_is_followed(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("s")
    own = tmp_path / "own"
    own.mkdir()
    (own / "link").symlink_to(tmp_path)
    (own / "file").symlink_to(secret)
    os.link(secret, own / "hard")
    os.mkfifo(own / "pipe")
    for path in ("link/secret", "file", "link"):
        with pytest.raises(Outside):
            inside(own, path)
    for path in ("file", "hard", "pipe", "missing", "link/secret"):
        with pytest.raises(Outside):
            plain_file(own, path)
    assert read_own(own / "file", 10) is None
    assert read_own(own / "pipe", 10) is None
    with pytest.raises(FileExistsError):
        create(own / "file")
    assert secret.read_text() == "s"


def test_of_a_long_log_both_ends_are_read(tmp_path):
    (tmp_path / "log").write_bytes(b"a" * 1000 + b"b" * 1000)
    text = read_own(tmp_path / "log", 100)
    assert text == b"a" * 50 + "\n…\n".encode() + b"b" * 50


@pytest.mark.integration
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"output_collection": "../.."}, "the path '../..' is refused"),
        ({"output_collection": "/etc"}, "the path '/etc' is refused"),
        ({"collection": "raw_behavior_data", "output_collection": "a\\b"}, "is refused"),
    ],
)
def test_a_task_s_arguments_cannot_lead_outside(worker, trials, arguments, words):
    # Given a server that says so, whatever it refuses today
    claim = worker._claim(trials.id)
    task = msgspec.structs.replace(claim.task, arguments=claim.task.arguments | arguments)
    assert worker.execute(msgspec.structs.replace(claim, task=task)) == "Errored"
    assert words in the(trials).log


@pytest.mark.integration
@pytest.mark.parametrize("path", ["../../x", "/tmp/x", "a/../../../x", "C:\\x"])
def test_inputs_cannot_lead_outside(worker, trials, tmp_path, path):
    claim = worker._claim(trials.id)
    one = msgspec.structs.replace(claim.inputs[0], path=path)
    before = sorted(tmp_path.rglob("*"))
    assert worker.execute(msgspec.structs.replace(claim, inputs=(one,))) == "Errored"
    assert "is refused" in the(trials).log
    assert sorted(tmp_path.rglob("*")) == before
    # Nor the session's own folder
    session = msgspec.structs.replace(claim.session, folder=path)
    assert worker.execute(msgspec.structs.replace(claim, session=session)) == "Errored"
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.integration
@pytest.mark.parametrize(
    "code",
    [
        "p = out / 'x'; p.symlink_to('/etc/hostname'); return [p]",
        "p = out / 'd'; p.symlink_to('/etc'); return [p / 'hostname']",
        "return [out / 'missing']",
        "return [Path('/etc/hostname')]",
    ],
)
def test_what_a_task_has_not_written_is_not_sent(worker, trials, instead, code):
    instead(code)
    worker.run(most=1)
    assert the(trials).status == "Errored"
    assert not the(trials).upload


@pytest.mark.integration
@landlocked
def test_a_task_writes_and_reads_nowhere_else(worker, trials, instead, tmp_path):
    (tmp_path / "token").write_text("secret")
    instead(
        "said = []\n"
        f"    for what in (lambda: open({str(tmp_path / 'token')!r}).read(),\n"
        f"                 lambda: open({str(tmp_path / 'new')!r}, 'w'),\n"
        "                 lambda: os.listdir(os.path.expanduser('~root')),\n"
        "                 lambda: os.kill(os.getppid(), 0)):\n"
        "        try: what(); said.append('allowed')\n"
        "        except PermissionError: said.append('refused')\n"
        "    Path(os.environ['HOME'], 'mine').write_text('x')\n"
        "    (out / 'own').write_text('x')\n"
        "    raise ValueError(' '.join(said))"
    )
    worker.run(most=1)
    assert "ValueError: refused refused refused refused" in the(trials).log
    assert not (tmp_path / "new").exists()


@pytest.mark.integration
@landlocked
def test_a_task_opens_no_connection(worker, trials, instead):
    asked = []

    class Listener(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)

    server = HTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    instead(
        f"import socket; socket.create_connection(('127.0.0.1', {server.server_port}), 5)\n"
        "    return None"
    )
    worker.run(most=1)
    server.shutdown()
    server.server_close()
    assert "PermissionError" in the(trials).log
    assert asked == []


@pytest.mark.integration
@landlocked
def test_what_leaves_the_task_s_group_ends_with_it_too(worker, trials, instead):
    instead(
        "import subprocess; p = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        '    raise ValueError(f"pid {p.pid}")'
    )
    worker.run(most=1)
    left = int(re.search(r"pid (\d+)", the(trials).log)[1])
    assert until(lambda: not runs(left))


class Endless(BaseHTTPRequestHandler):
    """A server that never stops sending."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(b"x" * 2**16)

    def log_message(self, *_):
        pass


@pytest.mark.integration
def test_an_input_that_never_ends_is_cut_off(worker, trials, tmp_path):
    claim = worker._claim(trials.id)
    with answering(Endless) as url:
        one = msgspec.structs.replace(claim.inputs[0], url=f"{url}/x")
        assert worker.execute(msgspec.structs.replace(claim, inputs=(one,))) == "Errored"
    assert f"more than the {one.size} bytes that are registered" in the(trials).log


@pytest.mark.integration
@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/x", "http://", "x", ""])
def test_an_input_comes_over_http_or_not_at_all(worker, trials, tmp_path, url):
    claim = worker._claim(trials.id)
    one = msgspec.structs.replace(claim.inputs[0], url=url)
    assert worker.execute(msgspec.structs.replace(claim, inputs=(one,))) == "Errored"
    assert "does not come" in the(trials).log
