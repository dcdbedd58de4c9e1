"""Stopping the embedded cloud leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from infra.local.cloud import EmbeddedCloud
from infra.local.home import Home, Ports
from tests.processes import runs, until

# As a server that runs functions, and ends on SIGTERM without waiting for them.
SERVER = """
import subprocess, sys, time
function = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(function.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_a_function_at_work_ends_with_the_server(tmp_path: Path) -> None:
    # Given a server with a function at work
    cloud = EmbeddedCloud(Home(tmp_path, Ports.free()), own_dynamodb=True)
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdout=subprocess.PIPE, start_new_session=True
    )
    assert server.stdout is not None
    function = int(server.stdout.readline())
    assert runs(function)
    cloud._processes["server"] = server
    # When the cloud is stopped
    cloud.stop()
    # Then neither lives on.
    assert server.returncode is not None
    until(lambda: not runs(function), 30)
    server.stdout.close()
