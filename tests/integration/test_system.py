"""The system as a whole: it comes back from any death, and stops when it is asked to."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import requests
from PIL import Image

from infra.local.cloud import EmbeddedCloud
from infra.local.demo import rows
from infra.local.deploy import deploy
from infra.local.home import Home, Ports
from infra.local.seed import LABS, connect, subjects, usernames
from shared.results.notebook import cache_control
from tests.system import Cloud

pytestmark = [pytest.mark.proof, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]


def fetch(url: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers with lower-case names, and body of a GET."""
    request = urllib.request.Request(url, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            found, status = answer, answer.status
            names = {k.lower(): v for k, v in found.headers.items()}
            return status, names, found.read()
    except urllib.error.HTTPError as error:
        return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()


def test_the_seed_makes_labs_users_and_subjects_once(cloud: Cloud) -> None:
    client = connect(cloud._home, "admin")
    assert {lab["name"] for lab in rows(client.get("/labs"))} >= set(LABS)
    assert {user["username"] for user in rows(client.get("/users"))} >= set(usernames())
    mice = rows(client.get("/subjects", lab=LABS[1]))
    assert {mouse["nickname"] for mouse in mice} >= set(subjects(LABS[1]))


def test_passwords_are_random_and_readable_by_their_owner_only(cloud: Cloud) -> None:
    assert (cloud.home / "credentials.json").stat().st_mode & 0o077 == 0
    assert cloud.home.stat().st_mode & 0o077 == 0
    passwords = {user["password"] for user in cloud.credentials.values()}
    assert len(passwords) == len(cloud.credentials)
    assert min(map(len, passwords)) >= 20
    logs = "".join(path.read_text(errors="replace") for path in (cloud.home / "logs").iterdir())
    secret = cloud._home.root_credentials()[1]
    assert not any(word in logs for word in [*passwords, secret])


def test_the_processes_of_the_functions_share_their_code(cloud: Cloud) -> None:
    # Given a system that has answered, so that functions have processes
    connect(cloud._home, "admin").get("/labs")
    folders = [*(cloud.home / "cloud" / "tmp").glob("ministack-lambda-fornix-*/code")]
    assert folders
    # Then they run in one unpacked archive, in which what the first compiled is kept
    (whole,) = {folder.resolve() for folder in folders}
    assert whole.is_relative_to((cloud.home / "cloud" / "code").resolve())
    assert [*whole.glob("functions/api/__pycache__/app.*.pyc")]


def test_the_site_has_security_headers_types_tags_ranges_and_compression(cloud: Cloud) -> None:
    url = f"{cloud.site_url}/assets/site.css"
    status, headers, body = fetch(url)
    assert status == 200
    assert headers["content-type"] == "text/css"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"

    status, _, part = fetch(url, {"Range": "bytes=10-19"})
    assert (status, part) == (206, body[10:20])

    status, unchanged, _ = fetch(url, {"If-None-Match": headers["etag"]})
    assert (status, unchanged["etag"]) == (304, headers["etag"])

    status, packed, small = fetch(url, {"Accept-Encoding": "gzip"})
    assert packed["content-encoding"] == "gzip"
    assert len(small) < len(body)
    assert packed["etag"] == "W/" + headers["etag"]


def test_the_state_of_the_analyses_is_not_served(cloud: Cloud) -> None:
    bucket = cloud.env["FORNIX_SITE_BUCKET"]
    cloud.client("s3").put_object(Bucket=bucket, Key="_state/x.json", Body=b"{}")
    status, _, body = fetch(f"{cloud.site_url}/_state/x.json")
    assert status in (403, 404)
    assert body != b"{}"


def test_a_browser_on_the_site_may_call_the_api_and_no_other(cloud: Cloud) -> None:
    request = urllib.request.Request(
        f"{cloud.api_url}/sessions",
        method="OPTIONS",
        headers={"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "GET"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == cloud.site_url
        assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]


def test_what_the_gateway_refuses_has_the_apis_body_shape(cloud: Cloud) -> None:
    # An unknown path never reaches the function
    status, headers, body = fetch(f"{cloud.api_url}/no/such/path")
    detail = "Missing Authentication Token"
    assert (status, json.loads(body)) == (403, {"status_code": 403, "detail": detail})
    assert headers["access-control-allow-origin"] == cloud.site_url


def test_a_private_files_refusal_comes_from_the_gateway_and_asks_for_credentials(
    cloud: Cloud,
) -> None:
    admin = cloud.credentials["admin"]
    account = admin["username"], admin["password"]
    api = cloud.api_url
    # Given a note with an image, which nobody may see without an account
    subject = requests.get(f"{api}/subjects?limit=1", auth=account).json()["results"][0]
    note = {"content_type": "subject", "object_id": subject["id"], "width": "orig"}
    picture = io.BytesIO()
    Image.new("RGB", (3, 2)).save(picture, "PNG")
    files = {"image": ("x.png", picture.getvalue(), "image/png")}
    made = requests.post(f"{api}/notes", data=note, files=files, auth=account).json()
    url = made["image"]
    # When a client comes without credentials, then it is asked for them
    status, headers, body = fetch(url)
    assert status == 401
    assert headers["www-authenticate"].startswith("Basic realm=")
    assert json.loads(body) == {
        "status_code": 401,
        "detail": "Authentication credentials were not provided.",
    }
    # And with them it gets the bytes
    assert requests.get(url, auth=account).content == picture.getvalue()
    # Refusing is no error of the function
    assert "Traceback" not in cloud.system.function_log("api", 10_000)


def test_an_object_of_the_uploads_prefix_reaches_ingest_through_the_queue(cloud: Cloud) -> None:
    # Given the number of invocations that the log shows
    def invocations() -> int:
        return cloud.system.function_log("ingest", 10_000).count("START RequestId")

    before = invocations()
    # When an object arrives that belongs to no upload, and one outside the prefix
    bucket = cloud.env["FORNIX_DATA_BUCKET"]
    cloud.client("s3").put_object(Bucket=bucket, Key="quarantine/none/a.npy", Body=b"x")
    cloud.client("s3").put_object(Bucket=bucket, Key="incoming/none/a.npy", Body=b"x")
    # Then ingest is told of it, and the message is done with
    deadline = time.monotonic() + 60
    while invocations() == before and time.monotonic() < deadline:
        time.sleep(0.2)
    assert invocations() > before
    assert waiting(cloud, "ingest-dead") == 0


def test_after_kill_9_everything_is_there_again(cloud: Cloud) -> None:
    # Given a record, an object and a message that no one takes
    client = connect(cloud._home, "admin")
    name = f"kept{time.time_ns()}"
    client.post("/projects", {"name": name})
    bucket = cloud.env["FORNIX_DATA_BUCKET"]
    cloud.client("s3").put_object(Bucket=bucket, Key=f"data/{name}", Body=b"bytes")
    queue = cloud.client("sqs").get_queue_url(QueueName="fornix-analysis-dead")["QueueUrl"]
    cloud.client("sqs").send_message(QueueUrl=queue, MessageBody=name)
    state = cloud.home / "cloud" / "state" / "sqs.json"
    deadline = time.monotonic() + 20
    while name not in state.read_text() and time.monotonic() < deadline:
        time.sleep(0.1)

    # When every process is killed and the system started again
    cloud.restart()

    # Then all are there, the old token is still good, and uploads are still announced
    assert client.get(f"/projects/{name}")["name"] == name
    kept = cloud.client("s3").get_object(Bucket=bucket, Key=f"data/{name}")
    assert kept["Body"].read() == b"bytes"
    found = cloud.client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=1)["Messages"]
    assert [message["Body"] for message in found] == [name]
    for message in found:
        cloud.client("sqs").delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    test_an_object_of_the_uploads_prefix_reaches_ingest_through_the_queue(cloud)


def waiting(cloud: Cloud, queue: str) -> int:
    """Return how many messages a queue holds."""
    sqs = cloud.client("sqs")
    url = sqs.get_queue_url(QueueName=f"fornix-{queue}")["QueueUrl"]
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(attributes[name]) for name in names)


# -- fornix up ---------------------------------------------------------------------------------


def up(home: Path, *options: str) -> subprocess.Popen[str]:
    """Start ``fornix up`` on free ports in a group of its own."""
    ports = Ports.free()
    return subprocess.Popen(
        [
            sys.executable, "-m", "lab.cli", "up", "--home", str(home),
            "--api-port", str(ports.api), "--site-port", str(ports.site),
            "--gateway-port", str(ports.gateway), "--dynamodb-port", str(ports.dynamodb),
            *options,
        ],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "FORNIX_"))},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )  # fmt: skip


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """Return the output up to a text."""
    assert process.stdout
    seen = ""
    for line in process.stdout:
        seen += line
        if text in seen:
            return seen
    raise AssertionError(f"{text!r} was never printed:\n{seen}")


def left_running(home: Path) -> list[str]:
    """Return the command lines of processes that still work on a state folder after a while."""
    deadline = time.monotonic() + 15
    while (found := children(home)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def children(home: Path) -> list[str]:
    """Return the command lines of processes that work on a state folder now."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                cwd = os.readlink(entry / "cwd")
            except OSError:
                continue
            if (str(home) in line or cwd.startswith(str(home))) and line:
                found.append(line)
    return found


@pytest.mark.timeout(600)
def test_ctrl_c_stops_everything_and_a_start_after_kill_9_brings_it_back(tmp_path: Path) -> None:
    # Given a running system, killed without warning while it starts its second time
    home = tmp_path / "home"
    first = up(home, "--no-job")
    read_until(first, "Ctrl-C stops")
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    before = json.loads((home / "credentials.json").read_text())

    # When it is started again, and interrupted as a terminal does
    second = up(home, "--no-job")
    said = read_until(second, "Ctrl-C stops")
    os.killpg(second.pid, signal.SIGINT)
    rest, _ = second.communicate(timeout=120)

    # Then it has come up with the same users, stops cleanly, and leaves no process behind
    assert "ONE().search" in said
    assert json.loads((home / "credentials.json").read_text()) == before
    assert second.returncode == 0, rest
    assert "everything is kept" in rest
    assert left_running(home) == []


def test_a_taken_port_is_named_and_nothing_is_left_running(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        process = up(tmp_path / "home", "--no-job", "--site-port", port)
        said, _ = process.communicate(timeout=120)
    assert process.returncode == 3
    assert f"port {port} (site) is in use" in said
    assert "--site-port" in said
    assert left_running(tmp_path / "home") == []


def test_a_folder_in_which_a_system_runs_is_refused_and_that_system_goes_on(cloud: Cloud) -> None:
    ports = (cloud.home / "ports.json").read_text()
    second = up(cloud.home, "--no-job")
    said, _ = second.communicate(timeout=120)
    assert second.returncode == 3
    assert "another `fornix up` is running" in said
    assert "--home" in said
    assert (cloud.home / "ports.json").read_text() == ports
    assert connect(cloud._home, "admin").get("/labs")


@pytest.mark.timeout(900)
def test_a_real_session_goes_from_the_rig_to_the_site(tmp_path: Path, shared_data: Path) -> None:
    folder = shared_data / "rig_sessions" / "training_rig5.0.0"
    process = up(tmp_path / "home", "--once", "--data", str(folder), "--timeout", "600")
    said, _ = process.communicate(timeout=850)
    assert process.returncode == 0, said
    assert "task.trials Complete" in " ".join(said.split()), said
    assert left_running(tmp_path / "home") == []


def test_a_first_start_killed_in_mid_deployment_is_made_good_by_the_next(tmp_path: Path) -> None:
    # Given a cloud that is killed when the stack has been created but nothing of it saved
    home = Home(tmp_path, Ports.free())

    class Killed(EmbeddedCloud):
        def control(self, command: str) -> None:
            if command == "release":
                self.kill()
                raise KeyboardInterrupt
            super().control(command)

    doomed = Killed(home)
    doomed.start()
    with pytest.raises(KeyboardInterrupt):
        deploy(doomed, LABS)
    assert not home.deployed.exists()

    # When it is started and deployed again
    home.discard_unfinished()
    cloud = EmbeddedCloud(home)
    cloud.start()
    try:
        outputs = deploy(cloud, LABS)
        # Then the stack is there, and a further deployment finds nothing to do
        assert outputs["TableName"] == "fornix"
        before = home.deployed.stat().st_mtime_ns
        assert deploy(cloud, LABS) == outputs
        assert home.deployed.stat().st_mtime_ns == before
        # And from now on a start removes nothing
        home.discard_unfinished()
        assert home.database.exists()
    finally:
        cloud.stop()


def test_the_api_is_below_the_sites_address_with_a_session(cloud: Cloud) -> None:
    # Given a member who signs in on the site
    account = cloud.credentials["fimbrialab_member"]
    headers = {"Content-Type": "application/json", "X-Fornix": "1", "Origin": cloud.site_url}
    request = urllib.request.Request(
        f"{cloud.site_url}/rest/session",
        data=json.dumps(account).encode(),
        method="POST",
        headers=headers,
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        cookie = answer.headers["Set-Cookie"].partition(";")[0]
    # When its page asks, then it is answered, compressed, and nobody without the cookie is
    status, told, body = fetch(
        f"{cloud.site_url}/rest/changes", {"Cookie": cookie, "Accept-Encoding": "gzip"}
    )
    assert status == 200
    assert told["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(body))["blocks"]
    status, _, _ = fetch(f"{cloud.site_url}/rest/changes", {"X-Fornix": "1"})
    assert status == 401


def test_the_app_has_its_own_policy(cloud: Cloud) -> None:
    bucket = cloud.env["FORNIX_SITE_BUCKET"]
    for key in ("app/index.html", "app/main-0AB1CD2E.js"):
        about = {"ContentType": "text/html", "CacheControl": cache_control(key) or ""}
        cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=b"<!doctype html>", **about)

    status, headers, body = fetch(f"{cloud.site_url}/app/")
    _, script, _ = fetch(f"{cloud.site_url}/app/main-0AB1CD2E.js")

    assert headers["cache-control"] == "no-cache"
    assert script["cache-control"].endswith("immutable")

    assert (status, body) == (200, b"<!doctype html>")
    assert "unsafe-" not in headers["content-security-policy"]
    assert headers["permissions-policy"].startswith("camera=(self)")
