"""The API client, against a real server on a socket that answers from a script."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lab.client import (
    Client,
    Conflicting,
    LoginFailed,
    NotConfigured,
    Patience,
    RecordMissing,
    RequestRefused,
    Settings,
    Unreachable,
    WrongAddress,
    config_path,
    patient_session,
    plain,
    save_settings,
    settings,
)
from lab.transfer.parts import WatchedFile


class Script(BaseHTTPRequestHandler):
    """Answers the next scripted reply of a path; the last one is repeated."""

    def _answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append(
            (self.command, self.path, self.headers.get("Authorization"), json.loads(body or "{}"))
        )
        replies = self.server.script[self.path]
        status, reply, *headers = replies.pop(0) if len(replies) > 1 else replies[0]
        text = reply if isinstance(reply, str) else json.dumps(reply)
        self.send_response(status)
        for name, value in dict(*headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST = do_PATCH = do_PUT = _answer

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Script)
    server.seen, server.script = [], {"/auth-token": [(200, {"token": "t1"})]}
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def pauses():
    return []


@pytest.fixture
def client(server, pauses):
    url = f"http://127.0.0.1:{server.server_port}"
    return Client(Settings(url, "ana", "secret"), sleep=pauses.append)


def test_logs_in_once_and_sends_the_token(client, server):
    server.script["/me"] = [(200, {"username": "ana"})]
    assert client.get("/me") == client.get("/me") == {"username": "ana"}
    assert server.seen == [
        ("POST", "/auth-token", None, {"username": "ana", "password": "secret"}),
        ("GET", "/me", "Token t1", {}),
        ("GET", "/me", "Token t1", {}),
    ]


def test_an_expired_token_is_renewed(client, server):
    server.script["/auth-token"] = [(200, {"token": "t1"}), (200, {"token": "t2"})]
    server.script["/me"] = [(403, {"detail": "Invalid token."}), (200, {})]
    client.get("/me")
    assert [token for _, path, token, _ in server.seen if path == "/me"] == [
        "Token t1",
        "Token t2",
    ]


def test_an_expired_token_without_password_says_so(client, server):
    server.script["/me"] = [(403, {"detail": "Invalid token."})]
    with pytest.raises(LoginFailed, match="fornix login"):
        Client(Settings(client.settings.url, "ana", token="old")).get("/me")


def test_a_wrong_password_is_told_without_showing_it(client, server):
    server.script["/auth-token"] = [(400, {"non_field_errors": ["no"]})]
    with pytest.raises(LoginFailed, match="does not accept ana's password") as caught:
        client.get("/me")
    assert "secret" not in str(caught.value) + repr(client.settings)


def test_transient_answers_are_waited_out(client, server, pauses):
    server.script["/me"] = [(503, {}), (429, {}, {"Retry-After": "7"}), (502, ""), (200, {"a": 1})]
    assert client.get("/me") == {"a": 1}
    assert len(pauses) == 3
    assert pauses[1] == 7


def test_a_server_that_stays_away_is_unreachable(client, server, pauses):
    server.script["/me"] = [(503, {})]
    with pytest.raises(Unreachable, match="answered 503, 6 times in a row") as caught:
        client.get("/me")
    assert caught.value.exit_code == 3
    assert len(pauses) == 5


def test_a_file_that_is_sent_again_starts_anew_and_is_counted_once(server, pauses, tmp_path):
    # Given an address that takes the bytes only the second time
    server.script["/put"] = [(503, {}), (200, {})]
    file = tmp_path / "numbers.json"
    file.write_text(json.dumps(list(range(20_000))))
    read = []
    # When the file is sent
    with WatchedFile(file, read.append) as content:
        http = patient_session(Patience(pause=pauses.append))
        url = f"http://127.0.0.1:{server.server_port}/put"
        assert http.put(url, data=content, timeout=5).status_code == 200
    # Then both tries brought all of it, and the progress adds up to its size
    assert [body for *_, body in server.seen] == [list(range(20_000))] * 2
    assert sum(read) == file.stat().st_size
    assert len(pauses) == 1


def test_nobody_listening_is_unreachable(pauses):
    with pytest.raises(Unreachable, match="did not answer"):
        Client(Settings("http://127.0.0.1:9", token="t"), sleep=pauses.append).get("/me")


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, RequestRefused), (403, RequestRefused), (404, RecordMissing), (409, Conflicting)],
)
def test_a_refusal_carries_the_servers_words(client, server, status, error):
    server.script["/uploads"] = [(status, {"detail": "No such subject.", "status_code": status})]
    with pytest.raises(error, match=rf"No such subject. \(POST /uploads answered {status}\)"):
        client.post("/uploads")


def test_field_errors_are_told_in_one_line():
    assert plain({"subject": ["Unknown."], "lab": "No.", "status_code": 400}) == (
        "subject: Unknown.; lab: No."
    )


def test_an_answer_that_is_not_json_is_refused(client, server):
    server.script["/me"] = [(200, "hello")]
    with pytest.raises(RequestRefused, match="not JSON"):
        client.get("/me")


@pytest.mark.parametrize("status", [200, 403, 405])
@pytest.mark.parametrize(
    "page", ["<!DOCTYPE html><title>Mice</title>", "<html>", "<?xml ?><Error>"]
)
def test_the_address_of_a_site_is_told_with_the_fix(client, server, status, page):
    server.script["/auth-token"] = [(status, page)]
    with pytest.raises(WrongAddress, match="address of the results site") as caught:
        client.get("/me")
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("url", ["http://", "ftp://x", "http://a b", "https://[::1"])
def test_what_is_no_address_is_told_with_the_fix(url):
    with pytest.raises((NotConfigured, Unreachable)):
        Client(Settings(url, token="t"), sleep=lambda s: None).get("/me")


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("api.example.org/v1/", "https://api.example.org/v1"),
        ("localhost:8000", "http://localhost:8000"),
        ("127.0.0.1:8000/", "http://127.0.0.1:8000"),
        ("http://x/", "http://x"),
        (" https://x ", "https://x"),
    ],
)
def test_an_address_without_scheme_gets_one(given, asked):
    assert Client(Settings(given)).settings.url == asked


def test_each_profile_has_a_login_of_its_own(home, monkeypatch):
    save_settings("https://a", "ana", "t1")
    monkeypatch.setenv("FORNIX_PROFILE", "other-lab")
    with pytest.raises(NotConfigured):
        settings()
    save_settings("https://b", "bob", "t2")
    assert settings() == Settings("https://b", "bob", None, "t2")
    monkeypatch.delenv("FORNIX_PROFILE")
    assert settings() == Settings("https://a", "ana", None, "t1")
    monkeypatch.setenv("FORNIX_PROFILE", "../x")
    with pytest.raises(NotConfigured, match="letters, digits"):
        settings()


def test_a_broken_file_of_settings_is_told(home):
    save_settings("https://a", "ana", "t1").write_text("{")
    with pytest.raises(NotConfigured, match="fornix login"):
        settings()


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("API_URL", "USER", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"FORNIX_{name}", raising=False)
    return tmp_path


def test_without_settings_the_way_out_is_named(home):
    with pytest.raises(NotConfigured, match="fornix login"):
        settings()


def test_saved_settings_are_private_and_read_back(home):
    save_settings("http://x/", "ana", "t1")
    assert config_path().stat().st_mode & 0o777 == 0o600
    assert settings() == Settings("http://x", "ana", None, "t1")


def test_a_saved_token_is_not_sent_to_another_server_or_as_another_user(home, monkeypatch):
    save_settings("http://x", "ana", "t1")
    monkeypatch.setenv("FORNIX_USER", "bob")
    assert settings().token is None
    monkeypatch.delenv("FORNIX_USER")
    monkeypatch.setenv("FORNIX_API_URL", "http://elsewhere")
    assert settings() == Settings("http://elsewhere")
